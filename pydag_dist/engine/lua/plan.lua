-- From a submission to a running run: exactly once, by the newest planner.

local OPERATIONS = {}

local function submit_to_planners(run)
  call('XADD', key('submissions'), '*', 'run', run)
  event(run, 'kind', 'run', 'state', 'queued')
end

-- run, DAG as JSON, dag_id, processors, weight, timeout in s (0: none), retention in s, params as
-- JSON
function OPERATIONS.submit(run, dag, dag_id, processors, weight, timeout, retention, params)
  if call('EXISTS', run_key(run)) == 1 then return 0 end
  call('HSET', run_key(run), 'schema', SCHEMA, 'state', 'queued', 'dag_id', dag_id,
       'processors', processors, 'weight', weight, 'timeout', timeout, 'retention', retention,
       'params', params, 'submitted_at', text(NOW))
  call('SET', run_key(run, 'dag'), dag)
  call('ZADD', key('runs'), text(NOW), run)
  for _, oldest in ipairs(call('ZRANGE', key('runs'), 0, 1)) do
    if call('EXISTS', run_key(oldest)) == 0 then call('ZREM', key('runs'), oldest) end
  end
  submit_to_planners(run)
  return 1
end

-- Submits an ended run again, to go on from what did not succeed, or from one task.
function OPERATIONS.resume(run, from)
  local state, why = known(run)
  if not state then return why end
  if not ENDED_RUN[state] then return state end
  if state == 'success' and from == '' then return state end
  if from ~= '' and call('HEXISTS', run_key(run, 'tasks'), from) == 0 then return 'no task' end
  if call('EXISTS', run_key(run, 'tasks')) == 1 then
    call('RENAME', run_key(run, 'tasks'), run_key(run, 'kept'))
  end
  -- What an ended run's tasks had yet to hear, their new plan tells them.
  call('UNLINK', run_key(run, 'work'))
  call('SREM', key('working'), run)
  call('HDEL', run_key(run), 'ended_at', 'error', 'failures', 'reason', 'scan')
  call('HSET', run_key(run), 'state', 'queued', 'from', from)
  call('PERSIST', run_key(run))
  for _, part in ipairs(RUN_PARTS) do call('PERSIST', run_key(run, part)) end
  submit_to_planners(run)
  return 'ok'
end

-- Makes the caller the run's planner. Returns its token, or what forbids it.
function OPERATIONS.plan_begin(run)
  local state, why = known(run)
  if not state then return { 'no', why } end
  if state ~= 'queued' then return { 'no', 'planned' } end
  local token = next_push()
  call('UNLINK', run_key(run, 'tasks'), run_key(run, 'plan'), run_key(run, 'specs'))
  call('HSET', run_key(run), 'planner', token)
  return { 'plan', token }
end

-- Ends a run that was not planned; one that was resumed is again what it was.
local function end_unplanned(run, state)
  call('UNLINK', run_key(run, 'tasks'), run_key(run, 'plan'), run_key(run, 'specs'))
  if call('EXISTS', run_key(run, 'kept')) == 1 then
    call('RENAME', run_key(run, 'kept'), run_key(run, 'tasks'))
  end
  finish_run(run, state)
end

-- Ends a run that can't be planned.
function OPERATIONS.plan_refuse(run, err)
  if known(run) ~= 'queued' then return 0 end
  call('HSET', run_key(run), 'error', err)
  end_unplanned(run, 'failed')
  return 1
end

local function planner_is(run, token)
  local state = known(run)
  return state == 'queued' and call('HGET', run_key(run), 'planner') == token
end

-- Rows are objects with the fields of a plan and of a new record, and task, downstream (chunks of
-- ids), spec, and keep: the record stays as it was. The row of task "" has the chunks of those to
-- decide at the start, and nothing else.
function OPERATIONS.plan_chunk(run, token, rows)
  rows = cjson.decode(rows)
  if not planner_is(run, token) then return 0 end
  for _, row in ipairs(rows) do
    local task = row.task
    if task ~= '' then
      row.chunks = #row.downstream
      if row.keep then
        call('HSET', run_key(run, 'tasks'), task, call('HGET', run_key(run, 'kept'), task))
      else
        save_record(run, task, new_record(row))
        call('HDEL', run_key(run, 'out'), 'r/' .. task, 'e/' .. task, 's/' .. task)
      end
      call('HSET', run_key(run, 'plan'), task, pack_plan(row))
      call('HSET', run_key(run, 'specs'), task, row.spec)
    end
    for k, ids in ipairs(row.downstream) do
      call('HSET', run_key(run, 'plan'), task .. '/' .. (k - 1), ids)
    end
  end
  return 1
end

-- run, token, number of tasks, how many of them have ended before, queues (space separated),
-- chunks of tasks to decide at the start
function OPERATIONS.plan_commit(run, token, total, ended, queues, chunks)
  if not planner_is(run, token) then return { 'no', 0 } end
  if call('HLEN', run_key(run, 'tasks')) ~= tonumber(total) then return { 'incomplete', 0 } end
  local left = tonumber(total) - tonumber(ended)
  call('HSET', run_key(run), 'state', 'running', 'total', total, 'left', left, 'queues', queues)
  call('HSETNX', run_key(run), 'started_at', text(NOW))
  call('HDEL', run_key(run), 'planner')
  call('DEL', run_key(run, 'kept'))
  for queue in string.gmatch(queues, '%S+') do call('SADD', key('queues'), queue) end
  event(run, 'kind', 'run', 'state', 'running')
  local timeout = tonumber(call('HGET', run_key(run), 'timeout'))
  if timeout > 0 then call('ZADD', key('timers'), text(NOW + timeout * 1e6), 'timeout/' .. run) end
  if left == 0 then finish_run(run, 'success') end
  tell_downstream('', tonumber(chunks), '')
  return { 'ok', spread(run) }
end

-- Stops a run: 'cancel', or 'timeout'. Returns what it is now, and 1 while more is left to do.
function OPERATIONS.cancel(run, reason)
  local state, why = known(run)
  if not state then return { why, 0 } end
  if state == 'queued' then
    call('HSET', run_key(run), 'reason', reason)
    end_unplanned(run, 'cancelled')
    return { 'cancelled', 0 }
  end
  if state ~= 'running' then return { state, 0 } end
  call('HSET', run_key(run), 'state', 'cancelling', 'reason', reason, 'scan', '0')
  call('ZREM', key('timers'), 'timeout/' .. run)
  event(run, 'kind', 'run', 'state', 'cancelling')
  local more = spread(run)
  return { known(run), more }
end

-- Goes on with what was too long for one script. Returns 1 while more is left.
function OPERATIONS.work(run)
  if not known(run) then
    call('SREM', key('working'), run)
    return 0
  end
  return spread(run)
end
