-- Late binding: how a ready task becomes a message of its queue.

local template, enqueue

do   -- a chunk has 200 local variables at most
-- A template's parts: text at odd places, names of marks at even ones. Kept between calls: cutting
-- it up at every push would be most of the push's time.
local PARTS = {}
local function parts_of(template)
  local parts, at = PARTS[template], 1
  if parts then return parts end
  parts = {}
  for before, mark, after in string.gmatch(template, '()<<(%w+)>>()') do
    parts[#parts + 1] = string.sub(template, at, before - 1)
    parts[#parts + 1] = mark
    at = after
  end
  parts[#parts + 1] = string.sub(template, at)
  PARTS[template] = parts
  return parts
end

function template()
  TEMPLATE = TEMPLATE or call('GET', key('template'))
  return TEMPLATE
end

-- Puts a message of the queue onto its list, or another one: its template with these ids.
function enqueue(queue, ids, list)
  ids.queue = queue
  local filled = {}
  for i, part in ipairs(parts_of(template())) do filled[i] = i % 2 == 1 and part or ids[part] end
  call('LPUSH', key('q:' .. (list or queue)), table.concat(filled))
end
end

-- The id of the process that has registered under that name and may be alive, until when it is
-- taken to be, and how many of its slots were busy a moment ago.
local function registered(kind, name)
  local kept = call('HGET', key(kind), name) or ''
  local id, expiry, busy = string.match(kept, '^(%S+) (%d+) (%d+) ')
  if id and tonumber(expiry) > STEADY then return id, tonumber(expiry), tonumber(busy) end
  return '-', 0, 0
end

local function has_refused(queue, needs, worker, id)
  for need in string.gmatch(needs, '[^+]+') do
    local kept = call('HGET', key('refused:' .. queue), need .. ' ' .. worker)
    local expiry, refuser = string.match(kept or '', '^(%d+) (%S+) ')
    -- One that was started anew since, or has loaded its modules anew, may be able to.
    if expiry and tonumber(expiry) > STEADY and refuser == id then return true end
  end
  return false
end

local function own_list(worker) return '@' .. worker end

-- The live workers of a queue that have not lately refused any of the needs: of each its name, `room`
-- for messages in its own list, and `free` slots as far as known. And the number of those that have.
local function able_workers(queue, needs)
  local able, refusers, workers = {}, 0, call('HGETALL', key('slots:' .. queue))
  for i = 1, #workers, 2 do
    local name = workers[i]
    local slots, expiry = string.match(workers[i + 1], '^(%d+) (%d+)$')
    local id, _, busy = registered('workers', name)
    if tonumber(expiry) > STEADY then
      if has_refused(queue, needs, name, id) then
        refusers = refusers + 1
      else
        local room = slots - call('LLEN', key('q:' .. own_list(name)))
        able[#able + 1] = { name = name, room = room, free = room - busy }
      end
    end
  end
  return able, refusers
end

-- The worker that will have time first; nil if there is none.
local function best_of(able)
  local best
  for _, w in ipairs(able) do
    if not best or w.free > best.free or (w.free == best.free and (w.room > best.room
       or (w.room == best.room and w.name < best.name))) then
      best = w
    end
  end
  return best
end

-- The try gets another message, or is begun without one.
local function number_push(run, record)
  record.pushes = record.pushes + 1
  record.push = next_push()
  record.queued_at = text(NOW)
  local head = head_of(run)
  head.enqueued = head.enqueued + 1
  head.changed[PROTOCOL.enqueued .. SOURCE] = head.enqueued
end

-- Pushes a message of the task's current try. The caller has made the task active.
local function push(queue, run, task, record, list)
  number_push(run, record)
  save_record(run, task, record)
  call('ZADD', key('queued'), text(STEADY), run .. '/' .. task)
  local id = run .. '/' .. task .. '/' .. record.try
  if record.pushes > 1 then id = id .. '.' .. record.pushes end
  enqueue(queue, { id = id, run = run, task = task, try = record.try, push = record.push,
                   dag = head_of(run).dag_id }, list)
end

-- The range of those members of `due:QUEUE` that are of one group, made as in READY.first.
local function of_group(group) return '[' .. group .. '/', '(' .. group .. '0' end

-- The group of a deferred task: those of one group can be polled by one message.
local function group_of(run, task)
  return string.match(call('HGET', run_key(run, 'out'), OUT.deferral .. task), '^%S+')
end

-- A deferred task is to be polled by the next worker that has time for its group.
local function make_due(queue, group, run, task)
  call('ZADD', key('due:' .. queue), 0, group .. '/' .. run .. '/' .. task)
  call('ZADD', key('groups:' .. queue), 'NX', text(STEADY), group)
  CHANGES.set(CHANGES.all.windows, PROTOCOL.due .. queue, 1)
end

-- After members of a group have left `due:QUEUE`.
local function tidy_due(queue, group)
  if call('ZLEXCOUNT', key('due:' .. queue), of_group(group)) == 0 then
    call('ZREM', key('groups:' .. queue), group)
  end
  if call('EXISTS', key('due:' .. queue)) == 0 then
    CHANGES.set(CHANGES.all.windows, PROTOCOL.due .. queue, false)
  end
end

-- Pushes messages for due polls, at most half of a window; returns how many.
local function push_polls(queue, window, room)
  local unclaimed, served, pushed = {}, 0, 0
  local free = math.max(1, math.floor(window / 2))
  for _, group in ipairs(call('HVALS', key('polls:' .. queue))) do
    unclaimed[group] = (unclaimed[group] or 0) + 1
    free, served = free - 1, served + 1
  end
  free = math.min(free, room)
  if free <= 0 then return 0 end
  local any_refused = call('EXISTS', key('refused:' .. queue)) == 1
  -- Each group that is looked at has a message already or gets one now. So not more groups are read than
  -- there are messages. Only if workers have refused, all are, since some may have no worker left.
  local last = any_refused and -1 or free + served - 1
  for _, group in ipairs(call('ZRANGE', key('groups:' .. queue), 0, last)) do
    local due, list = call('ZLEXCOUNT', key('due:' .. queue), of_group(group)), nil
    if any_refused then
      local able, refusers = able_workers(queue, 'polls:' .. group)
      local best = best_of(able)
      if not best then due = 0 elseif refusers > 0 then list = own_list(best.name) end
    end
    for _ = (unclaimed[group] or 0) + 1, math.ceil(due / POLL_BATCH) do
      if pushed == free then return pushed end
      local number = next_push()
      call('HSET', key('polls:' .. queue), number, group)
      call('ZADD', key('groups:' .. queue), text(STEADY), group)
      enqueue(queue, { id = '*/' .. group .. '/' .. number, run = '*', task = group, try = '0',
                       push = number, dag = 'polls' }, list)
      pushed = pushed + 1
    end
  end
  return pushed
end

-- A ready task gets a slot of the queue, or a message that waits for one: its record in that state. The run's
-- charge was `before`.
local function activate(run, queue, member, before, state)
  local task = string.match(member, '^[^/]*/[^/]*/(.*)$')
  READY.drop(run, queue, member)
  CHANGES.put(CHANGES.of[run].active, task, true)
  local record = load_record(run, task)
  set_state(run, task, record, state)
  record.charged = text(refile(run, queue, before))
  return task, record
end

-- The run's most urgent ready task becomes a message.
local function push_next(run, queue, before, base, list)
  local task, record = activate(run, queue, READY.first(run, queue), before, 'queued')
  push(base, run, task, record, list)
end

-- Does `action` for the run that is next in a queue's `fair` set: with the run, the queue, what the run was
-- charged until now, and what else is given. False if there is none.
local function serve(action, queue, ...)
  local first = CHANGES.front(CHANGES.all['fair:' .. queue])[1]
  if not first then return false end
  local run = string.match(first.member, '^%d+/(.*)$')
  if not guarded(run, action, run, queue, first.score, ...) then CHANGES.remove(CHANGES.all['fair:' .. queue], first.member) end
  return true
end

-- Fills the own lists of the workers that have not refused, from the tasks of "QUEUE!needs".
local function top_up_others(queue, base, needs)
  if not CHANGES.front(CHANGES.all['fair:' .. queue])[1] or not template() then return end
  local able = able_workers(base, needs)
  for _ = 1, MAX_PUSHES do
    local open = {}
    for _, w in ipairs(able) do
      if w.room > 0 then open[#open + 1] = w end
    end
    local best = best_of(open)
    if not best or not serve(push_next, queue, base, own_list(best.name)) then return end
    best.room, best.free = best.room - 1, best.free - 1
  end
end

-- Fills the queue's list up to its window: with due polls, and then with tasks of the runs that have the
-- least charge per weight.
local function top_up(queue)
  local base, needs = parts_of_queue(queue)
  if base then return top_up_others(queue, base, needs) end
  CHANGES.read_ahead(CHANGES.all.windows, { queue, PROTOCOL.due .. queue })
  local window, due = tonumber(CHANGES.get(CHANGES.all.windows, queue) or 0), CHANGES.get(CHANGES.all.windows, PROTOCOL.due .. queue)
  if window == 0 or not due and not CHANGES.front(CHANGES.all['fair:' .. queue])[1] then return end
  local room = math.min(window - call('LLEN', key('q:' .. queue)), MAX_PUSHES)
  if room <= 0 or not template() then return end
  if due then room = room - push_polls(queue, window, room) end
  while room > 0 and serve(push_next, queue, queue) do room = room - 1 end
end

-- After a run's ready or active tasks changed. `first` is done before the queues are topped up.
local function reschedule(run, first)
  refile(run)
  if first then first() end
  for _, queue in ipairs(head_of(run).queues) do top_up(queue) end
end

local function make_ready(run, task, record, plan)
  set_state(run, task, record, 'ready')
  record.ready_at = text(NOW)
  save_record(run, task, record)
  READY.add(run, task, record, plan)
end

-- Takes a queued or running task's place back, and lets it wait for a slot again.
local function back_to_ready(run, task, record)
  local plan = load_plan(run, task)
  settle(run, queue_of(plan, record), record)
  CHANGES.remove(CHANGES.of[run].active, task)
  call('ZREM', key('queued'), run .. '/' .. task)
  make_ready(run, task, record, plan)
end
