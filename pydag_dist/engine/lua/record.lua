-- A task's record: one string of fields that each end with "|", read and written in one call.

local FIELDS = {
  'state',
  'try',         -- 1 for the first
  'pushes',      -- messages pushed for this try; more than one makes its Celery id differ
  'push',        -- number of the last push
  'token',       -- push that was claimed last: the fencing token
  'rule',        -- trigger rule
  'upstream',    -- how many upstream tasks it has
  'ok', 'bad', 'dead_up', 'skips',  -- how many of these ended so: their sum is never above it
  'deaths',      -- children that died while they ran this try
  'losses',      -- leases of this try that expired
  'ready_at', 'queued_at', 'started_at', 'ended_at',  -- µs, or empty
  'worker',
  'process',     -- of that worker, which claimed it: it may ask again if the answer got lost
}
-- A method call, since a library has no globals while it is loaded.
local RECORD_PATTERN = '^' .. ('([^|]*)|'):rep(#FIELDS) .. '$'
local NUMERIC = { 'pushes', 'upstream', 'ok', 'bad', 'dead_up', 'skips', 'deaths', 'losses' }

local function unpack_record(packed)
  local values = { string.match(packed, RECORD_PATTERN) }
  local record = {}
  for i = 1, #FIELDS do record[FIELDS[i]] = values[i] end
  for i = 1, #NUMERIC do record[NUMERIC[i]] = tonumber(record[NUMERIC[i]]) end
  return record
end

local function pack_record(record)
  local values = {}
  for i = 1, #FIELDS do values[i] = record[FIELDS[i]] end
  return table.concat(values, '|') .. '|'
end

local function new_record(rule, upstream)
  return { state = 'none', try = 1, pushes = 0, push = '', token = '', rule = rule,
           upstream = upstream, ok = 0, bad = 0, dead_up = 0, skips = 0, deaths = 0, losses = 0,
           ready_at = '', queued_at = '', started_at = '', ended_at = '', worker = '',
           process = '' }
end

local function load_record(run, task)
  local packed = call('HGET', run_key(run, 'tasks'), task)
  return packed and unpack_record(packed) or nil
end

local function save_record(run, task, record)
  call('HSET', run_key(run, 'tasks'), task, pack_record(record))
end

-- What a plan says of a task: its queue, its rank, and how many chunks of downstream tasks.
local function unpack_plan(packed)
  local queue, rank, chunks = string.match(packed, '^([^|]*)|([^|]*)|([^|]*)$')
  return queue, rank, tonumber(chunks)
end

local function load_plan(run, task)
  return unpack_plan(call('HGET', run_key(run, 'plan'), task))
end
