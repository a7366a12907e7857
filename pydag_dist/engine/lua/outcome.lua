-- What the end of a task does: to its downstream tasks, and to its run.

-- The state in which a task with upstream tasks leaves `none`, nil while that can't be decided.
-- As in Airflow, where a cancelled upstream counts as failed.
local RULES = {}

function RULES.all_success(r, failed)
  if failed > 0 then return 'upstream_failed' end
  if r.skips > 0 then return 'skipped' end
  return r.ok == r.upstream and 'ready' or nil
end

function RULES.all_done(_, _, done) return done and 'ready' or nil end

function RULES.all_failed(r, failed)
  if r.ok + r.skips > 0 then return 'skipped' end
  return failed == r.upstream and 'ready' or nil
end

function RULES.one_success(r, _, done)
  if r.ok > 0 then return 'ready' end
  if not done then return nil end
  return r.skips == r.upstream and 'skipped' or 'upstream_failed'
end

function RULES.one_failed(_, failed, done)
  if failed > 0 then return 'ready' end
  return done and 'skipped' or nil
end

function RULES.none_failed(_, failed, done)
  if failed > 0 then return 'upstream_failed' end
  return done and 'ready' or nil
end

function RULES.none_failed_min_one_success(r, failed, done)
  if failed > 0 then return 'upstream_failed' end
  if not done then return nil end
  return r.skips == r.upstream and 'skipped' or 'ready'
end

function RULES.none_skipped(r, _, done)
  if r.skips > 0 then return 'skipped' end
  return done and 'ready' or nil
end

function RULES.always() return 'ready' end

local function decide(record)
  if record.upstream == 0 then return 'ready' end
  local failed = record.bad + record.dead_up
  return RULES[record.rule](record, failed, record.ok + failed + record.skips == record.upstream)
end

local function tell_downstream(task, chunks, state)
  for k = 0, chunks - 1 do TODO[#TODO + 1] = task .. '/' .. k .. ' ' .. state end
end

local function finish_run(run, state)
  call('HSET', run_key(run), 'state', state, 'ended_at', text(NOW))
  call('ZREM', key('timers'), 'timeout/' .. run)
  event(run, 'kind', 'run', 'state', state)
  local retention = call('HGET', run_key(run), 'retention')
  call('EXPIRE', run_key(run), retention)
  for _, part in ipairs(RUN_PARTS) do call('EXPIRE', run_key(run, part), retention) end
end

local function count_ended(run, ended, failures)
  if failures > 0 then call('HINCRBY', run_key(run), 'failures', failures) end
  if call('HINCRBY', run_key(run), 'left', -ended) == 0 then
    local head = call('HMGET', run_key(run), 'failures', 'reason')
    if head[2] then
      finish_run(run, head[2] == 'timeout' and 'failed' or 'cancelled')
    else
      finish_run(run, head[1] and 'failed' or 'success')
    end
  end
end

local function note_end(run, task, record, state)
  record.state = state
  record.ended_at = text(NOW)
  save_record(run, task, record)
  event(run, 'kind', 'task', 'task', task, 'state', state, 'try', record.try,
        'worker', record.worker)
end

-- Ends an active task and remembers whom to tell.
local function end_task(run, task, record, state, plan)
  note_end(run, task, record, state)
  call('SREM', run_key(run, 'active'), task)
  tell_downstream(task, plan.chunks, state)
  local bad = state == 'failed' or state == 'cancelled'
  count_ended(run, 1, bad and plan.may_fail ~= '1' and 1 or 0)
end

-- µs until the next try; doubling delays get 20 % of jitter.
local function retry_delay(record, plan)
  if plan.backoff ~= '1' then return plan.delay end
  local failures = plan.retries - (record.last_try - record.try)
  local delay = math.min(plan.delay * 2 ^ math.min(failures, 30), plan.longest)
  return delay * (0.8 + 0.4 * (NOW % 1000) / 1000)
end

-- Ends an active task's try as failed: another try later, or the task's end.
local function fail_try(run, task, record, err)
  if err ~= '' then call('HSET', run_key(run, 'out'), 'e/' .. task, err) end
  local plan = load_plan(run, task)
  if record.try < record.last_try and known(run) == 'running' then
    record.state = 'up_for_retry'
    record.ended_at = text(NOW)
    save_record(run, task, record)
    call('SREM', run_key(run, 'active'), task)
    call('ZADD', key('timers'), text(NOW + retry_delay(record, plan)), 'retry/' .. run .. '/' .. task)
    event(run, 'kind', 'task', 'task', task, 'state', 'up_for_retry', 'try', record.try,
          'worker', record.worker)
  else
    end_task(run, task, record, 'failed', plan)
  end
end

-- The work of a cancelling task is known to be over.
local function stopped(run, task, record)
  if record.reason == 'timeout' then
    local seconds = load_plan(run, task).timeout / 1e6
    fail_try(run, task, record, string.format('timed out after %g s', seconds))
  else
    end_task(run, task, record, 'cancelled', load_plan(run, task))
  end
end

-- Nobody holds a cancelling task any more: a worker has to cancel what it left running elsewhere.
local function ask_to_cancel(run, task, record)
  local plan = load_plan(run, task)
  if plan.remote == '1' then
    record.token = ''
    push(plan.queue, run, task, record)
  else
    stopped(run, task, record)
  end
end

-- The downstream tasks that a branch does not follow.
local function skipped_by(run, task)
  local skips = {}
  for name in string.gmatch(call('HGET', run_key(run, 'out'), 's/' .. task) or '', '%S+') do
    skips[name] = true
  end
  return skips
end

-- Tells one chunk of tasks that their upstream ended; returns how many it looked at.
local function tell_chunk(run, item)
  local chunk, state = string.match(item, '^(%S+) (%S*)$')
  local counter = COUNTS_AS[state]
  local skips = state == 'success' and skipped_by(run, string.match(chunk, '^[^/]*')) or {}
  local cancelling = known(run) == 'cancelling'
  local tasks = {}
  for task in string.gmatch(call('HGET', run_key(run, 'plan'), chunk), '%S+') do
    tasks[#tasks + 1] = task
  end
  local packed = call('HMGET', run_key(run, 'tasks'), unpack(tasks))
  local ended = 0
  for i, task in ipairs(tasks) do
    local record = unpack_record(packed[i])
    if counter then record[counter] = record[counter] + 1 end
    local next_state
    if record.state == 'none' then
      next_state = cancelling and 'cancelled' or skips[task] and 'skipped' or decide(record)
    end
    if next_state == 'ready' then
      make_ready(run, task, record, load_plan(run, task))
    elseif next_state then
      note_end(run, task, record, next_state)
      tell_downstream(task, load_plan(run, task).chunks, next_state)
      ended = ended + 1
    else
      save_record(run, task, record)
    end
  end
  if ended > 0 then count_ended(run, ended, 0) end
  return #tasks
end

-- Cancels what has not started, and tells what has, from where the last script stopped.
-- Returns how many tasks it looked at.
local function cancel_slice(run, budget)
  local cursor, seen, ended = call('HGET', run_key(run), 'scan'), 0, 0
  repeat
    local reply = call('HSCAN', run_key(run, 'tasks'), cursor, 'COUNT', 500)
    cursor = reply[1]
    for i = 1, #reply[2], 2 do
      local task, record = reply[2][i], unpack_record(reply[2][i + 1])
      seen = seen + 1
      if record.state == 'running' then
        record.state = 'cancelling'
        record.reason = 'cancel'
        save_record(run, task, record)
      elseif record.state ~= 'cancelling' and not ENDED[record.state] then
        if record.state == 'ready' then
          call('ZREM', run_key(run, 'ready'), ready_member(load_plan(run, task), task))
        elseif record.state == 'queued' then
          call('SREM', run_key(run, 'active'), task)
          call('ZREM', key('queued'), run .. '/' .. task)
        elseif record.state == 'up_for_retry' then
          call('ZREM', key('timers'), 'retry/' .. run .. '/' .. task)
        end
        note_end(run, task, record, 'cancelled')
        ended = ended + 1
      end
    end
  until cursor == '0' or seen >= budget
  if cursor == '0' then
    call('HDEL', run_key(run), 'scan')
  else
    call('HSET', run_key(run), 'scan', cursor)
  end
  if ended > 0 then count_ended(run, ended, 0) end
  return seen
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
  while budget > 0 and call('HEXISTS', run_key(run), 'scan') == 1 do
    budget = budget - cancel_slice(run, budget)
  end
  reschedule(run)
  if budget <= 0 and (call('EXISTS', work) == 1 or call('HEXISTS', run_key(run), 'scan') == 1) then
    call('SADD', key('working'), run)
    return 1
  end
  call('SREM', key('working'), run)
  return 0
end
