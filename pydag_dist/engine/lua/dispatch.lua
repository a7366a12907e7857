local dispatch

do   -- a chunk has 200 local variables at most
local function enter(prefix, source)
  call = redis.call
  PREFIX, SOURCE = prefix, source
  local time, clock = call('TIME'), call('HMGET', key('clock'), 'ticked', 'steady', 'lease')
  local lease = tonumber(clock[3] or 15e6)
  if lease ~= TIMES.lease then set_lease(lease) end
  NOW = time[1] * 1e6 + time[2]
  GAP = clock[1] and NOW - clock[1] or nil
  STEADY = (clock[2] or NOW) + math.max(0, math.min(GAP or 0, TIMES.max_gap))
  PUSHES, AHEAD, TEMPLATE, HEADS, TEXTS, HAND.known = 0, { first = 1 }, nil, {}, {}, {}
  CHANGES.begin()
end

local function perform(arguments)
  local operation = arguments[2]
  check_call(operation, arguments, 4)
  local run = SIGNATURES[operation].aside ~= nil and arguments[4]
  if run then CHANGES.doing[run] = true end
  local answer = OPERATIONS[operation](unpack(arguments, 4))
  if run then CHANGES.write_run(run) end
  return answer
end

function dispatch(arguments)
  enter(arguments[1], arguments[3])
  local fine, answer = pcall(perform, arguments)
  local is_refused = not fine and type(answer) == 'table' and answer.refused
  local aside = not (fine or is_refused or is_servers(answer)) and SIGNATURES[arguments[2]].aside
  if aside then set_aside(arguments[4], answer) end
  CHANGES.write_all()
  HEAD.write_all()
  HAND.write_all()
  if is_refused then return redis.error_reply('REFUSED ' .. answer.refused) end
  if fine or aside then return aside or answer end
  error(answer, 0)
end

end
