-- Runs of published DAGs: how they begin, and who hears that they go on or have ended: their schedules, and
-- tasks that wait for them.

do   -- a function has 200 local variables at most
local function dag_key(dag, part) return key('dag:' .. dag) .. (part and (':' .. part) or '') end

-- A run that a schedule or a backfill has started is under way: again, if it had ended as `before`.
function SCHEDULES.began(run, before)
  local head = call('HMGET', run_key(run), 'run_type', 'dag_id', 'backfill')
  if head[1] == 'scheduled' then call('SADD', dag_key(head[2], 'active'), run) end
  if head[3] then SCHEDULES.backfill_began(run, head[3], before) end
end

-- A run of a published DAG has ended: the one that it held back is due at once.
function SCHEDULES.ended(run, run_type, dag, state)
  if run_type == 'backfill' then return SCHEDULES.backfill_ended(run, state) end
  if run_type == 'scheduled' then
    call('SREM', dag_key(dag, 'active'), run)
    if call('HEXISTS', dag_key(dag), 'held') == 1 then SCHEDULES.file_due(dag) end
  end
  if call('HGET', dag_key(dag), 'last_run') == run then
    call('HSET', dag_key(dag), 'last_state', state, 'last_ended', text(NOW))
  end
end

-- The task that has started a run which has ended asks for it now, unless a worker does already.
function SCHEDULES.tell_parent(run, task)
  local record = planned(run) and load_record(run, task)
  if record and record.state == 'deferred' and record.token == '' then
    call('ZADD', key('timers'), 'XX', 'LT', text(STEADY), TIMERS.poll .. run .. '/' .. task)
  end
end

-- Makes a run of the newest version; more fields of its hash follow. False if it was there.
function SCHEDULES.make_run(dag, run, ...)
  if call('EXISTS', run_key(run)) == 1 then return false end
  local version = call('HGET', dag_key(dag), 'version')
  call('HSET', run_key(run), unpack(call('HGETALL', dag_key(dag, 'run'))))
  call('HSET', run_key(run), 'submitted_at', text(NOW), 'version', version, ...)
  make_run(run, call('HGET', dag_key(dag, 'texts'), version))
  run_event(run, 'queued', 'dag_hash', call('HGET', run_key(run), 'dag_hash') or '')
  return true
end

-- Likewise, and it is the last one that people are told of.
function SCHEDULES.make_last_run(dag, run, ...)
  if not SCHEDULES.make_run(dag, run, ...) then return 'there' end
  call('HSET', dag_key(dag), 'last_run', run)
  call('HDEL', dag_key(dag), 'last_state', 'last_ended')
  return 'made'
end

-- Whether so many runs of a set of active ones go on; one that is gone does not.
function SCHEDULES.are_active(set, most)
  local active = call('SMEMBERS', set)
  local count = #active
  if count < most then return false end
  for _, run in ipairs(active) do
    local state = call('HGET', run_key(run), 'state')
    if not state or ENDED_RUN[state] then
      call('SREM', set, run)
      count = count - 1
    end
  end
  return count >= most
end

-- Starts a run of the newest version by hand, whatever its schedule is and does.
--   given    dag, run, params, logical_date, by
--   answers  made, there or unknown
--   writes   dag:ID, history, late, names, run:ID, run:ID:dag, run:ID:events, run:ID:kept, run:ID:out, runs, submissions
function OPERATIONS.start(dag, run, params, logical_date, by)
  if call('HEXISTS', dag_key(dag), 'published_at') == 0 then return 'unknown' end
  return SCHEDULES.make_last_run(dag, run, 'run_type', 'manual', 'params', params, 'logical_date',
                                 logical_date, 'submitted_by', by)
end

-- The DAGs whose runs are under way around a run that `parent` starts, outermost first; or nil and why
-- it must not.
local function chain_to(parent, dag)
  local head = call('HMGET', run_key(parent), 'dag_id', 'ancestors')
  local chain, length = head[2] and (head[2] .. ' ' .. head[1]) or head[1], 0
  for name in string.gmatch(chain, '%S+') do
    if name == dag then return nil, 'within' end
    length = length + 1
  end
  if length >= LIMITS.chain then return nil, 'deep' end
  return chain
end

-- Likewise for a try of a task, which waits for that run.
--   given    dag, run, params, logical_date, parent_run, parent_task, parent_try
--   answers  made, there or unknown; lost, while Redis may have lost the parent or the DAG; over, if
--            the try is not under way; within, if a run of the DAG is under way around it; deep, if
--            too many are
--   writes   dag:ID, history, late, names, run:ID, run:ID:dag, run:ID:events, run:ID:kept, run:ID:out, runs, submissions
function OPERATIONS.start_child(dag, run, params, logical_date, parent_run, parent_task, parent_try)
  if call('EXISTS', run_key(run)) == 1 then return 'there' end
  if call('EXISTS', key('epoch')) == 0 or not planned(parent_run) then return 'lost' end
  local record = load_record(parent_run, parent_task)
  local is_under_way = record and (record.state == 'running' or record.state == 'deferred')
  if not is_under_way or record.try ~= tonumber(parent_try) then return 'over' end
  local chain, why = chain_to(parent_run, dag)
  if not chain then return why end
  if call('HEXISTS', dag_key(dag), 'published_at') == 0 then return 'unknown' end
  SCHEDULES.make_last_run(dag, run, 'run_type', 'triggered', 'params', params, 'logical_date',
                          logical_date, 'parent_run', parent_run, 'parent_task', parent_task, 'ancestors', chain)
  call('HSET', run_key(parent_run, 'out'), OUT.child .. parent_task, run)
  return 'made'
end

end
