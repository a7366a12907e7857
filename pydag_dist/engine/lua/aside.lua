-- A run whose data can't be worked with ends as failed, and nobody else notices: what has been
-- written until the error stays, so the run can't go on; resuming it plans it anew.

local ADVICE = 'the engine could not go on with this run, since its data in Redis are damaged, or by '
            .. 'a fault of the engine: %s. Tasks that run are told to stop, remote jobs may go on; '
            .. '`pydag resume` plans the run anew'

-- No more slots for the run, and nothing left to do for it.
local function withdraw(run)
  local marks = call('HGETALL', run_key(run))
  for i = 1, #marks, 2 do
    local queue = string.match(marks[i], '^since/(.*)$')
    if queue then
      CHANGES.remove(CHANGES.all['fair:' .. queue], marks[i + 1] .. '/' .. run)
      call('HDEL', run_key(run), marks[i])
    end
  end
  call('UNLINK', run_key(run, 'work'))
  call('SREM', key('working'), run)
  call('HDEL', run_key(run), 'scan')
end

local function end_as_broken(run, problem)
  local state = known(run)
  if not state or ENDED_RUN[state] then return end
  call('HSET', run_key(run), 'reason', 'broken', 'error', string.format(ADVICE, problem))
  if state == 'queued' then end_unplanned(run, 'failed') else end_run(run, true, 'broken') end
end

function set_aside(run, problem)
  AHEAD = { first = 1 }
  CHANGES.leave(run)
  pcall(HEAD.write, run)
  HEADS[run] = nil
  problem = type(problem) == 'table' and problem.err or tostring(problem)
  -- Each as far as it can be done: a key may be of a wrong type.
  for _, part in ipairs({ withdraw, end_as_broken }) do pcall(part, run, problem) end
end
