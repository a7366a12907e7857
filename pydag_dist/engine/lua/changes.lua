-- What a call reads and changes of keys that many of its steps touch: it reads a field once, and all changes of a
-- key are one command. So eight tries in one call cost hardly more commands than one. A run's keys are written when
-- what is done for the run is over (`guarded`), shared ones at the end of the call. Who reads or writes one of
-- them by a command of its own calls `write` before.

do   -- a chunk has 200 local variables at most
local COMMANDS = { hash = { 'HSET', 'HDEL' }, set = { 'SADD', 'SREM' }, zset = { 'ZADD', 'ZREM' } }
local KINDS = { tasks = 'hash', plan = 'hash', specs = 'hash', active = 'set', ready = 'zset' }
local AT_ONCE = 500   -- arguments of one command, about
local FRONT = 10      -- members that are read of the front of a sorted set: a hand, and more

local function new(name, kind)
  local kept = { key = name, kind = kind, changed = {}, number = 0 }
  if kind == 'hash' then kept.read = {} elseif kind == 'zset' then kept.is_new, kept.fronts = {}, {} end
  return kept
end

-- CHANGES.of[run].tasks is a part of a run, CHANGES.all.leases a key that all runs share; each is made when it is
-- used first in a call.
local function parts_of(runs, run)
  runs[run] = setmetatable({}, { __index = function(parts, part)
    parts[part] = new(run_key(run, part), KINDS[part])
    return parts[part]
  end })
  return runs[run]
end

local function shared(keys, name)
  keys[name] = new(key(name), name == 'windows' and 'hash' or 'zset')
  return keys[name]
end

function CHANGES.begin()
  CHANGES.of, CHANGES.all = setmetatable({}, { __index = parts_of }), setmetatable({}, { __index = shared })
  CHANGES.doing = {}
end

local function send(kept, command, arguments)
  if arguments[1] then call(command, kept.key, unpack(arguments)) end
end

function CHANGES.write(kept)
  if kept.number == 0 then return end
  local is_hash, is_set = kept.kind == 'hash', kept.kind == 'set'
  local add, remove = unpack(COMMANDS[kept.kind])
  local added, removed = {}, {}
  for member, value in pairs(kept.changed) do
    if type(value) == 'table' then value = CHANGES.packed(value) end   -- a record
    if is_hash then kept.read[member] = value end
    if value == false then
      removed[#removed + 1] = member
    elseif is_set then
      added[#added + 1] = member
    else   -- field and value, or score and member
      added[#added + 1] = is_hash and member or value
      added[#added + 1] = is_hash and value or member
    end
    if #added + #removed >= AT_ONCE then
      send(kept, add, added)
      send(kept, remove, removed)
      added, removed = {}, {}
    end
  end
  kept.changed, kept.number, kept.is_new = {}, 0, kept.is_new and {}
  send(kept, add, added)
  send(kept, remove, removed)
end

function CHANGES.write_run(run)
  for _, kept in pairs(CHANGES.of[run]) do CHANGES.write(kept) end
end

-- As far as it can be done: keys may be of a wrong type. What can't be written is forgotten.
function CHANGES.leave(run)
  for _, kept in pairs(CHANGES.of[run]) do pcall(CHANGES.write, kept) end
  CHANGES.of[run] = nil
end

function CHANGES.write_all()
  for run in pairs(CHANGES.of) do CHANGES.write_run(run) end
  for _, kept in pairs(CHANGES.all) do CHANGES.write(kept) end
end

local function change(kept, member, value)
  if kept.changed[member] == nil then kept.number = kept.number + 1 end
  kept.changed[member] = value
end

-- Hashes:

-- Reads these fields at once, as far as they are not known. (One is read when it is asked for.)
function CHANGES.read_ahead(kept, fields)
  if not fields[2] then return end
  local unknown = {}
  for _, field in ipairs(fields) do
    if kept.changed[field] == nil and kept.read[field] == nil then unknown[#unknown + 1] = field end
  end
  if not unknown[1] then return end
  for i, value in ipairs(call('HMGET', kept.key, unpack(unknown))) do kept.read[unknown[i]] = value end
end

-- The field's value, false without; of `tasks` a table if it was saved in this call.
function CHANGES.get(kept, field)
  local value = kept.changed[field]
  if value == nil then value = kept.read[field] end
  if value == nil then
    value = call('HGET', kept.key, field)
    kept.read[field] = value
  end
  return value
end

CHANGES.set = change

-- Sets, and sorted sets, of which a call knows the front as far as it has asked for it: the first members, and whether
-- these are all. `prefix` is of those whose members begin with it and "/"; they all have the score 0.

local function drop(front, member)
  for i, each in ipairs(front) do
    if each.member == member then
      table.remove(front, i)
      break
    end
  end
  return front.are_all or front[1]
end

-- Whether it is known where the member stands. (Redis decides between equal scores.)
local function place(front, member, score)
  if not drop(front, member) then return false end
  local at = #front + 1
  for i = #front, 1, -1 do
    if tonumber(front[i].score) == tonumber(score) then return false end
    if tonumber(front[i].score) > tonumber(score) then at = i end
  end
  if at <= #front or front.are_all then table.insert(front, at, { member = member, score = score }) end
  return true
end

-- `is_new`: it is not there yet, so that taking it out again needs nothing to be written, unless it was there
-- and has been taken out in this call.
function CHANGES.put(kept, member, score, prefix, is_new)
  if is_new and kept.changed[member] == nil then kept.is_new[member] = true end
  change(kept, member, score)
  if kept.kind == 'set' then return end
  local name = prefix or ''
  local front = kept.fronts[name]
  if front and front.count then front.count = front.count + 1 end
  if front and not place(front, member, score) then kept.fronts[name] = nil end
end

function CHANGES.remove(kept, member, prefix)
  if kept.kind == 'set' then return change(kept, member, false) end
  if kept.is_new[member] then
    if kept.changed[member] ~= nil then kept.number = kept.number - 1 end
    kept.changed[member] = nil
  else
    change(kept, member, false)
  end
  local name = prefix or ''
  local front = kept.fronts[name]
  if front and front.count then front.count = front.count - 1 end
  if front and not drop(front, member) then kept.fronts[name] = nil end
end

local function ask(kept, prefix)
  local front = {}
  if prefix then
    local members = call('ZRANGEBYLEX', kept.key, '[' .. prefix .. '/', '(' .. prefix .. '0', 'LIMIT', 0, FRONT)
    for i, member in ipairs(members) do front[i] = { member = member, score = 0 } end
  else
    local found = call('ZRANGE', kept.key, 0, 1, 'WITHSCORES')
    for i = 1, #found, 2 do front[#front + 1] = { member = found[i], score = found[i + 1] } end
  end
  front.are_all = #front < (prefix and FRONT or 2)
  return front
end

-- The front of what Redis has with these changes; nil if that is not known.
local function changed_front(kept, prefix)
  if kept.number > FRONT then return nil end
  local front = ask(kept, prefix)
  for member, score in pairs(kept.changed) do
    if not prefix or string.sub(member, 1, #prefix + 1) == prefix .. '/' then
      if not (score and place or drop)(front, member, score) then return nil end
    end
  end
  return front
end

function CHANGES.front(kept, prefix)
  local name = prefix or ''
  local front = kept.fronts[name] or changed_front(kept, prefix)
  if not front then
    CHANGES.write(kept)
    front = ask(kept, prefix)
  end
  kept.fronts[name] = front
  return front
end

-- How many members begin so.
function CHANGES.count(kept, prefix)
  local front = CHANGES.front(kept, prefix)
  if front.are_all then return #front end
  if not front.count then
    CHANGES.write(kept)
    front.count = call('ZLEXCOUNT', kept.key, '[' .. prefix .. '/', '(' .. prefix .. '0')
  end
  return front.count
end

end
