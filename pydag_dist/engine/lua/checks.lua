-- What an operation may be given: checked in dispatch.lua before the operation begins, so that
-- nothing is written for what is refused. `LIMITS` are those of dag/limits.py.

local RULES = {}   -- trigger rule -> its function (rules.lua)
local SIGNATURES, refuse, shown, check_call, decoded_rows, check_row

do   -- a function has 200 local variables at most
local MAX_ITEMS = 500   -- of one call: a script blocks everyone, and Lua's stack is small

-- Ends an operation that has not written anything yet; whoever called it gets to know why.
function refuse(why) error({ refused = why }, 0) end

function shown(text)
  text = string.gsub(string.sub(tostring(text), 1, 60), '[^%w%p ]', '?')
  return '"' .. text .. '"'
end

local function is_text(value, most) return type(value) == 'string' and #value <= most end

local function is_id(value)
  return is_text(value, LIMITS.id) and string.find(value, '^[%w_.%-]+$')
         and (string.byte(value) ~= 46 or string.find(value, '[^.]'))
end

-- A number, or the text of one; NaN is in no range.
local function is_between(value, least, most)
  if type(value) == 'string' then
    value = #value < 40 and string.find(value, '^[%d.e+%-]+$') and tonumber(value)
  end
  return type(value) == 'number' and value >= least and value <= most
end

local function is_integer(value, least, most)
  if type(value) == 'string' then value = #value < 40 and string.find(value, '^%d+$') and tonumber(value) end
  return type(value) == 'number' and value >= least and value <= most and value % 1 == 0
end

local function is_seconds(value)
  return is_between(value, 0, 0) or is_between(value, LIMITS.least_timeout, LIMITS.year)
end

-- µs of a time limit, 0 for none
local function is_limit(value)
  return is_integer(value, 0, 0) or is_integer(value, LIMITS.least_timeout * 1e6, LIMITS.year * 1e6)
end

local function is_time(value) return value == '' or is_integer(value, 0, 1e17) end

-- Ids with a space between them.
local function are_ids(value, most)
  if not is_text(value, LIMITS.dag_bytes) then return false end
  if value == '' then return true end
  local count = 0
  for id in string.gmatch(value .. ' ', '([^ ]*) ') do
    count = count + 1
    if count > most or not is_id(id) then return false end
  end
  return true
end

local function is_list(value, most, is_item)
  if type(value) ~= 'table' then return false end
  local count = 0
  for _, item in pairs(value) do
    count = count + 1
    if not is_item(item) then return false end
  end
  return count == #value and count <= most
end

local function is_deep(value, levels)
  if type(value) ~= 'table' then return false end
  if levels == 0 then return true end
  for _, item in pairs(value) do
    if is_deep(item, levels - 1) then return true end
  end
  return false
end

local function is_json(value, most)
  if not is_text(value, most) then return false end
  local fine, decoded = pcall(cjson.decode, value)
  if not fine then   -- halves of characters are none to it
    local whole = string.gsub(string.gsub(value, '\\\\', ''), '\\u[dD][89a-fA-F]%x%x', '')
    fine, decoded = pcall(cjson.decode, whole)
  end
  if not fine then return false end
  local _, levels = string.gsub(value, '[%[{]', '')   -- no more than so many
  return levels <= LIMITS.depth or not is_deep(decoded, LIMITS.depth)
end

-- "task number task number ..."
local function are_expansions(value)
  if value == '' then return true end
  if not is_text(value, LIMITS.dag_bytes) then return false end
  local total = 0
  local rest = string.gsub(value, '([^ ]+) (%d+) ?', function(task, number)
    total = total + number
    return is_id(task) and is_integer(number, 0, LIMITS.children) and '' or nil
  end)
  return rest == '' and total <= LIMITS.run_children
end

local function are_params(value) return is_text(value, LIMITS.params_bytes) end

-- The kind of an argument that is one of these words. (A library has no globals while it is loaded.)
local function word_of(words)
  local known, listed = { [words[1]] = true }, words[1]
  for i = 2, #words do
    known[words[i]] = true
    listed = listed .. ', ' .. words[i]
  end
  return { function(v) return known[v] end, 'one of ' .. listed }
end

local function is_group(value) return is_text(value, LIMITS.group) and string.find(value, '^[%w_.:%-]+$') end

local function is_span(value) return is_integer(value, 0, LIMITS.year * 1e6) end

-- How a try left its process: it ended so, or is "deferred DELAY GROUP".
local ENDS = word_of(PROTOCOL.outcomes)
local function is_end(value)
  if ENDS[1](value) then return true end
  local delay, group = string.match(is_text(value, 300) and value or '', PROTOCOL.deferred)
  return delay and is_span(delay) and is_group(group)
end

-- Kind of an argument -> whether a value is of it, and what it must be.
local KINDS = {
  id = { is_id, 'an id: 1 to ' .. LIMITS.id .. ' of the characters A-Z a-z 0-9 _ . - and not of dots only' },
  id_or_none = { function(v) return v == '' or is_id(v) end, 'an id, or empty' },
  queues = { function(v) return are_ids(v, LIMITS.queues) end,
             'at most ' .. LIMITS.queues .. ' ids with spaces between them' },
  ids = { function(v) return are_ids(v, LIMITS.tasks) end, 'ids with spaces between them' },
  group = { is_group, 'of the characters A-Z a-z 0-9 _ . : -' },
  worker = { function(v) return is_text(v, LIMITS.worker) and string.find(v, '^[^%c%s|/]+$') end,
             'a name without spaces, | and /' },
  token = { function(v) return is_text(v, 64) and string.find(v, '^[%w_%-]+$') end,
            'of the characters A-Z a-z 0-9 _ -' },
  try = { function(v) return is_integer(v, 1, 1e9) end, 'an integer above 0' },
  count = { function(v) return is_integer(v, 0, 1e12) end, 'an integer, 0 or above' },
  slots = { function(v) return is_integer(v, 0, 100000) end, 'an integer, 0 to 100,000' },
  flag = { function(v) return v == '0' or v == '1' end, '0 or 1' },
  dag = { function(v) return v ~= '' and is_text(v, LIMITS.dag_bytes) end,
          'a text of at most ' .. LIMITS.dag_bytes .. ' bytes' },
  dag_or_none = { function(v) return is_text(v, LIMITS.dag_bytes) end,
                  'a text of at most ' .. LIMITS.dag_bytes .. ' bytes' },
  params = { function(v) return is_json(v, LIMITS.params_bytes) end,
             'JSON of at most ' .. LIMITS.params_bytes .. ' bytes' },
  result = { function(v) return v == '' or is_json(v, LIMITS.result_bytes) end,
             'JSON of at most ' .. LIMITS.result_bytes .. ' bytes and ' .. LIMITS.depth .. ' levels' },
  handle = { function(v) return is_json(v, LIMITS.handle_bytes) end,
             'JSON of at most ' .. LIMITS.handle_bytes .. ' bytes' },
  error = { function(v) return is_text(v, LIMITS.error_bytes) end,
            'a text of at most ' .. LIMITS.error_bytes .. ' bytes' },
  outcome = { is_end, ENDS[2] .. ', or deferred with µs and a group' },
  expansions = { are_expansions, 'tasks and numbers up to ' .. LIMITS.children .. ' in turn, together up to '
                 .. LIMITS.run_children },
  reason = { function(v) return v == 'cancel' or v == 'timeout' end, 'cancel or timeout' },
  mark = word_of(PROTOCOL.marks),
  weight = { function(v) return is_between(v, LIMITS.least_weight, LIMITS.weight) end,
             LIMITS.least_weight .. ' to ' .. LIMITS.weight },
  processors = { function(v) return is_integer(v, 0, LIMITS.processors) end,
                 'an integer, 0 to ' .. LIMITS.processors },
  seconds = { is_seconds, '0, or seconds from ' .. LIMITS.least_timeout .. ' to ' .. LIMITS.year },
  lease = { function(v) return is_integer(v, LIMITS.least_lease * 1e6, LIMITS.lease * 1e6) end,
            'µs of ' .. LIMITS.least_lease .. ' to ' .. LIMITS.lease .. ' s' },
  retention = { function(v) return is_integer(v, 1, LIMITS.retention) end,
                'an integer, 1 to ' .. LIMITS.retention },
  date = { function(v) return is_text(v, 64) and string.find(v, '^[%w:.+%-]*$') end, 'ISO 8601' },
  time = { is_time, 'µs, or empty' },
  tags = { function(v) return is_text(v, LIMITS.tags_bytes) end,
           'a text of at most ' .. LIMITS.tags_bytes .. ' bytes' },
  person = { function(v) return v == '' or is_text(v, LIMITS.worker) and string.find(v, '^[^%c%s|/]+$') end,
             "a worker's name, or empty" },
  acts = { function(v) return is_text(v, LIMITS.acts * 1000) and not string.find(v, '%c') end, 'acts' },
  short = { function(v) return is_text(v, LIMITS.worker) and not string.find(v, '[|%c]') end,
            'a short text without |' },
  state = word_of(PROTOCOL.task_states),
  rule = { function(v) return RULES[v] end, 'a trigger rule' },
  rank = { function(v) return is_text(v, 20) and string.find(v, '^%d+s?$') end, 'digits, and maybe an s' },
  retries = { function(v) return is_integer(v, 0, LIMITS.retries) end,
              'an integer, 0 to ' .. LIMITS.retries },
  upstream = { function(v) return type(v) == 'number' and is_integer(v, 0, LIMITS.tasks) end,
               'an integer, 0 to ' .. LIMITS.tasks },
  limit = { is_limit, '0, or µs of ' .. LIMITS.least_timeout .. ' s to a year' },
  bit = { function(v) return v == 0 or v == 1 end, '0 or 1' },
  boolean = { function(v) return type(v) == 'boolean' end, 'true or false' },
  spec = { function(v) return is_text(v, LIMITS.dag_bytes) end,
           'a text of at most ' .. LIMITS.dag_bytes .. ' bytes' },
  chunks = { function(v) return is_list(v, LIMITS.tasks, function(ids) return ids ~= '' and are_ids(ids, MAX_ITEMS) end) end,
             'a list of ids, at most ' .. MAX_ITEMS .. ' in one text' },
  names = { function(v) return is_list(v, LIMITS.tasks, is_id) end, 'a list of ids' },
  span = { is_span, 'µs, at most a year' },
  pairs = { function(v) return v == nil or is_list(v, 2 * LIMITS.tasks, are_params) and #v % 2 == 0 end,
            'a list of names and values in turn' },
  need = { function(v) return v == '' or is_text(v, 100) and string.find(v, '^[%w_.:%-]+$') end,
           'of the characters A-Z a-z 0-9 _ . : -, or empty' },
  reason_text = { function(v) return is_text(v, 2000) end, 'a text of at most 2,000 bytes' },
  member = word_of(PROTOCOL.kinds),
  process = { function(v) return is_text(v, 100) and string.find(v, '^[%w_.%-]+$') end,
              'of the characters A-Z a-z 0-9 _ . -' },
  processes = { function(v) return is_text(v, 20000) and string.find(v, '^[%d ]*$') end, 'numbers with spaces between them' },
  ago = { function(v) return v == '' or is_integer(v, 0, 1e12) end, 'µs, or empty' },
  rows = { function(v) return type(v) == 'string' end, 'JSON' },
  position = { function(v) return is_integer(v, 0, 1e15) end, 'an integer, 0 to 1e15' },
  run_type = word_of(PROTOCOL.run_types),
  again = word_of(PROTOCOL.again),
  notice = word_of(PROTOCOL.notices),
  backfill_state = word_of(PROTOCOL.backfill_states),
  dates = { function(v) return is_integer(v, 1, LIMITS.backfill_dates) end,
            'an integer, 1 to ' .. LIMITS.backfill_dates },
  schedule = { function(v) return v == '' or is_json(v, LIMITS.schedule_bytes) end,
               'JSON of at most ' .. LIMITS.schedule_bytes .. ' bytes, or empty' },
  moment = { function(v) return is_integer(v, 1, 1e17) end, 'µs' },
  active = { function(v) return is_integer(v, 1, LIMITS.active_runs) end,
             'an integer, 1 to ' .. LIMITS.active_runs },
  log_part = { function(v) return is_text(v, LIMITS.log_part) end,
               'a text of at most ' .. LIMITS.log_part .. ' bytes' },
}

-- The fields of a run's hash that come from outside; those without a default must be there.
local HEAD = { dag_id = 'id', processors = 'processors', weight = 'weight', timeout = 'seconds',
               retention = 'retention', params = 'params', logical_date = 'date', hooks = 'flag',
               tags = 'tags', submitted_by = 'short', rounds = 'count',
               submitted_at = 'time', started_at = 'time', from = 'id_or_none', reason = 'reason',
               total = 'count', dag_hash = 'short', changed = 'ids', marked = 'ids', round_at = 'time',
               spent = 'count', version = 'count', run_type = 'run_type', backfill = 'id', parent_run = 'id',
               parent_task = 'id', ancestors = 'ids', acts = 'acts', expected_within = 'seconds' }
local HEAD_NEEDED = { 'dag_id', 'processors', 'weight', 'timeout', 'retention', 'params' }

-- Operation -> the kinds and names of its arguments; `each`: those of items, as many as there are;
-- `head`: names and values of the run's hash. Where the first is a run, `aside` is the answer when
-- the operation had to set the run aside.
SIGNATURES = {
  submit = { { 'id', 'run' }, { 'dag', 'dag' }, head = true, aside = 0 },
  restore = { { 'id', 'run' }, { 'rows', 'rows' }, aside = 0 },
  restore_run = { { 'id', 'run' }, { 'dag', 'dag' }, { 'flag', 'was_planned' }, head = true, aside = 0 },
  resume = { { 'id', 'run' }, { 'id_or_none', 'from' }, { 'person', 'by' }, aside = 'broken' },
  resume_with = { { 'id', 'run' }, { 'id_or_none', 'from' }, { 'person', 'by' }, { 'short', 'before' },
                  { 'ids', 'changed' }, { 'dag', 'dag' }, head = true, aside = 'broken' },
  plan_begin = { { 'id', 'run' }, aside = { 'no', 'broken' } },
  plan_refuse = { { 'id', 'run' }, { 'error', 'error' }, aside = 0 },
  plan_chunk = { { 'id', 'run' }, { 'token', 'planner' }, { 'rows', 'rows' }, aside = 0 },
  plan_commit = { { 'id', 'run' }, { 'token', 'planner' }, { 'count', 'total' }, { 'count', 'ended' }, { 'count', 'failures' },
                  { 'queues', 'queues' }, { 'count', 'chunks' }, aside = { 'no', 0 } },
  cancel = { { 'id', 'run' }, { 'reason', 'reason' }, { 'person', 'by' }, aside = { 'broken', 0 } },
  mark = { { 'id', 'run' }, { 'id', 'task' }, { 'mark', 'state' }, { 'worker', 'by' }, { 'result', 'result' },
           { 'expansions', 'expansions' }, aside = { 'broken', 0 } },
  let_expire = { { 'id', 'run' }, aside = 0 },
  work = { { 'id', 'run' }, aside = 0 },
  claim = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'push' }, { 'worker', 'worker' }, { 'count', 'process' },
            aside = { 'no', 'broken' } },
  release = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'token' }, { 'outcome', 'outcome' }, { 'result', 'result' },
              { 'error', 'error' }, { 'ids', 'skips' }, { 'expansions', 'expansions' }, aside = { 'broken', 0 } },
  run_on = { { 'id', 'queue' }, { 'worker', 'worker' }, { 'count', 'process' },
             each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'token' }, { 'outcome', 'outcome' },
                      { 'result', 'result' }, { 'error', 'error' }, { 'ids', 'skips' }, { 'expansions', 'expansions' },
                      { 'ago', 'lasted' }, { 'ago', 'ago' } } },
  hand_in = { { 'worker', 'worker' }, { 'count', 'process' }, { 'id_or_none', 'kept_run' }, { 'id_or_none', 'kept_task' },
              each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'token' }, { 'outcome', 'outcome' },
                      { 'result', 'result' }, { 'error', 'error' }, { 'ids', 'skips' }, { 'expansions', 'expansions' },
                      { 'ago', 'lasted' }, { 'ago', 'ago' } } },
  take_webhook = { { 'span', 'lease' } },
  webhook_not_tried = { { 'id', 'run' }, { 'notice', 'what' }, aside = 0 },
  webhook_later = { { 'id', 'run' }, { 'notice', 'what' }, { 'span', 'delay' }, aside = 0 },
  renew = { { 'worker', 'worker' }, { 'slots', 'slots' }, { 'queues', 'queues' }, { 'ago', 'looked_ago' },
            { 'processes', 'processes' },
            each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'token' } } },
  refuse = { { 'worker', 'worker' }, { 'need', 'need' }, { 'reason_text', 'reason' },
             each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'token' } } },
  register = { { 'member', 'kind' }, { 'worker', 'name' }, { 'process', 'process' }, { 'count', 'busy' },
               { 'handle', 'info' }, { 'lease', 'lease' }, { 'flag', 'force' } },
  unregister = { { 'member', 'kind' }, { 'worker', 'name' }, { 'process', 'process' } },
  claim_polls = { { 'id', 'queue' }, { 'group', 'group' }, { 'token', 'push' }, { 'worker', 'worker' } },
  log = { { 'retention', 'retention' },
          each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'process', 'writer' }, { 'position', 'position' },
                   { 'position', 'line' }, { 'position', 'byte' }, { 'log_part', 'lines' } } },
  log_stored = { { 'retention', 'keep' },
                 each = { { 'id', 'run' }, { 'id', 'task' }, { 'try', 'try' }, { 'token', 'last' } } },
  tick = { { 'token', 'epoch' } },
  publish = { { 'id', 'dag' }, { 'count', 'seen_version' }, { 'time', 'seen_due' }, { 'dag', 'text' },
              { 'schedule', 'schedule' }, { 'active', 'max_active' }, { 'short', 'source' }, { 'worker', 'by' },
              { 'time', 'due' }, { 'count', 'missed' }, { 'time', 'first' }, { 'time', 'last' }, head = true },
  pause = { { 'id', 'dag' }, { 'worker', 'by' } },
  unpause = { { 'id', 'dag' }, { 'count', 'seen_version' }, { 'time', 'seen_due' }, { 'worker', 'by' },
              { 'time', 'due' }, { 'count', 'missed' }, { 'time', 'first' }, { 'time', 'last' } },
  unpublish = { { 'id', 'dag' }, { 'count', 'seen_version' }, { 'time', 'seen_due' }, { 'worker', 'by' },
                { 'count', 'missed' }, { 'time', 'first' }, { 'time', 'last' } },
  fire = { { 'id', 'dag' }, { 'count', 'seen_version' }, { 'time', 'seen_due' }, { 'id', 'run' }, { 'moment', 'at' },
           { 'date', 'logical_date' }, { 'time', 'due' }, { 'count', 'missed' }, { 'time', 'first' }, { 'time', 'last' } },
  start = { { 'id', 'dag' }, { 'id', 'run' }, { 'params', 'params' }, { 'date', 'logical_date' }, { 'worker', 'by' } },
  start_child = { { 'id', 'dag' }, { 'id', 'run' }, { 'params', 'params' }, { 'date', 'logical_date' },
                  { 'id', 'parent_run' }, { 'id', 'parent_task' }, { 'try', 'parent_try' } },
  restore_dag = { { 'id', 'dag' }, { 'dag_or_none', 'text' }, { 'rows', 'row' }, head = true },
  backfill = { { 'id', 'backfill' }, { 'id', 'dag' }, { 'count', 'seen_version' }, { 'time', 'seen_due' },
               { 'schedule', 'schedule' }, { 'moment', 'first' }, { 'moment', 'last' }, { 'dates', 'total' },
               { 'flag', 'newest_first' }, { 'again', 'again' }, { 'weight', 'weight' }, { 'active', 'max_active' },
               { 'worker', 'by' } },
  advance_backfill = { { 'id', 'backfill' }, { 'time', 'seen_next' }, { 'count', 'seen_version' }, { 'count', 'left_out' },
                       { 'id_or_none', 'run' }, { 'date', 'logical_date' }, { 'time', 'next' } },
  pause_backfill = { { 'id', 'backfill' }, { 'short', 'by' }, { 'reason_text', 'why' } },
  unpause_backfill = { { 'id', 'backfill' }, { 'time', 'seen_next' }, { 'count', 'seen_version' },
                       { 'schedule', 'schedule' }, { 'time', 'next' }, { 'count', 'total' }, { 'worker', 'by' } },
  cancel_backfill = { { 'id', 'backfill' }, { 'worker', 'by' } },
  restore_backfill = { { 'id', 'backfill' }, { 'rows', 'row' }, { 'ids', 'active' } },
}

local function check_value(where, kind, name, value)
  if not KINDS[kind][1](value) then
    refuse(where .. ': ' .. name .. ' ' .. shown(value) .. ': must be ' .. KINDS[kind][2])
  end
end

local function check_head(operation, values, from)
  local given = {}
  for i = from, #values, 2 do
    local name, value = values[i], values[i + 1]
    if not HEAD[name] then refuse(operation .. ': a run has no field ' .. shown(name)) end
    check_value(operation, HEAD[name], name, value)
    given[name] = true
  end
  for _, name in ipairs(HEAD_NEEDED) do
    if not given[name] then refuse(operation .. ': ' .. name .. ' is missing') end
  end
end

-- The functions that test the arguments, looked up once: every call needs them.
local function tests_of(signature)
  local tests = {}
  for i, argument in ipairs(signature) do tests[i] = KINDS[argument[1]][1] end
  signature.tests = tests
  return tests
end

-- Refuses what the operation can't be given; its arguments are `values` from `from` on.
function check_call(operation, values, from)
  local signature = SIGNATURES[operation]
  if not signature then refuse('no operation ' .. shown(operation)) end
  local each, count = signature.each, #values - from + 1 - #signature
  local fits = count == 0
  if each then fits = count >= 0 and count % #each == 0 and count <= MAX_ITEMS * #each end
  if signature.head then fits = count > 0 and count % 2 == 0 and count <= MAX_ITEMS end
  if not fits then refuse(operation .. ': ' .. (#values - from + 1) .. ' is a wrong number of arguments') end
  local tests = signature.tests or tests_of(signature)
  for i = 1, #tests do
    local value = values[from + i - 1]
    if not tests[i](value) then check_value(operation, signature[i][1], signature[i][2], value) end
  end
  from = from + #signature
  if signature.head then return check_head(operation, values, from) end
  for i = 0, count - 1 do
    local value = values[from + i]
    if i < #each or value ~= values[from + i - #each] then   -- else it is the one before's, which was right
      local argument = each[i % #each + 1]
      check_value(operation, argument[1], argument[2], value)
    end
  end
end

function decoded_rows(operation, text)
  local fine, rows = pcall(cjson.decode, text)
  if not fine or not is_list(rows, MAX_ITEMS, function(row) return type(row) == 'table' end) then
    refuse(operation .. ': rows must be JSON, a list of at most ' .. MAX_ITEMS .. ' objects')
  end
  return rows
end

-- Field -> kind, as in KINDS; the row's task is named in what is said. What `common` has is known to be right.
function check_row(operation, row, kinds, common)
  for name, kind in pairs(kinds) do
    local value = row[name]
    if not (common and value ~= nil and value == common[name] or KINDS[kind][1](value)) then
      check_value(operation .. ': task ' .. shown(row.task), kind, name, value)
    end
  end
end

end
