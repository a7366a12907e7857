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
end

local function perform(arguments)
  check_call(arguments[2], arguments, 4)
  return OPERATIONS[arguments[2]](unpack(arguments, 4))
end

local function dispatch(arguments)
  enter(arguments[1], arguments[3])
  local fine, answer = pcall(perform, arguments)
  HEAD.write_all()
  HAND.write_all()
  if fine then return answer end
  if type(answer) == 'table' and answer.refused then
    return redis.error_reply('REFUSED ' .. answer.refused)
  end
  local signature = SIGNATURES[arguments[2]]
  if signature.aside == nil or is_servers(answer) then error(answer, 0) end
  set_aside(arguments[4], answer)
  HEAD.write_all()
  HAND.write_all()
  return signature.aside
end
