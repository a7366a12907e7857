-- Run-on: the script that releases a try also begins another one, in the process that ran the first. So between
-- two short tasks there is no message to push, to take and to claim. What the process goes on with is what a
-- top-up would push next to the same queue: the most urgent ready task of the run that has the least charge.
--
-- Never run on are: a task that waits in "QUEUE!needs", since each of these is for a worker that is chosen; polls
-- and cancels, which are messages of their own; a task that took long in earlier runs, or of a run whose tasks
-- take long; anything after a try that was told to stop, that its process could not end well, or that was polled.

do
-- What the process is told of the try that it goes on with.
local function told(run, task, record)
  return { run, task, record.try, record.token, record.pushes, head_of(run).dag_id,
           record.state == 'running' and 'run' or 'cancel', load_spec(run, task), settled(run, task, record) }
end

-- Begins the task that top-up would push next, if it is a short one.
local function begin_next(run, queue, before, taker)
  local member = READY.first(run, queue)
  if string.find(member, '^[^/]*/%d+s/') then return end
  if expected(queue, share_of(run, queue).mean) > LIMITS.short then return end
  local task, record = activate(run, queue, member, before, 'running')
  number_push(run, record)
  begin(record)
  hold(run, task, record, record.push, taker.worker, taker.process)
  call('HSET', key('holds'), taker.worker .. '/' .. taker.process, taker.after .. ' ' .. run .. '/' .. task)
  taker.next = told(run, task, record)
end

-- A worker takes something as long as the queue has slots of it.
local function has_slots(queue, worker)
  local expiry = string.match(call('HGET', key('slots:' .. queue), worker) or '', '^%d+ (%d+)$')
  return expiry and tonumber(expiry) > STEADY
end

-- As `release`, and the worker's process, which ran the try, goes on with the next task of that queue. The same
-- process that asks again gets the same one.
--   given    run, task, try, token, outcome, result, error, skips, expansions, queue, worker, process
--   answers  as release; and if the process goes on: run, task, try, token and pushes of what it has to do,
--            the DAG, and as claim order, spec and settled
--   writes   leases, holds, spread()
function OPERATIONS.run_on(run, task, try, token, outcome, result, err, skips, expansions, queue, worker, process)
  local taker = { worker = worker, process = process, after = token }
  local function go_on()
    if has_slots(queue, worker) then serve(begin_next, queue, taker) end
  end
  -- Not even an error that comes later may hide that the process has gone on.
  local fine, answer = guarded(run, end_try, go_on, run, task, try, token, outcome, result, err, skips, expansions)
  if not fine then answer = { 'broken', 0 } end
  if answer[1] ~= 'ok' and not taker.next then
    local next_run, next_task, record, after = gone_on_with(worker, process)
    if after == token then
      local _, following = guarded(next_run, told, next_run, next_task, record)
      answer, taker.next = { 'ok', 0 }, following
    end
  end
  for _, value in ipairs(taker.next or {}) do answer[#answer + 1] = value end
  return answer
end

-- A process of a worker's pool is gone: it is dead, or Flower has revoked what it ran. That concerns what it has
-- gone on with, else the named try.
--   given    run, task, try, token, outcome, error, worker, process
--   answers  as release; run, task, try and token of what it concerns
--   writes   leases, holds, spread()
function OPERATIONS.died(run, task, try, token, outcome, err, worker, process)
  local next_run, next_task, record = gone_on_with(worker, process)
  if next_run then run, task, try, token = next_run, next_task, record.try, record.token end
  local fine, answer = guarded(run, end_try, nil, run, task, try, token, outcome, '', err, '', '')
  if not fine then answer = { 'broken', 0 } end
  return { answer[1], answer[2], run, task, tonumber(try), token }
end

end
