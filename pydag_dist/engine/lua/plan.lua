-- From a submission to a running run: exactly once, by the newest planner.

local OPERATIONS = {}

-- run, DAG as JSON, dag_id, processors, weight, retention in s, params as JSON
function OPERATIONS.submit(run, dag, dag_id, processors, weight, retention, params)
  if call('EXISTS', run_key(run)) == 1 then return 0 end
  call('HSET', run_key(run), 'schema', SCHEMA, 'state', 'queued', 'dag_id', dag_id,
       'processors', processors, 'weight', weight, 'retention', retention, 'params', params,
       'submitted_at', text(NOW))
  call('SET', run_key(run, 'dag'), dag)
  call('ZADD', key('runs'), text(NOW), run)
  for _, oldest in ipairs(call('ZRANGE', key('runs'), 0, 1)) do
    if call('EXISTS', run_key(oldest)) == 0 then call('ZREM', key('runs'), oldest) end
  end
  call('XADD', key('submissions'), '*', 'run', run)
  event(run, 'kind', 'run', 'state', 'queued')
  return 1
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

-- Ends a run that can't be planned.
function OPERATIONS.plan_refuse(run, err)
  if known(run) ~= 'queued' then return 0 end
  call('HSET', run_key(run), 'error', err)
  finish_run(run, 'failed')
  return 1
end

local function planner_is(run, token)
  local state = known(run)
  return state == 'queued' and call('HGET', run_key(run), 'planner') == token
end

-- Rows of a chunk: [task, queue, rank, rule, number of upstream tasks,
-- [chunk of downstream ids, ...], spec as JSON]; a row with task "" has the tasks without upstream.
function OPERATIONS.plan_chunk(run, token, rows)
  rows = cjson.decode(rows)
  if not planner_is(run, token) then return 0 end
  for _, row in ipairs(rows) do
    local task, chunks = row[1], row[6]
    if task ~= '' then
      save_record(run, task, new_record(row[4], row[5]))
      call('HSET', run_key(run, 'plan'), task, row[2] .. '|' .. row[3] .. '|' .. #chunks)
      call('HSET', run_key(run, 'specs'), task, row[7])
    end
    for k, ids in ipairs(chunks) do
      call('HSET', run_key(run, 'plan'), task .. '/' .. (k - 1), ids)
    end
  end
  return 1
end

-- run, token, number of tasks, queues (space separated), chunks of tasks without upstream
function OPERATIONS.plan_commit(run, token, total, queues, chunks)
  if not planner_is(run, token) then return { 'no', 0 } end
  if call('HLEN', run_key(run, 'tasks')) ~= tonumber(total) then return { 'incomplete', 0 } end
  call('HSET', run_key(run), 'state', 'running', 'started_at', text(NOW), 'total', total,
       'left', total, 'queues', queues)
  call('HDEL', run_key(run), 'planner')
  for queue in string.gmatch(queues, '%S+') do call('SADD', key('queues'), queue) end
  event(run, 'kind', 'run', 'state', 'running')
  tell_downstream('', tonumber(chunks), '')
  return { 'ok', spread(run) }
end

-- Goes on with a cascade that was too long for one script. Returns 1 while more is left.
function OPERATIONS.work(run)
  if not known(run) then
    call('SREM', key('working'), run)
    return 0
  end
  return spread(run)
end
