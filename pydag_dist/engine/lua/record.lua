-- A task's record, and a run's head.

-- A record is one string of fields that each end with "|", read and written in one call.

-- Of such fields the functions that read and write the string; read as nil if it is damaged. Made
-- from text, so that each names every field: going through lists takes twice as long, and this is
-- a good part of what a claim or a release takes. (A library has no globals while it is loaded, so
-- they are made at the first call.)
local function codec(fields, numbers)
  local read, written = {}, {}
  for i, name in ipairs(fields) do
    read[i] = name .. ' = ' .. (numbers[name] and 'numbers[' .. name .. '] or tonumber(' .. name .. ')' or name)
    written[i] = numbers[name] and '(texts[values.' .. name .. '] or values.' .. name .. ')' or 'values.' .. name
  end
  local code = 'local match, tonumber, pattern, numbers, texts = ... '
    .. 'local function unpacked(packed) '
    .. '  local ' .. table.concat(fields, ', ') .. ' = match(packed, pattern) '
    .. '  return ' .. fields[1] .. ' and { ' .. table.concat(read, ', ') .. ' } '
    .. 'end '
    .. 'local function packed(values) return ' .. table.concat(written, " .. '|' .. ") .. " .. '|' end "
    .. 'return { unpacked = unpacked, packed = packed }'
  local pattern = '^' .. string.rep('([^|]*)|', #fields) .. '$'
  local small, texts = {}, {}   -- Lua's own conversions take ten times as long
  for number = 0, 100 do
    texts[number] = tostring(number)
    small[texts[number]] = number
  end
  return loadstring(code)(string.match, tonumber, pattern, small, texts)
end

local RECORDS, PLANS   -- their codecs

local function unpack_record(packed)
  RECORDS = RECORDS or codec(PROTOCOL.record, PROTOCOL.record_numbers)
  return RECORDS.unpacked(packed) or error("a task's record is damaged", 0)
end

local function pack_record(record)
  RECORDS = RECORDS or codec(PROTOCOL.record, PROTOCOL.record_numbers)
  return RECORDS.packed(record)
end
CHANGES.packed = pack_record

local function new_record(row)
  return { state = row.state, try = row.try, last_try = row.last_try, pushes = row.pushes,
           push = '', token = '', rule = row.rule, upstream = row.upstream, ok = row.ok,
           bad = row.bad, dead_up = row.dead_up, skips = row.skips, asks = row.asks, deaths = 0, losses = 0,
           reason = '', ready_at = '', queued_at = '', started_at = '', ended_at = '',
           worker = '', process = '', charged = '', began = '', needs = '' }
end

-- The try's first claim is now, unless it was before.
local function begin(record)
  if record.started_at == '' then record.started_at, record.began = text(NOW), text(STEADY) end
end

-- µs of steady time since the try was first claimed.
local function age(record) return math.max(0, STEADY - record.began) end

-- A run's head: what most operations need of its hash. A call reads it once, and writes once, at its end, what
-- has changed of it (HEAD.write_all). A missing run has one without a schema.
local function head_of(run)
  local head = HEADS[run]
  if head then return head end
  local read = call('HMGET', run_key(run), 'schema', 'state', 'reason', 'processors', 'weight', 'queues', 'dag_id',
                    'left', PROTOCOL.enqueued .. SOURCE)
  head = { schema = read[1], state = read[2], reason = read[3], processors = tonumber(read[4]),
           weight = tonumber(read[5]), queues = {}, dag_id = read[7], left = tonumber(read[8]),
           enqueued = tonumber(read[9] or 0), changed = {} }
  for queue in string.gmatch(read[6] or '', '%S+') do head.queues[#head.queues + 1] = queue end
  if head.schema then HEADS[run] = head end
  return head
end

local HEAD = {}

-- Writes what has changed of the run's head. There `false` is a field that goes.
function HEAD.write(run)
  local head = HEADS[run]
  if not head or not next(head.changed) then return end
  local set, gone = {}, {}
  for name, value in pairs(head.changed) do
    if value then
      set[#set + 1] = name
      set[#set + 1] = value
    else
      gone[#gone + 1] = name
    end
  end
  head.changed = {}
  if set[1] then call('HSET', run_key(run), unpack(set)) end
  if gone[1] then call('HDEL', run_key(run), unpack(gone)) end
end

function HEAD.write_all()
  for run in pairs(HEADS) do HEAD.write(run) end
end

-- Somebody writes to the run's hash what its head has read: it is read anew.
function HEAD.forget(run)
  HEAD.write(run)
  HEADS[run] = nil
end

-- Who has done what to a run by hand: the newest such acts in its hash, all of them in the history.
-- Nobody (`by` is empty or nil) is no act.
function HEAD.note_act(run, act, by, task, state)
  if (by or '') == '' then return end
  task, state = task or '', state or ''
  local acts = (call('HGET', run_key(run), 'acts') or '')
  acts = acts .. text(NOW) .. ' ' .. act .. ' ' .. by .. ' ' .. task .. ' ' .. state .. '|'
  local _, number = string.gsub(acts, '|', '')
  if number > LIMITS.acts then acts = string.match(acts, '|(.*)$') end
  call('HSET', run_key(run), 'acts', acts)
  call('XADD', key('history'), '*', 'kind', 'act', 'run', run, 'at', text(NOW), 'act', act, 'by', by, 'task', task,
       'state', state)
end

-- Of a run that this engine may touch: its state, and the reason if it has one; else nil and why.
local function known(run)
  local head = head_of(run)
  if not head.schema then return nil, 'unknown' end
  if head.schema ~= SCHEMA and not SCHEMAS_BEFORE[head.schema] then return nil, 'schema' end
  return head.state, head.reason
end

-- Likewise of a run that is planned: until then its tasks' records may be incomplete. What has been
-- set aside is not touched again.
local function planned(run)
  local state, why = known(run)
  if state == 'queued' then return nil, 'unknown' end
  if state and why == 'broken' then return nil, 'broken' end
  return state, why
end

-- So many more of the run's tasks have not ended: how many have not.
function HEAD.count_left(run, change)
  local head = head_of(run)
  head.left = head.left + change
  head.changed.left = head.left
  return head.left
end

local ALLOWED   -- task or run -> from -> to -> true, of TRANSITIONS (here, too: no globals before)

local function check_transition(of, from, to)
  if not ALLOWED then
    ALLOWED = {}
    for kind, rows in pairs(TRANSITIONS) do
      ALLOWED[kind] = {}
      for _, row in ipairs(rows) do
        for from_state in string.gmatch(row[2], '%S+') do
          local allowed = ALLOWED[kind][from_state] or {}
          ALLOWED[kind][from_state] = allowed
          for to_state in string.gmatch(row[3], '%S+') do allowed[to_state] = true end
        end
      end
    end
  end
  local allowed = ALLOWED[of][from]
  return allowed and allowed[to]
end

-- The task's next state, which the caller saves.
local function set_state(run, task, record, state)
  if not check_transition('task', record.state, state) then
    error('task ' .. task .. ' of run ' .. run .. ' must not go from ' .. record.state .. ' to ' .. state, 0)
  end
  record.state = state
end

-- The run's next state, and other fields of its hash.
local function set_run_state(run, from, state, ...)
  if not check_transition('run', from, state) then
    error('run ' .. run .. ' must not go from ' .. tostring(from) .. ' to ' .. state, 0)
  end
  HEAD.forget(run)
  call('HSET', run_key(run), 'state', state, ...)
end

local function load_record(run, task)
  local kept = CHANGES.get(CHANGES.of[run].tasks, task)
  if type(kept) == 'table' then return kept end
  return kept and unpack_record(kept) or nil
end

local function save_record(run, task, record)
  CHANGES.set(CHANGES.of[run].tasks, task, record)
end

local function pack_plan(plan)
  PLANS = PLANS or codec(PROTOCOL.plan, PROTOCOL.plan_numbers)
  return PLANS.packed(plan)
end

-- A child "task.3" of an expanded task shares what is said of that; `parent` names it.
local function parent_of(task) return string.match(task, '^(.*)%.%d+$') end

local function load_plan(run, task)
  local plans, parent = CHANGES.of[run].plan, nil
  local packed = CHANGES.get(plans, task)
  if not packed then
    parent = parent_of(task)
    packed = CHANGES.get(plans, parent)
  end
  PLANS = PLANS or codec(PROTOCOL.plan, PROTOCOL.plan_numbers)
  local plan = PLANS.unpacked(packed)
  if parent then plan.parent, plan.chunks, plan.expand = parent, 0, '0' end
  return plan
end

local function is_child(run, task)
  return parent_of(task) and call('HEXISTS', run_key(run, 'plan'), task) == 0
end

local function load_spec(run, task)
  local specs, parent = CHANGES.of[run].specs, parent_of(task)
  return CHANGES.get(specs, task) or parent and CHANGES.get(specs, parent)
end
