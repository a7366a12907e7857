local function enter(prefix, source)
  call = redis.call
  PREFIX, SOURCE = prefix, source
  local time = call('TIME')
  NOW = time[1] * 1e6 + time[2]
  PUSHES, TODO, TEMPLATES, HEADS = 0, { first = 1 }, {}, {}
end

local function dispatch(arguments)
  enter(arguments[1], arguments[3])
  return OPERATIONS[arguments[2]](unpack(arguments, 4))
end
