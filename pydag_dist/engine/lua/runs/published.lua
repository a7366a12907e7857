-- Published DAGs: which version of a DAG its name means, when it is due next, and that each due time
-- has one run at most.
--
-- When a DAG is due is computed by the caller, from what it has seen: it names the version and the
-- due time that it saw, and is told 'again' if they are others by now. Due times are moments by the
-- server's clock, in µs. `settled` is the newest one that has its run or was missed: none up to it
-- ever gets a run again, whatever the clock does.
--
-- A call that goes past due times which get no run says how many they are (`missed`), and which are
-- the `first` and the `last` of them: the history is told of them.

do   -- a function has 200 local variables at most
local VERSIONS = 10             -- of a DAG that are kept; the history has all
local VERSIONS_BYTES = 4 * 2 ^ 20   -- of their texts together, besides the newest one
local HELD_FOR = 60e6           -- µs after which a DAG that was held back is looked at at the latest

local function dag_key(dag, part) return key('dag:' .. dag) .. (part and (':' .. part) or '') end

local function dag_event(dag, by, ...)
  call('XADD', key('history'), '*', 'dag_id', dag, 'at', text(NOW), 'by', by, ...)
end

-- Whether the DAG is published, of that version, and due at that time.
local function is_as_seen(dag, version, due)
  local head = call('HMGET', dag_key(dag), 'published_at', 'version', 'due')
  return head[1] and (head[2] or '0') == version and (head[3] or '') == due
end

local function check_move(operation, dag, due, missed, first, last)
  local settled = tonumber(call('HGET', dag_key(dag), 'settled') or 0)
  if missed ~= '0' then
    if first == '' or last == '' or tonumber(first) > tonumber(last) or tonumber(first) <= settled then
      refuse(operation .. ': no due times from ' .. shown(first) .. ' to ' .. shown(last) .. ' can be missed')
    end
    settled = tonumber(last)
  end
  if due ~= '' and tonumber(due) <= settled then
    refuse(operation .. ': what was due up to ' .. text(settled) .. ' is settled, ' .. due .. ' too')
  end
end

local function settle(dag, at)
  local settled = tonumber(call('HGET', dag_key(dag), 'settled') or 0)
  call('HSET', dag_key(dag), 'settled', text(math.max(settled, at)))
end

local function miss(dag, missed, first, last)
  if missed == '0' then return end
  settle(dag, tonumber(last))
  call('HINCRBY', dag_key(dag), 'missed', missed)
  call('HSET', dag_key(dag), 'missed_last', last)
  dag_event(dag, '', 'kind', 'missed', 'missed', missed, 'first', first, 'last', last)
end

-- Lets coordinators look at the DAG when it is due, unless it is paused, or never due again.
function SCHEDULES.file_due(dag)
  local head = call('HMGET', dag_key(dag), 'published_at', 'due', 'paused_at')
  call('HDEL', dag_key(dag), 'held')
  if head[1] and head[2] and not head[3] then
    call('ZADD', key('schedules'), head[2], dag)
  else
    call('ZREM', key('schedules'), dag)
  end
end

local function set_due(dag, due)
  if due == '' then call('HDEL', dag_key(dag), 'due') else call('HSET', dag_key(dag), 'due', due) end
  SCHEDULES.file_due(dag)
end

local function forget_old_versions(dag)
  local kept, bytes = {}, 0
  local newest = tonumber(call('HGET', dag_key(dag), 'version'))
  for _, version in ipairs(call('HKEYS', dag_key(dag, 'texts'))) do kept[#kept + 1] = tonumber(version) end
  table.sort(kept, function(one, other) return one > other end)
  for i, version in ipairs(kept) do
    if version ~= newest then bytes = bytes + call('HSTRLEN', dag_key(dag, 'texts'), version) end
    if i > VERSIONS or bytes > VERSIONS_BYTES then
      call('HDEL', dag_key(dag, 'texts'), version)
      call('HDEL', dag_key(dag, 'versions'), version)
    end
  end
end

-- The fields of `run` are what each run of this version begins with.
local function save_version(dag, version, dag_text, at, by, run)
  call('HSET', dag_key(dag), 'version', version)
  call('HSET', dag_key(dag, 'texts'), version, dag_text)
  call('UNLINK', dag_key(dag, 'run'))
  call('HSET', dag_key(dag, 'run'), unpack(run))
  local hash = call('HGET', dag_key(dag, 'run'), 'dag_hash') or ''
  call('HSET', dag_key(dag), 'hash', hash)
  call('HSET', dag_key(dag, 'versions'), version, at .. ' ' .. hash .. ' ' .. by)
  forget_old_versions(dag)
end

-- Makes a text the newest version of the DAG, unless it is that already. `schedule` is JSON that
-- only callers understand, or empty; `source` the file of a folder, or empty.
--   given    dag, seen_version, seen_due, text, schedule, max_active, source, by, due, missed,
--            first, last; fields of the run
--   answers  published or same, and the version; or again (it is not as the caller has seen it), 0
--   writes   dags, dag:ID, dag:ID:run, dag:ID:texts, dag:ID:versions, history, schedules
function OPERATIONS.publish(dag, seen_version, seen_due, dag_text, schedule, max_active, source, by,
                            due, missed, first, last, ...)
  local head = call('HMGET', dag_key(dag), 'published_at', 'version', 'due', 'hash', 'known', 'source')
  if (head[2] or '0') ~= seen_version or (head[3] or '') ~= seen_due then return { 'again', 0 } end
  local run, is_first, given = { ... }, not head[1], {}
  for i = 1, #run, 2 do given[run[i]] = run[i + 1] end
  if given.dag_id ~= dag then refuse('publish: the DAG is ' .. shown(given.dag_id)) end
  if head[1] and given.dag_hash == head[4] then
    if head[6] ~= source then
      call('HSET', dag_key(dag), 'source', source)
      dag_event(dag, by, 'kind', 'moved', 'source', source)
    end
    return { 'same', tonumber(head[2]) }
  end
  check_move('publish', dag, due, missed, first, last)
  local version = text((head[2] or 0) + 1)
  call('ZADD', key('dags'), 0, dag)
  miss(dag, missed, first, last)
  save_version(dag, version, dag_text, text(NOW), by, run)
  call('HSET', dag_key(dag), 'schedule', schedule, 'max_active', max_active, 'source', source,
       'published_at', text(NOW), 'published_by', by)
  if head[5] or call('EXISTS', key('epoch')) == 1 then call('HSET', dag_key(dag), 'known', 1) end
  if is_first then call('HDEL', dag_key(dag), 'paused_at', 'paused_by') end
  set_due(dag, due)
  dag_event(dag, by, 'kind', 'published', 'version', version, 'dag', dag_text, 'schedule', schedule,
            'max_active', max_active, 'source', source, 'due', due,
            'settled', call('HGET', dag_key(dag), 'settled') or '', 'run_fields', cjson.encode(run))
  return { 'published', tonumber(version) }
end

-- A paused DAG's schedule starts nothing.
--   given    dag, by
--   answers  ok, same or unknown
--   writes   dag:ID, history, schedules
function OPERATIONS.pause(dag, by)
  local head = call('HMGET', dag_key(dag), 'published_at', 'paused_at')
  if not head[1] then return 'unknown' end
  if head[2] then return 'same' end
  call('HSET', dag_key(dag), 'paused_at', text(NOW), 'paused_by', by)
  SCHEDULES.file_due(dag)
  dag_event(dag, by, 'kind', 'paused')
  return 'ok'
end

-- Its schedule goes on.
--   given    dag, seen_version, seen_due, by, due, missed, first, last
--   answers  ok, same, again or unknown
--   writes   dag:ID, history, schedules
function OPERATIONS.unpause(dag, seen_version, seen_due, by, due, missed, first, last)
  local head = call('HMGET', dag_key(dag), 'published_at', 'paused_at')
  if not head[1] then return 'unknown' end
  if not head[2] then return 'same' end
  if not is_as_seen(dag, seen_version, seen_due) then return 'again' end
  check_move('unpause', dag, due, missed, first, last)
  miss(dag, missed, first, last)
  call('HDEL', dag_key(dag), 'paused_at', 'paused_by')
  set_due(dag, due)
  dag_event(dag, by, 'kind', 'unpaused', 'due', due)
  return 'ok'
end

-- Of a DAG's hash what is kept of one that is published no longer.
local LASTING = { 'version', 'settled', 'known', 'missed', 'missed_last' }

-- It is published no longer; its runs go on.
--   given    dag, seen_version, seen_due, by, missed, first, last
--   answers  ok, again or unknown
--   writes   dags, dag:ID, dag:ID:run, dag:ID:texts, dag:ID:versions, history, schedules
function OPERATIONS.unpublish(dag, seen_version, seen_due, by, missed, first, last)
  if call('HEXISTS', dag_key(dag), 'published_at') == 0 then return 'unknown' end
  if not is_as_seen(dag, seen_version, seen_due) then return 'again' end
  check_move('unpublish', dag, '', missed, first, last)
  miss(dag, missed, first, last)
  local kept = call('HMGET', dag_key(dag), unpack(LASTING))
  call('UNLINK', dag_key(dag), dag_key(dag, 'run'), dag_key(dag, 'texts'), dag_key(dag, 'versions'))
  for i, name in ipairs(LASTING) do
    if kept[i] then call('HSET', dag_key(dag), name, kept[i]) end
  end
  call('ZREM', key('dags'), dag)
  call('ZREM', key('schedules'), dag)
  dag_event(dag, by, 'kind', 'unpublished')
  return 'ok'
end

-- Starts the run of the due time `at`, and says when the DAG is due next.
--   given    dag, seen_version, seen_due, run, at, logical_date, due, missed, first, last
--   answers  made; there, if it was; held, if the schedule has too many runs; paused, early or
--            again
--   writes   dag:ID, dag:ID:active, schedules, history, late, names, run:ID, run:ID:dag, run:ID:events,
--            run:ID:kept, run:ID:out, runs, submissions
function OPERATIONS.fire(dag, seen_version, seen_due, run, at, logical_date, due, missed, first, last)
  if not is_as_seen(dag, seen_version, seen_due) then return 'again' end
  if call('HEXISTS', dag_key(dag), 'paused_at') == 1 then return 'paused' end
  if seen_due == '' or tonumber(at) > NOW then return 'early' end
  check_move('fire', dag, due, missed, first, last)
  if tonumber(at) < tonumber(seen_due) or due ~= '' and tonumber(due) <= tonumber(at)
     or missed ~= '0' and tonumber(last) >= tonumber(at) then
    refuse('fire: due at ' .. seen_due .. ', a run for ' .. at .. ' and then ' .. due .. ' is in no order')
  end
  if SCHEDULES.are_active(dag_key(dag, 'active'), tonumber(call('HGET', dag_key(dag), 'max_active'))) then
    call('HSET', dag_key(dag), 'held', 1)
    call('ZADD', key('schedules'), text(NOW + HELD_FOR), dag)
    return 'held'
  end
  local is_settled = tonumber(at) <= tonumber(call('HGET', dag_key(dag), 'settled') or 0)
  miss(dag, missed, first, last)
  settle(dag, tonumber(at))
  set_due(dag, due)
  if is_settled then return 'there' end
  return SCHEDULES.make_last_run(dag, run, 'run_type', 'scheduled', 'logical_date', logical_date)
end

local DAG_ROW = { version = 'count', settled = 'time', missed = 'count', missed_last = 'time' }
local PUBLISHED_ROW = { schedule = 'schedule', max_active = 'active', source = 'short',
                        due = 'time', published_at = 'moment', published_by = 'short', paused_at = 'time',
                        paused_by = 'short', last_run = 'id_or_none' }

-- Gives back what the history knows of a DAG that Redis has lost: fields of its hash as JSON, and
-- its newest version's text, empty if it is published no longer. One that was published since then
-- by somebody else keeps what it is, and its versions come after the lost ones.
--   given    dag, text, row; fields of the run
--   answers  1, or 0 if somebody else has published it
--   writes   dags, dag:ID, dag:ID:run, dag:ID:texts, dag:ID:versions, schedules
function OPERATIONS.restore_dag(dag, dag_text, row, ...)
  row = decoded_rows('restore_dag', row)[1] or {}
  check_row('restore_dag', row, DAG_ROW)
  if dag_text ~= '' then check_row('restore_dag', row, PUBLISHED_ROW) end
  local head = call('HMGET', dag_key(dag), 'version', 'known')
  if head[2] then return 0 end
  local version = text((head[1] or 0) + row.version)
  call('HSET', dag_key(dag), 'known', 1)
  call('HINCRBY', dag_key(dag), 'missed', row.missed)
  if row.settled ~= '' then settle(dag, tonumber(row.settled)) end
  if row.missed_last ~= '' then call('HSET', dag_key(dag), 'missed_last', row.missed_last) end
  if head[1] then
    save_version(dag, version, call('HGET', dag_key(dag, 'texts'), head[1]), text(NOW),
                 call('HGET', dag_key(dag), 'published_by'), call('HGETALL', dag_key(dag, 'run')))
  elseif dag_text == '' then
    call('HSET', dag_key(dag), 'version', version)
  else
    call('ZADD', key('dags'), 0, dag)
    save_version(dag, version, dag_text, row.published_at, row.published_by, { ... })
    for _, name in ipairs({ 'schedule', 'max_active', 'source', 'published_at', 'published_by', 'paused_at',
                            'paused_by', 'last_run' }) do
      if row[name] ~= '' then call('HSET', dag_key(dag), name, row[name]) end
    end
    set_due(dag, row.due)
  end
  return 1
end

end
