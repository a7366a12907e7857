-- What tries write: a stream of parts for each. Of one that grows beyond its bounds the first and the
-- last parts stay; readers find what was left out by the numbers of lines.

local make_way, forget_old_logs

do
local PART = PROTOCOL.log_part
local OVERHEAD = 200        -- bytes that a part takes beside its lines, about
local AT_ONCE = 2000        -- logs that one call forgets
local LISTS = { 'logs:stored', 'logs:expiry' }   -- what the log store has makes way first

-- Forgets a log that stands in that list; returns how many bytes that freed. What was written to it
-- since it was stored stands in the other list, and is kept.
local function forget(name, list)
  call('ZREM', key(list), name)
  if call('ZSCORE', key('logs:expiry'), name) then return 0 end
  local bytes = tonumber(call('HGET', key('logs'), name) or 0)
  call('UNLINK', key('log:' .. name), key('log:' .. name .. ':state'))
  call('HDEL', key('logs'), name)
  call('HINCRBY', key('logs'), '', -bytes)
  return bytes
end

-- Forgets the oldest logs, but for `spared`, until so many bytes are free. Returns whether they are.
function make_way(bytes, spared)
  local done = 0
  for _, list in ipairs(LISTS) do
    local from = 0
    while bytes > 0 and done < AT_ONCE do
      local names = call('ZRANGE', key(list), from, from + 99)
      if not names[1] then break end
      for _, name in ipairs(names) do
        if bytes <= 0 then break end
        if name == spared then from = from + 1 else bytes = bytes - forget(name, list) end
        done = done + 1
      end
    end
  end
  return bytes <= 0
end

-- The answer of `action` for each of the items, which have so many values; a log that is damaged harms no other.
local function of_each(values, action, retention, ...)
  local items, answers = { ... }, {}
  for i = 1, #items, values do
    local fine, answer = pcall(action, retention, unpack(items, i, i + values - 1))
    if not fine and is_servers(answer) then error(answer, 0) end
    answers[#answers + 1] = fine and answer or 'damaged'
  end
  return answers
end

local function written() return tonumber(call('HGET', key('logs'), '') or 0) end

-- Forgets the logs whose time is over, and the oldest ones before Redis is so full that it refuses runs.
function forget_old_logs()
  for _, list in ipairs(LISTS) do
    local past = call('ZRANGEBYSCORE', key(list), '-inf', text(NOW), 'LIMIT', 0, AT_ONCE)
    for _, name in ipairs(past) do forget(name, list) end
  end
  if written() <= 0 then return end
  local info = redis.pcall('INFO', 'memory')
  if type(info) ~= 'string' then return end   -- this user may not
  local used = tonumber(string.match(info, 'used_memory:(%d+)'))
  local most = tonumber(string.match(info, 'maxmemory:(%d+)'))
  if most and most > 0 then make_way(used - LIMITS.logs_memory * most) end
end

-- Takes parts out of the middle until the log is within its bounds. Returns how many bytes that freed.
local function cut(name, head, bytes)
  local freed = 0
  while bytes - freed > LIMITS.log_head + LIMITS.log_tail do
    local rest = call('XRANGE', key('log:' .. name), head == '' and '-' or '(' .. head, '+', 'COUNT', 20)
    if #rest < 2 then break end   -- never the last
    for i = 1, #rest - 1 do
      if bytes - freed <= LIMITS.log_head + LIMITS.log_tail then break end
      local fields = rest[i][2]
      freed = freed + #fields[#fields] + OVERHEAD
      call('XDEL', key('log:' .. name), rest[i][1])
    end
  end
  return freed
end

local function add_part(retention, run, task, try, writer, position, line, byte, lines)
  local name = run .. ':' .. task .. ':' .. try
  local stream, state = key('log:' .. name), key('log:' .. name .. ':state')
  local known = call('HMGET', state, 'writer', 'position', 'bytes', 'head', 'head_bytes')
  if known[1] == writer and tonumber(position) <= tonumber(known[2]) then return 'known' end
  local size = #lines + OVERHEAD
  if written() + size > LIMITS.logs and not make_way(written() + size - LIMITS.logs, name) then
    return 'later'
  end
  local bytes, head, head_bytes = tonumber(known[3] or 0) + size, known[4] or '', tonumber(known[5] or 0)
  local id = call('XADD', stream, '*', PART.writer, writer, PART.line, line, PART.byte, byte, PART.lines, lines)
  if bytes == head_bytes + size and head_bytes + size <= LIMITS.log_head then
    head, head_bytes = id, head_bytes + size
  end
  local freed = cut(name, head, bytes)
  call('HSET', state, 'writer', writer, 'position', position, 'bytes', text(bytes - freed),
       'head', head, 'head_bytes', text(head_bytes))
  call('EXPIRE', stream, retention)
  call('EXPIRE', state, retention)
  call('ZADD', key('logs:expiry'), text(NOW + retention * 1e6), name)
  call('HSET', key('logs'), name, text(bytes - freed))
  call('HINCRBY', key('logs'), '', text(size - freed))
  return 'ok'
end

-- Adds parts to logs of tries: what `writer` wrote up to `position`, from its line number `line` and its byte number
-- `byte` on.
--   given    retention; of each: run, task, try, writer, position, line, byte, lines
--   answers  of each: ok; known if it is there already; later if there is no room; damaged if its key is no log
--   writes   log:R:T:N, log:R:T:N:state, logs, logs:expiry, logs:stored
function OPERATIONS.log(retention, ...)
  return of_each(8, add_part, retention, ...)
end

-- Notes of one log what `log_stored` notes of many.
local function note_stored(keep, run, task, try, last)
  local name = run .. ':' .. task .. ':' .. try
  local newest = call('XREVRANGE', key('log:' .. name), '+', '-', 'COUNT', 1)[1]
  local expiry = call('ZSCORE', key('logs:expiry'), name)
  if not newest then
    forget(name, 'logs:expiry')
  elseif newest[1] ~= last then
    return 'more'
  elseif expiry then
    call('ZREM', key('logs:expiry'), name)
    call('ZADD', key('logs:stored'), text(math.min(tonumber(expiry), NOW + keep * 1e6)), name)
  end
  return 'ok'
end

-- Notes that the log store has the logs of some tries, each up to its entry `last`: from now on Redis
-- keeps them for `keep` seconds at most.
--   given    keep; of each: run, task, try, last
--   answers  of each: ok; more if more was written since; damaged if its key is no log
--   writes   log:R:T:N, log:R:T:N:state, logs, logs:expiry, logs:stored
function OPERATIONS.log_stored(keep, ...)
  return of_each(4, note_stored, keep, ...)
end
end
