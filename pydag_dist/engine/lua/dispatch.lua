local function enter(prefix, source)
  call = redis.call
  PREFIX, SOURCE = prefix, source
  local time, clock = call('TIME'), call('HMGET', key('clock'), 'ticked', 'steady')
  NOW, NOW_TEXT = time[1] * 1e6 + time[2], nil
  GAP = clock[1] and NOW - clock[1] or nil
  STEADY = (clock[2] or NOW) + math.max(0, math.min(GAP or 0, MAX_GAP))
  PUSHES, TODO, TEMPLATES, HEADS = 0, { first = 1 }, {}, {}
end

local function dispatch(arguments)
  enter(arguments[1], arguments[3])
  return OPERATIONS[arguments[2]](unpack(arguments, 4))
end
