-- Runs are submitted, given back to a Redis that lost them, and resumed: then they wait to be planned.

local OPERATIONS = {}

local function submit_to_planners(run)
  call('XADD', key('submissions'), '*', 'run', run)
end

-- µs since 1970 of a date in UTC as clients write it; nil of no date.
function SCHEDULES.moment(date)
  local year, month, day, hour, minute, second = string.match(date, '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)')
  if not year then return nil end
  if tonumber(month) < 3 then year, month = year - 1, month + 12 end   -- a year ends with February
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
               + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1e6
end

-- The run's end is expected so many seconds after its logical date, or after its submission if it was given none.
-- Backfills are made of dates that are long over: their runs count from the submission, too.
function SCHEDULES.expect(run, within, submitted_at)
  local head = call('HMGET', run_key(run), 'logical_date', 'run_type')
  local since = head[2] ~= 'backfill' and SCHEDULES.moment(head[1] or '') or submitted_at
  local at = text(since + within * 1e6)
  call('HSET', run_key(run), 'expected_at', at)
  call('ZADD', key('late'), at, run)
end

-- Whether `restore` was given what a run that begins at a task does not run.
local function begins(run)
  local record = call('HSCAN', run_key(run, 'kept'), 0, 'COUNT', 1)[2][2]
  return record and string.find(record, '|taken|', 1, true)
end

-- Makes a run that is to be planned; the rest of its hash is there. It keeps what `restore` was given, unless that
-- is of a client that died before it submitted a run that begins at a task, which this one does not.
local function make_run(run, dag)
  local keeps = call('HEXISTS', run_key(run), 'from') == 1 or not begins(run)
  for _, part in ipairs({ 'kept', 'out' }) do call(keeps and 'PERSIST' or 'UNLINK', run_key(run, part)) end
  call('HSET', run_key(run), 'schema', SCHEMA, 'state', 'queued')
  call('SET', run_key(run, 'dag'), dag)
  local head = call('HMGET', run_key(run), 'submitted_at', 'expected_within')
  local submitted_at, within = head[1] or text(NOW), tonumber(head[2] or 0)
  call('ZADD', key('runs'), submitted_at, run)
  if within > 0 then SCHEDULES.expect(run, within, submitted_at) end
  call('ZADD', key('names'), 0, run)
  for _, oldest in ipairs(call('ZRANGE', key('runs'), 0, 1)) do
    if call('EXISTS', run_key(oldest)) == 0 then
      call('ZREM', key('runs'), oldest)
      call('ZREM', key('names'), oldest)
    end
  end
  SCHEDULES.began(run, '')
  submit_to_planners(run)
end

-- A new run is to be planned. Its logical date is the time of the submission if that is empty. If it begins
-- at a task (`from`), `restore` has been given what it does not run.
--   given    run, dag; fields of the run
--   answers  1, or 0 if there is such a run
--   writes   history, late, names, run:ID, run:ID:dag, run:ID:events, run:ID:kept, run:ID:out, runs, submissions
function OPERATIONS.submit(run, dag, ...)
  if call('EXISTS', run_key(run)) == 1 then return 0 end
  call('HSET', run_key(run), 'submitted_at', text(NOW), ...)
  make_run(run, dag)
  run_event(run, 'queued', 'dag_hash', call('HGET', run_key(run), 'dag_hash') or '')
  return 1
end

-- How many children the expanded tasks of a run have together, with these: "task number task ...".
local function children_with(run, expansions)
  local out = run_key(run, 'out')
  local total = tonumber(call('HGET', out, 'children') or 0)
  for name, number in string.gmatch(expansions, '(%S+) (%d+)') do
    total = total + number - (call('HGET', out, OUT.number .. name) or 0)
  end
  return total
end

local function note_expansions(run, expansions)
  if expansions == '' then return end
  local out = run_key(run, 'out')
  call('HSET', out, 'children', children_with(run, expansions))
  for name, number in string.gmatch(expansions, '(%S+) (%d+)') do
    call('HSET', out, OUT.number .. name, number)
  end
end

-- Whether Redis does not know the run, or no more of it than that its client submitted it again.
local function is_lost(run)
  local head = call('HMGET', run_key(run), 'state', 'started_at', 'planner', 'restored')
  return not head[1] or head[1] == 'queued' and not (head[2] or head[3] or head[4])
end

local LOST_ROW = {
  task = 'id', state = 'state', try = 'try', last_try = 'try', pushes = 'count', push = 'short',
  token = 'short', rule = 'short', upstream = 'count', ok = 'count', bad = 'count', dead_up = 'count',
  skips = 'count', asks = 'count', deaths = 'count', losses = 'count', reason = 'short', ready_at = 'time',
  queued_at = 'time', started_at = 'time', ended_at = 'time', worker = 'short', process = 'short',
  charged = 'time', began = 'time', needs = 'short', result = 'result', error = 'error', branch_skips = 'ids',
  expansions = 'expansions' }

-- Gives back what the newest tries of a run were that Redis has lost, before `restore_run`; or what a run
-- that begins at a task does not run, before `submit`. It is forgotten if that does not come. Rows are objects with
-- the fields of a record, and result, error, branch_skips, expansions.
--   given    run, rows
--   answers  1, or 0 if Redis has the run
--   writes   run:ID:kept, run:ID:out
function OPERATIONS.restore(run, rows)
  rows = decoded_rows('restore', rows)
  for _, row in ipairs(rows) do check_row('restore', row, LOST_ROW) end
  if not is_lost(run) then return 0 end
  for _, row in ipairs(rows) do
    local task = row.task
    call('HSET', run_key(run, 'kept'), task, pack_record(row))
    for kind, value in pairs({ result = row.result, error = row.error, skips = row.branch_skips }) do
      if value ~= '' then call('HSET', run_key(run, 'out'), OUT[kind] .. task, value) end
    end
    note_expansions(run, row.expansions)
  end
  if call('EXISTS', run_key(run)) == 0 then
    -- Long, since the server's clock may be set right by hours meanwhile: what ended would run again.
    for _, part in ipairs({ 'kept', 'out' }) do call('EXPIRE', run_key(run, part), 86400) end
  end
  return 1
end

-- Gives back a run that Redis has lost; `restore` has given back its tries before, and this the run whose
-- task waits for it.
--   given    run, dag, was_planned; fields of the run
--   answers  1, or 0 if Redis has the run
--   writes   history, late, names, run:ID, run:ID:dag, run:ID:events, run:ID:kept, run:ID:out, runs, submissions, dag:ID,
--            dag:ID:active, backfill:ID:active
function OPERATIONS.restore_run(run, dag, was_planned, ...)
  if not is_lost(run) then return 0 end
  local is_there = call('EXISTS', run_key(run)) == 1
  call('HSET', run_key(run), ...)
  if was_planned == '1' then call('HSET', run_key(run), 'restored', 1) end
  if not is_there then
    make_run(run, dag)
    event(run, 'kind', 'run', 'state', 'queued')   -- the history knows it as what it was
    local parent = call('HMGET', run_key(run), 'parent_run', 'parent_task')
    if parent[1] and call('EXISTS', run_key(parent[1])) == 1 then
      call('HSET', run_key(parent[1], 'out'), OUT.child .. parent[2], run)
    end
  end
  return 1
end

-- The next round of an ended run begins: it is to be planned again.
local function go_on(run, state, from, by)
  if call('EXISTS', run_key(run, 'tasks')) == 1 then
    call('RENAME', run_key(run, 'tasks'), run_key(run, 'kept'))
  end
  -- What an ended run's tasks had yet to hear, their new plan tells them.
  call('UNLINK', run_key(run, 'work'))
  call('SREM', key('working'), run)
  local head = call('HMGET', run_key(run), 'round_at', 'ended_at', 'changed', 'marked', 'dag_hash', 'rounds')
  if head[1] then
    call('HINCRBY', run_key(run), 'spent', text(math.max(0, head[2] - head[1])))
  end
  call('HDEL', run_key(run), 'ended_at', 'error', 'failures', 'reason', 'scan', 'restored', 'round_at')
  call('HSET', run_key(run), 'rounds', (head[6] or 1) + 1)
  set_run_state(run, state, 'queued', 'from', from)
  call('PERSIST', run_key(run))
  for _, part in ipairs(PROTOCOL.run_parts) do call('PERSIST', run_key(run, part)) end
  SCHEDULES.began(run, state)
  submit_to_planners(run)
  HEAD.note_act(run, 'resume', by, from)
  run_event(run, 'queued', 'from', from, 'changed', head[3] or '', 'marked', head[4] or '',
            'dag_hash', head[5] or '')
  return 'ok'
end

-- Submits an ended run again, to go on from what did not succeed, or from one task.
--   given    run, from, by
--   answers  ok, the state that forbids it, `no task`, unknown, schema or broken
--   writes   submissions, history, working, run:ID:*, dag:ID:active, backfill:ID, backfill:ID:active
function OPERATIONS.resume(run, from, by)
  local state, why = known(run)
  if not state then return why end
  if not ENDED_RUN[state] then return state end
  local marked = call('HEXISTS', run_key(run), 'marked') == 1
  if state == 'success' and from == '' and not marked then return state end
  if from ~= '' and call('HEXISTS', run_key(run, 'tasks'), from) == 0 then return 'no task' end
  return go_on(run, state, from, by)
end

-- Submits an ended run again with another DAG. Its tasks `changed` are not what they were in the DAG before,
-- whose hash is `before`.
--   given    run, from, by, before, changed, dag; fields of the run
--   answers  as resume; `another` if it has another DAG by now, `another dag` if that has another
--            id
--   writes   submissions, history, working, run:ID:*, dag:ID:active, backfill:ID, backfill:ID:active
function OPERATIONS.resume_with(run, from, by, before, changed, dag, ...)
  local state, why = known(run)
  if not state then return why end
  if not ENDED_RUN[state] then return state end
  local head, given = call('HMGET', run_key(run), 'dag_hash', 'dag_id', 'changed'), { ... }
  if (head[1] or '') ~= before then return 'another' end
  for i = 1, #given, 2 do
    if given[i] == 'dag_id' and given[i + 1] ~= head[2] then return 'another dag' end
  end
  if call('TTL', run_key(run)) < 0 then   -- else the history has all of it
    call('XADD', key('history'), '*', 'kind', 'dag', 'run', run, 'dag_id', head[2], 'dag',
         call('GET', run_key(run, 'dag')))
  end
  call('SET', run_key(run, 'dag'), dag)
  call('HSET', run_key(run), ...)
  if changed ~= '' then
    call('HSET', run_key(run), 'changed', head[3] and (head[3] .. ' ' .. changed) or changed)
  end
  return go_on(run, state, from, by)
end
