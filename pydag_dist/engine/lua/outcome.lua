-- What the end of a task does: to its downstream tasks, and to its run.

-- The state in which a task leaves `none`, or nil while its rule can't be decided yet.
local function decide(record)
  if record.bad + record.dead_up > 0 then return 'upstream_failed' end
  if record.ok == record.upstream then return 'ready' end
  return nil
end

local function tell_downstream(task, chunks, state)
  for k = 0, chunks - 1 do TODO[#TODO + 1] = task .. '/' .. k .. ' ' .. state end
end

local function finish_run(run, state)
  call('HSET', run_key(run), 'state', state, 'ended_at', text(NOW))
  event(run, 'kind', 'run', 'state', state)
  local retention = call('HGET', run_key(run), 'retention')
  call('EXPIRE', run_key(run), retention)
  for _, part in ipairs(RUN_PARTS) do call('EXPIRE', run_key(run, part), retention) end
end

local function count_ended(run, ended, failures)
  if failures > 0 then call('HINCRBY', run_key(run), 'failures', failures) end
  if call('HINCRBY', run_key(run), 'left', -ended) == 0 then
    local failed = call('HGET', run_key(run), 'failures')
    finish_run(run, failed and 'failed' or 'success')
  end
end

-- Ends an active task and remembers whom to tell.
local function end_task(run, task, record, state)
  record.state = state
  record.ended_at = text(NOW)
  save_record(run, task, record)
  call('SREM', run_key(run, 'active'), task)
  local _, _, chunks = load_plan(run, task)
  tell_downstream(task, chunks, state)
  event(run, 'kind', 'task', 'task', task, 'state', state, 'try', record.try,
        'worker', record.worker)
  count_ended(run, 1, state == 'failed' and 1 or 0)
end

-- Tells one chunk of tasks that their upstream ended; returns how many it looked at.
local function tell_chunk(run, item)
  local chunk, state = string.match(item, '^(%S+) (%S*)$')
  local counter = COUNTS_AS[state]
  local tasks = {}
  for task in string.gmatch(call('HGET', run_key(run, 'plan'), chunk), '%S+') do
    tasks[#tasks + 1] = task
  end
  local packed = call('HMGET', run_key(run, 'tasks'), unpack(tasks))
  local ended = 0
  for i, task in ipairs(tasks) do
    local record = unpack_record(packed[i])
    if counter then record[counter] = record[counter] + 1 end
    local next_state = record.state == 'none' and decide(record) or nil
    if next_state == 'ready' then
      local queue, rank = load_plan(run, task)
      make_ready(run, task, record, queue, rank)
    elseif next_state then
      local _, _, chunks = load_plan(run, task)
      record.state = next_state
      record.ended_at = text(NOW)
      save_record(run, task, record)
      tell_downstream(task, chunks, next_state)
      event(run, 'kind', 'task', 'task', task, 'state', next_state, 'try', record.try,
            'worker', '')
      ended = ended + 1
    else
      save_record(run, task, record)
    end
  end
  if ended > 0 then count_ended(run, ended, 0) end
  return #tasks
end

-- Tells downstream tasks, within this script's budget; the rest stays in `work`.
-- Returns 1 while something is left there.
local function spread(run)
  local budget = MAX_TRANSITIONS
  local work, at = run_key(run, 'work'), 1
  while budget > 0 do
    local item = TODO[at]
    if item then at = at + 1 else item = call('LPOP', work) end
    if not item then break end
    budget = budget - tell_chunk(run, item)
  end
  for i = at, #TODO do call('RPUSH', work, TODO[i]) end
  TODO = {}
  reschedule(run)
  if budget <= 0 and call('EXISTS', work) == 1 then
    call('SADD', key('working'), run)
    return 1
  end
  call('SREM', key('working'), run)
  return 0
end
