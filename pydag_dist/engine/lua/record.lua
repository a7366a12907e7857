-- A task's record: one string of fields that each end with "|", read and written in one call.

-- Of such fields the functions that read and write the string; read as nil if it is damaged. Made
-- from text, so that each names every field: going through lists takes twice as long, and this is
-- a good part of what a claim or a release takes. (A library has no globals while it is loaded, so
-- they are made at the first call.)
local function codec(fields, numbers)
  local read, written = {}, {}
  for i, name in ipairs(fields) do
    read[i] = name .. ' = ' .. (numbers[name] and 'tonumber(' .. name .. ')' or name)
    written[i] = 'values.' .. name
  end
  local code = 'local match, tonumber, pattern = ... '
    .. 'local function unpacked(packed) '
    .. '  local ' .. table.concat(fields, ', ') .. ' = match(packed, pattern) '
    .. '  return ' .. fields[1] .. ' and { ' .. table.concat(read, ', ') .. ' } '
    .. 'end '
    .. 'local function packed(values) return ' .. table.concat(written, " .. '|' .. ") .. " .. '|' end "
    .. 'return { unpacked = unpacked, packed = packed }'
  local pattern = '^' .. string.rep('([^|]*)|', #fields) .. '$'
  return loadstring(code)(string.match, tonumber, pattern)
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
  call('HSET', run_key(run), 'state', state, ...)
end

local function load_record(run, task)
  local packed = call('HGET', run_key(run, 'tasks'), task)
  return packed and unpack_record(packed) or nil
end

local function save_record(run, task, record)
  call('HSET', run_key(run, 'tasks'), task, pack_record(record))
end

local function pack_plan(plan)
  PLANS = PLANS or codec(PROTOCOL.plan, PROTOCOL.plan_numbers)
  return PLANS.packed(plan)
end

-- A child "task.3" of an expanded task shares what is said of that; `parent` names it.
local function parent_of(task) return string.match(task, '^(.*)%.%d+$') end

local function load_plan(run, task)
  local packed, parent = call('HGET', run_key(run, 'plan'), task), nil
  if not packed then
    parent = parent_of(task)
    packed = call('HGET', run_key(run, 'plan'), parent)
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
  local spec, parent = call('HGET', run_key(run, 'specs'), task), parent_of(task)
  return spec or parent and call('HGET', run_key(run, 'specs'), parent)
end
