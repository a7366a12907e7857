-- Backfills: each due time of a schedule in a time that has passed gets a run, a few at a time.
--
-- Which due times these are, and which are left out, is computed by the caller. It names `next` and the
-- DAG's version as it saw them, and is told 'again' if they are others by now. So each due time is
-- decided on once, however many coordinators there are. A run is of the version that is the newest one
-- when the run is made.

do   -- a function has 200 local variables at most
local HELD_FOR = 60e6   -- µs after which a backfill that waits for its runs is looked at at the latest
local OPEN = { running = true, paused = true, cancelling = true }

local function backfill_key(backfill, part) return key('backfill:' .. backfill) .. (part and (':' .. part) or '') end

-- Coordinators look at it then: 0 is at once, also for a clock that was set back.
local function look_at(backfill, at) call('ZADD', key('backfills:open'), text(at), backfill) end

local function goes_on(backfill) return SCHEDULES.are_active(backfill_key(backfill, 'active'), 1) end

-- Its hash as it is from now on, for the history.
local function tell(backfill, change, by)
  local fields = call('HGETALL', backfill_key(backfill))
  call('XADD', key('history'), '*', 'kind', 'backfill', 'backfill', backfill, 'at', text(NOW), 'by', by,
       'change', change, 'dag_id', call('HGET', backfill_key(backfill), 'dag_id'), 'fields', cjson.encode(fields))
end

-- The next state of a backfill; coordinators look at it at once if they have anything to do.
local function set_backfill_state(backfill, state, by)
  local before = call('HGET', backfill_key(backfill), 'state')
  if not check_transition('backfill', before, state) then
    error('backfill ' .. backfill .. ' must not go from ' .. before .. ' to ' .. state, 0)
  end
  call('HSET', backfill_key(backfill), 'state', state, 'changed_at', text(NOW), 'changed_by', by)
  if state == 'running' or state == 'cancelling' then
    look_at(backfill, 0)
  else
    call('ZREM', key('backfills:open'), backfill)
  end
  if not OPEN[state] then
    call('HSET', backfill_key(backfill), 'ended_at', text(NOW))
    call('EXPIRE', backfill_key(backfill), call('HGET', backfill_key(backfill), 'retention'))
    call('UNLINK', backfill_key(backfill, 'active'))
  end
end

local function set_next(backfill, next)
  if next == '' then
    call('HDEL', backfill_key(backfill), 'next')
  else
    call('HSET', backfill_key(backfill), 'next', next)
  end
end

-- Ends it if nothing is left to do; its state if it has ended.
local function end_if_idle(backfill, state)
  local is_decided = call('HEXISTS', backfill_key(backfill), 'next') == 0
  if state ~= 'cancelling' and not is_decided or goes_on(backfill) then return nil end
  local ended = state == 'cancelling' and 'cancelled' or 'done'
  set_backfill_state(backfill, ended, '')
  tell(backfill, ended, '')
  return ended
end

-- A run of the backfill is under way: again, if it had ended as `before`.
function SCHEDULES.backfill_began(run, backfill, before)
  local state = call('HGET', backfill_key(backfill), 'state')
  if not state then return end   -- it ended longer ago than the retention, or the history has it
  if before ~= '' then call('HINCRBY', backfill_key(backfill), before, -1) end
  if OPEN[state] then call('SADD', backfill_key(backfill, 'active'), run) end
end

function SCHEDULES.backfill_ended(run, ended)
  local head = call('HMGET', run_key(run), 'backfill', 'round_at', 'submitted_at')
  local backfill = head[1]
  if not backfill then return end   -- whoever submitted the run only says so
  local state = call('HGET', backfill_key(backfill), 'state')
  if not state then return end
  call('HINCRBY', backfill_key(backfill), ended, 1)
  call('HINCRBY', backfill_key(backfill), 'spent', text(math.max(0, NOW - (head[2] or head[3]))))
  if not OPEN[state] then return end
  call('SREM', backfill_key(backfill, 'active'), run)
  if not end_if_idle(backfill, state) and state == 'running' then look_at(backfill, 0) end
end

-- Begins a backfill of `total` due times, of which `first` and `last` are the first and the last in
-- time; `schedule` is JSON that only callers understand.
--   given    backfill, dag, seen_version, seen_due, schedule, first, last, total, newest_first, again,
--            weight, max_active, by
--   answers  made; there, if it was; again (the DAG is not as the caller has seen it); unknown (it is
--            not published); or full (there are too many backfills)
--   writes   backfills, backfills:open, backfill:ID, history
function OPERATIONS.backfill(backfill, dag, seen_version, seen_due, schedule, first, last, total, newest_first,
                             again, weight, max_active, by)
  if call('EXISTS', backfill_key(backfill)) == 1 then return 'there' end
  local head = call('HMGET', key('dag:' .. dag), 'published_at', 'version', 'due')
  if not head[1] then return 'unknown' end
  if head[2] ~= seen_version or (head[3] or '') ~= seen_due then return 'again' end
  if tonumber(first) > tonumber(last) then refuse('backfill: ' .. first .. ' is after ' .. last) end
  for _, oldest in ipairs(call('ZRANGE', key('backfills'), 0, 9)) do
    if call('EXISTS', backfill_key(oldest)) == 0 then call('ZREM', key('backfills'), oldest) end
  end
  if call('ZCARD', key('backfills')) >= LIMITS.backfills then return 'full' end
  call('ZADD', key('backfills'), text(NOW), backfill)
  call('HSET', backfill_key(backfill), 'state', 'running', 'dag_id', dag, 'schedule', schedule, 'first', first,
       'last', last, 'next', newest_first == '1' and last or first, 'newest_first', newest_first, 'again', again,
       'weight', weight, 'max_active', max_active, 'total', total, 'left_out', 0, 'made', 0, 'created_at', text(NOW),
       'created_by', by, 'changed_at', text(NOW), 'changed_by', by,
       'retention', call('HGET', key('dag:' .. dag .. ':run'), 'retention'))
  look_at(backfill, 0)
  tell(backfill, 'made', by)
  return 'made'
end

-- The weight of its runs: a part of what those of the DAG have.
local function weight_of(dag, part)
  local weight = call('HGET', key('dag:' .. dag .. ':run'), 'weight') * part
  return string.format('%.17g', math.max(LIMITS.least_weight, math.min(LIMITS.weight, weight)))
end

local function check_advance(head, seen_next, left_out, run, next)
  local is_nothing = left_out == '0' and run == ''
  local is_beyond = next == '' or head.newest_first == '1' and tonumber(next) < tonumber(seen_next)
                    or head.newest_first == '0' and tonumber(next) > tonumber(seen_next)
  local is_within = next == '' or tonumber(next) >= tonumber(head.first) and tonumber(next) <= tonumber(head.last)
  if is_nothing and next ~= seen_next or not is_nothing and not (is_beyond and is_within) then
    refuse('advance_backfill: from ' .. shown(seen_next) .. ' to ' .. shown(next) .. ' is in no order')
  end
end

-- Whether other backfills have made runs of the due time of `run` because of which it gets none. The
-- history, which the caller has asked, may not have heard of them yet. All that differs in the ids of
-- such runs is the end, which is that of the backfill.
local function forbid(backfill, again, run)
  local kin, date = string.match(backfill, '^(.*%-)[^-]*$'), string.match(run, '^(.*%-)[^-]*$')
  for _, other in ipairs(kin and date and call('ZRANGE', key('backfills'), 0, -1) or {}) do
    local is_kin = other ~= backfill and string.sub(other, 1, #kin) == kin
    local state = is_kin and call('HGET', run_key(date .. string.sub(other, #kin + 1)), 'state')
    if state and (again == 'none' or not ENDED_RUN[state] or again == 'failed' and state == 'success') then
      return true
    end
  end
  return false
end

-- Leaves so many due times out, from `next` on, and makes the run of the one after them, unless `run` is
-- empty; then `next` is the next one. With nothing of it to do it is only looked after.
--   given    backfill, seen_next, seen_version, left_out, run, logical_date, next
--   answers  made; there, if the run was; left, if there is none; held, if too many of its runs go on;
--            again; else its state, or unknown
--   writes   backfill:ID, backfill:ID:active, backfills:open, history, late, names, run:ID, run:ID:dag,
--            run:ID:events, run:ID:kept, run:ID:out, runs, submissions
function OPERATIONS.advance_backfill(backfill, seen_next, seen_version, left_out, run, logical_date, next)
  local fields, head = call('HGETALL', backfill_key(backfill)), {}
  for i = 1, #fields, 2 do head[fields[i]] = fields[i + 1] end
  if not head.state then return 'unknown' end
  if not OPEN[head.state] then return head.state end
  local ended = end_if_idle(backfill, head.state)
  if ended then return ended end
  if head.state == 'paused' then return 'paused' end
  if head.state == 'cancelling' or not head.next then
    look_at(backfill, NOW + HELD_FOR)
    return head.state
  end
  if SCHEDULES.are_active(backfill_key(backfill, 'active'), tonumber(head.max_active)) then
    look_at(backfill, NOW + HELD_FOR)
    return 'held'
  end
  local dag = call('HMGET', key('dag:' .. head.dag_id), 'published_at', 'version')
  if head.next ~= seen_next or not dag[1] or dag[2] ~= seen_version then return 'again' end
  check_advance(head, seen_next, left_out, run, next)
  if left_out == '0' and run == '' then return 'again' end
  if run ~= '' and call('EXISTS', run_key(run)) == 0 and forbid(backfill, head.again, run) then
    left_out, run = text(left_out + 1), ''
  end
  call('HINCRBY', backfill_key(backfill), 'left_out', left_out)
  set_next(backfill, next)
  local answer = 'left'
  if run ~= '' then
    call('HINCRBY', backfill_key(backfill), 'made', 1)
    answer = SCHEDULES.make_run(head.dag_id, run, 'run_type', 'backfill', 'backfill', backfill, 'logical_date',
                                logical_date, 'weight', weight_of(head.dag_id, head.weight)) and 'made' or 'there'
  end
  if next == '' then end_if_idle(backfill, 'running') end
  return answer
end

-- Makes no more runs for now; those that go on do so. `why` is empty if somebody wants it.
--   given    backfill, by, why
--   answers  ok, same, unknown, or the state that forbids it
--   writes   backfill:ID, backfills:open, history
function OPERATIONS.pause_backfill(backfill, by, why)
  local state = call('HGET', backfill_key(backfill), 'state')
  if not state then return 'unknown' end
  if state ~= 'running' then return state == 'paused' and 'same' or state end
  set_backfill_state(backfill, 'paused', by)
  if why ~= '' then call('HSET', backfill_key(backfill), 'why', why) end
  tell(backfill, 'paused', by)
  return 'ok'
end

-- Goes on, by the schedule that the DAG has now.
--   given    backfill, seen_next, seen_version, schedule, next, total, by
--   answers  ok, same, unknown, or the state that forbids it; again, or unpublished
--   writes   backfill:ID, backfill:ID:active, backfills:open, history
function OPERATIONS.unpause_backfill(backfill, seen_next, seen_version, schedule, next, total, by)
  local head = call('HMGET', backfill_key(backfill), 'state', 'next', 'first', 'last', 'dag_id')
  if not head[1] then return 'unknown' end
  if head[1] ~= 'paused' then return head[1] == 'running' and 'same' or head[1] end
  local dag = call('HMGET', key('dag:' .. head[5]), 'published_at', 'version')
  if not dag[1] then return 'unpublished' end
  if (head[2] or '') ~= seen_next or dag[2] ~= seen_version then return 'again' end
  if next ~= '' and (tonumber(next) < tonumber(head[3]) or tonumber(next) > tonumber(head[4])) then
    refuse('unpause_backfill: ' .. next .. ' is not within the backfill')
  end
  call('HSET', backfill_key(backfill), 'schedule', schedule, 'total', total)
  call('HDEL', backfill_key(backfill), 'why')
  set_next(backfill, next)
  set_backfill_state(backfill, 'running', by)
  tell(backfill, 'unpaused', by)
  end_if_idle(backfill, 'running')
  return 'ok'
end

-- Makes no more runs; coordinators cancel those that go on.
--   given    backfill, by
--   answers  its state, or unknown
--   writes   backfill:ID, backfill:ID:active, backfills:open, history
function OPERATIONS.cancel_backfill(backfill, by)
  local state = call('HGET', backfill_key(backfill), 'state')
  if not state then return 'unknown' end
  if state ~= 'running' and state ~= 'paused' then return state end
  state = goes_on(backfill) and 'cancelling' or 'cancelled'
  set_backfill_state(backfill, state, by)
  tell(backfill, state, by)
  return state
end

local BACKFILL_ROW = {
  state = 'backfill_state', dag_id = 'id', schedule = 'schedule', first = 'moment', last = 'moment', next = 'time',
  newest_first = 'flag', again = 'again', weight = 'weight', max_active = 'active', total = 'count', left_out = 'count',
  made = 'count', success = 'count', failed = 'count', cancelled = 'count', spent = 'count', retention = 'retention',
  created_at = 'moment', created_by = 'worker', changed_at = 'moment', changed_by = 'short', why = 'reason_text' }

-- Gives back an open backfill that Redis has lost: its hash as JSON, and its runs that had not ended, which
-- are given back before.
--   given    backfill, row, active
--   answers  1, or 0 if it is there
--   writes   backfills, backfills:open, backfill:ID, backfill:ID:active
function OPERATIONS.restore_backfill(backfill, row, active)
  row = decoded_rows('restore_backfill', row)[1] or {}
  check_row('restore_backfill', row, BACKFILL_ROW)
  if not OPEN[row.state] then refuse('restore_backfill: it is ' .. row.state) end
  if call('EXISTS', backfill_key(backfill)) == 1 then return 0 end
  for name in pairs(BACKFILL_ROW) do
    if row[name] ~= '' then call('HSET', backfill_key(backfill), name, row[name]) end
  end
  for run in string.gmatch(active, '%S+') do
    local state = call('HGET', run_key(run), 'state')
    if state and ENDED_RUN[state] then   -- meanwhile
      call('HINCRBY', backfill_key(backfill), state, 1)
    elseif state then
      call('SADD', backfill_key(backfill, 'active'), run)
    end
  end
  call('ZADD', key('backfills'), row.created_at, backfill)
  if row.state ~= 'paused' then look_at(backfill, 0) end
  return 1
end

end
