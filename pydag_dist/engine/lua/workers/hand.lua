-- A process's hand: the tries that it was handed at once, and holds.

-- The hands of processes, as far as read: "worker/process" -> `after`, the token of the try that it ended last
-- when it was handed something, and "run/task" of each, in order. A call writes at its end what has changed.
local HAND = {}

function HAND.of(name)
  local hand = HAND.known[name]
  if hand then return hand end
  hand = {}
  for word in string.gmatch(call('HGET', key('holds'), name) or '', '%S+') do
    if hand.after then hand[#hand + 1] = word else hand.after = word end
  end
  HAND.known[name] = hand
  return hand
end

function HAND.drop(name, member)
  local hand = HAND.of(name)
  for i = #hand, 1, -1 do
    if hand[i] == member then
      table.remove(hand, i)
      hand.changed = true
    end
  end
end

function HAND.clear(name)
  local hand = HAND.of(name)
  for i = #hand, 1, -1 do hand[i] = nil end
  hand.changed = hand.after ~= nil
end

function HAND.write_all()
  for name, hand in pairs(HAND.known) do
    if hand.changed and hand[1] then
      call('HSET', key('holds'), name, hand.after .. ' ' .. table.concat(hand, ' '))
    elseif hand.changed then
      call('HDEL', key('holds'), name)
    end
  end
  HAND.known = {}
end

-- Of what a process was handed, as far as it holds that still: run, task and record of each, in order. The
-- others are in its hand no more.
function HAND.held(worker, process)
  local name, held = worker .. '/' .. process, {}
  for _, member in ipairs({ unpack(HAND.of(name)) }) do
    local run, task = split_member(member)
    local fine, record = guarded(run, function() return planned(run) and load_record(run, task) end)
    if fine and record and record.worker == worker and record.process == process
       and (record.state == 'running' or record.state == 'cancelling') then
      held[#held + 1] = { run = run, task = task, record = record, member = member }
    else
      HAND.drop(name, member)
    end
  end
  return held
end
