-- Workers and coordinators that are alive, and the slots of workers.

-- Whether a worker or coordinator lives besides that one.
local function is_in_company(kind, name)
  for _, each in ipairs({ 'workers', 'coordinators' }) do
    for _, other in ipairs(call('HKEYS', key(each))) do
      if (each ~= kind or other ~= name) and registered(each, other) ~= '-' then return true end
    end
  end
  return false
end

-- A worker or coordinator says that it is alive: with the id of its process, how many of its slots are
-- busy, what it can do as JSON, and its lease in µs. One that does not say so again within the lease is
-- gone. If another process has the name, it keeps it, unless `force` is 1: then that process is known to be
-- dead. The first one to register decides what the lease of the installation is; one that comes with
-- another lease while others are alive is refused.
--   given    kind, name, process, busy, info, lease, force
--   answers  ok; since when (µs) the name is another's; or `lease` and what it is here
--   writes   workers, coordinators
function OPERATIONS.register(kind, name, id, busy, info, lease, force)
  local other, expiry = registered(kind, name)
  -- "process.time": after the dot, since when it runs the modules that it has loaded.
  local same = string.match(other, '^[^.]*') == string.match(id, '^[^.]*')
  if other ~= '-' and not same and force ~= '1' then return text(expiry - TIMES.lease) end
  if tonumber(lease) ~= TIMES.lease then
    if is_in_company(kind, name) then return 'lease ' .. text(TIMES.lease) end
    call('HSET', key('clock'), 'lease', lease)
    set_lease(tonumber(lease))
  end
  local told = id .. ' ' .. text(STEADY + TIMES.lease) .. ' ' .. busy .. ' ' .. info
  if call('HSET', key(kind), name, told) == 1 then   -- a new name: time to forget old ones
    for _, old in ipairs(call('HKEYS', key(kind))) do
      if registered(kind, old) == '-' then call('HDEL', key(kind), old) end
    end
  end
  return 'ok'
end

-- The process of that name ends.
--   given    kind, name, process
--   answers  ok
--   writes   workers, coordinators
function OPERATIONS.unregister(kind, name, id)
  local own = string.match(registered(kind, name), '^[^.]*')
  if own == string.match(id, '^[^.]*') then call('HDEL', key(kind), name) end
  return 'ok'
end

-- The queue's window from its live workers; forgets the others.
local function measure(queue)
  local slots, workers = 0, call('HGETALL', key('slots:' .. queue))
  for i = 1, #workers, 2 do
    local count, expiry = string.match(workers[i + 1], '^(%d+) (%d+)$')
    if tonumber(expiry) > STEADY then
      slots = slots + tonumber(count)
    else
      call('HDEL', key('slots:' .. queue), workers[i])
      call('DEL', key('q:' .. own_list(workers[i])))   -- a tick pushes what was there again
    end
  end
  CHANGES.set(CHANGES.all.windows, queue, 2 * slots)
  return slots
end
