-- A task's record: one string of fields that each end with "|", read and written in one call.

local FIELDS = {
  'state',
  'try',         -- 1 for the first
  'last_try',    -- the try after which a failure is final
  'pushes',      -- messages pushed for this try; more than one makes its Celery id differ
  'push',        -- number of the last push
  'token',       -- push that was claimed last: the fencing token
  'rule',        -- trigger rule
  'upstream',    -- how many upstream tasks it has
  'ok', 'bad', 'dead_up', 'skips',  -- how many of these ended so: their sum is never above it
  'asks',        -- how many of these are branches that it has not heard of: each may skip it
  'deaths',      -- children that died while they ran this try
  'losses',      -- leases of this try that expired
  'reason',      -- why it is cancelling: cancel, timeout or "mark STATE"; or of its failure:
                 -- poison (and `lost`); marked, if somebody said how it ended
  'ready_at', 'queued_at', 'started_at', 'ended_at',  -- µs, or empty
  'worker',
  'process',     -- of that worker, which claimed it: it may ask again if the answer got lost
  'charged',     -- µs of slot time that its run was charged for it in advance, or empty
  'began',       -- µs of steady time of the try's first claim, as `started_at` by the server's
  'needs',       -- what workers that refused it lack, as "need+need", or empty
}
local NUMERIC = { try = true, last_try = true, pushes = true, upstream = true, ok = true, bad = true,
                  dead_up = true, skips = true, asks = true, deaths = true, losses = true }

-- Of such fields the functions that read and write the string; read as nil if it is damaged. Made
-- from text, so that each names every field: going through lists takes twice as long, and this is
-- a good part of what a claim or a release takes. (A library has no globals while it is loaded, so
-- they are made at the first call.)
local function codec(fields, numeric)
  local read, written = {}, {}
  for i, name in ipairs(fields) do
    read[i] = name .. ' = ' .. (numeric[name] and 'tonumber(' .. name .. ')' or name)
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
  RECORDS = RECORDS or codec(FIELDS, NUMERIC)
  return RECORDS.unpacked(packed) or error("a task's record is damaged", 0)
end

local function pack_record(record)
  RECORDS = RECORDS or codec(FIELDS, NUMERIC)
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

-- µs since then.
local function age(record) return math.max(0, STEADY - record.began) end

local function load_record(run, task)
  local packed = call('HGET', run_key(run, 'tasks'), task)
  return packed and unpack_record(packed) or nil
end

local function save_record(run, task, record)
  call('HSET', run_key(run, 'tasks'), task, pack_record(record))
end

-- What a plan says of a task, besides its rule. Times are in µs.
local PLAN_FIELDS = {
  'queue',
  'rank',        -- ready tasks of a run are pushed in its order
  'chunks',      -- of downstream tasks
  'retries', 'delay', 'backoff', 'longest',  -- backoff 1: the delay doubles, up to `longest`
  'timeout',     -- of a try, from its first claim
  'may_fail',    -- 1: the run does not fail with it
  'remote',      -- 1: what it started elsewhere has to be cancelled
  'sensor',      -- 1: it does not count as active while it is deferred
  'expand',      -- 1: it becomes many tasks, its children
  'list',        -- of such a task: the upstream task whose result is its list, or empty
  'setup',       -- of a teardown: the task whose work it undoes
}
local PLAN_NUMERIC = { chunks = true, retries = true, delay = true, longest = true, timeout = true }

local function pack_plan(plan)
  PLANS = PLANS or codec(PLAN_FIELDS, PLAN_NUMERIC)
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
  PLANS = PLANS or codec(PLAN_FIELDS, PLAN_NUMERIC)
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
