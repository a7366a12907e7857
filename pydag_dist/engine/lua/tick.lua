-- What happens as time passes: leases that expired, messages that got lost, workers that left, long cascades.

do   -- nothing here is used by other files, and a chunk has 200 local variables at most
local TICK_TRANSITIONS = 2000   -- of a cascade with which its caller did not go on

-- After the server's clock went back: the server itself dates the planners' entries and the lease of the
-- history's writer, and they would last until the clock is where it was. So planners get their time anew,
-- and the history may get another writer.
local function after_step_back()
  local stream, group = key('submissions'), PROTOCOL.planners
  -- Without the group it answers with an error, which has no entries.
  for _, entry in ipairs(redis.pcall('XPENDING', stream, group, '-', '+', TICK_ITEMS)) do
    call('XCLAIM', stream, group, entry[2], 0, entry[1], 'JUSTID')
  end
  call('DEL', key('history:writer'))
  call('EXPIRE', key('database'), math.ceil(2 * TIMES.lease / 1e6))   -- as the recorder does
end

local function expire_leases()
  local expired = call('ZRANGEBYSCORE', key('leases'), '-inf', text(STEADY), 'LIMIT', 0, TICK_ITEMS)
  for _, member in ipairs(expired) do take_lease(member) end
  return #expired
end

-- Returns a function that answers, for a queue, the set of the pushes whose messages are in its list.
-- Each list is read once.
local function listed_pushes()
  local listed = {}
  return function(queue)
    if not listed[queue] then
      listed[queue] = {}
      for _, packed in ipairs(call('LRANGE', key('q:' .. queue), 0, -1)) do
        local number = string.match(packed, '"push": ?"([%d-]+)"')
        if number then listed[queue][number] = true end
      end
    end
    return listed[queue]
  end
end

-- Whether the message of a task queued for a while had to be pushed again.
local function push_lost_message(listed, member, run, task)
  local record = planned(run) and load_record(run, task)
  if not record or record.state ~= 'queued' and record.state ~= 'cancelling' then
    call('ZREM', key('queued'), member)
    return false
  end
  local plan = load_plan(run, task)
  local better = record.needs ~= '' and best_of(able_workers(plan.queue, record.needs))
  -- The message is in the own list of one worker, and another worker that can run the task has time.
  better = better and better.free > 0 and not listed(own_list(better.name))[record.push]
  if is_listed(plan.queue, listed, record.push) and not better then
    call('ZADD', key('queued'), text(STEADY), member)
    return false
  end
  call('SADD', key('queues'), plan.queue)   -- it may have been forgotten
  if record.state == 'cancelling' then
    push_cancel(run, task, record, plan)
  elseif record.needs == '' then
    push(plan.queue, run, task, record)
  else
    back_to_ready(run, task, record)
    reschedule(run)
  end
  return true
end

-- Tasks queued for a while whose message is not in its list: a worker popped it and died.
local function push_lost_messages(listed)
  if not template() then return 0 end
  local waiting = call('ZRANGEBYSCORE', key('queued'), '-inf', text(STEADY - TIMES.queued_grace),
                       'LIMIT', 0, TICK_ITEMS)
  local pushed = 0
  for _, member in ipairs(waiting) do
    local run, task = split_member(member)
    local fine, again = guarded(run, push_lost_message, listed, member, run, task)
    if not fine then call('ZREM', key('queued'), member) end
    if again then pushed = pushed + 1 end
  end
  return pushed
end

-- Starts a task's next try, or polls what is deferred.
local function fire_timer(run, task)
  local record = planned(run) and load_record(run, task)
  if record and record.state == 'deferred' then
    poll_or_stop(run, task, record)
  elseif record and record.state == 'up_for_retry' then
    record.try = record.try + 1
    record.pushes, record.deaths, record.losses = 0, 0, 0
    record.token, record.started_at, record.began = '', '', ''
    record.ended_at, record.reason = '', ''
    make_ready(run, task, record, load_plan(run, task))
    reschedule(run)
  end
end

-- Starts the tries, polls what is deferred and stops the runs whose time has come.
local function fire_timers()
  local due = call('ZRANGEBYSCORE', key('timers'), '-inf', text(STEADY), 'LIMIT', 0, TIMER_ITEMS)
  for _, member in ipairs(due) do
    call('ZREM', key('timers'), member)
    local kind, rest = split_member(member)
    if kind == 'timeout' then
      guarded(rest, OPERATIONS.cancel, rest, 'timeout')
    else
      local run, task = split_member(rest)
      guarded(run, fire_timer, run, task)
    end
  end
end

-- Makes the task ready again whose message was taken from a list. Returns whether the message has to stay,
-- since it asks a worker to cancel the task's remote job.
local function take_message_back(run, task, number)
  local record = planned(run) and load_record(run, task)
  if not record then return false end
  if record.state == 'queued' and record.push == number then
    record.pushes = record.pushes - 1
    back_to_ready(run, task, record)
    refile(run)
  end
  return record.state == 'cancelling'
end

-- Takes the messages of a queue without a live worker out of its list: their tasks are ready again.
local function take_messages_back(queue)
  local list, kept = key('q:' .. queue), {}
  for _ = 1, TICK_ITEMS do
    local packed = call('RPOP', list)
    if not packed then break end
    local run, task, number = string.match(packed,
      '"run": ?"([^"]+)", ?"task": ?"([^"]+)", ?"try": ?"[^"]+", ?"push": ?"([%d-]+)"')
    if run == '*' then
      call('HDEL', key('polls:' .. queue), number)   -- what is due stays so
    elseif not run then
      kept[#kept + 1] = packed   -- somebody else's Celery task
    else
      local _, keep = guarded(run, take_message_back, run, task, number)
      if keep then kept[#kept + 1] = packed end
    end
  end
  for i = #kept, 1, -1 do call('RPUSH', list, kept[i]) end
end

local function forget_of_queue(queue, kinds)
  for _, kind in ipairs(kinds) do CHANGES.set(CHANGES.all.windows, kind .. queue, false) end
end

-- A queue "QUEUE!needs" in which no run waits any more.
local function forget_others(queue)
  if not CHANGES.front(CHANGES.all['fair:' .. queue])[1] then
    call('SREM', key('queues'), queue)
    forget_of_queue(queue, { 'clock/', 'mean/' })
  end
end

-- Forgets a queue without workers and messages if no run has it.
local function forget_if_unused(queue)
  local runs = tonumber(call('HGET', key('windows'), 'runs/' .. queue) or 0)
  if runs > 0 or call('EXISTS', key('q:' .. queue), key('polls:' .. queue)) > 0 then return end
  call('SREM', key('queues'), queue)
  forget_of_queue(queue, { '', 'clock/', 'mean/', 'runs/' })
end

-- Does what has become due. `epoch` is the server's run id.
--   given    epoch
--   answers  1, or 0 if another tick was just done; how many leases were lost; how many messages
--            were pushed again
--   writes   clock, leases, holds, cancels, run:ID:kept, submissions, history:writer, database,
--            log:R:T:N, log:R:T:N:state,
--            logs, logs:expiry, logs:stored, slots:QUEUE, spread()
function OPERATIONS.tick(epoch)
  if GAP and GAP >= 0 and GAP < TICK_EVERY then return { 0, 0, 0 } end
  call('HSET', key('clock'), 'ticked', text(NOW), 'steady', text(STEADY), 'epoch', epoch)
  if GAP and GAP < 0 then after_step_back() end
  local expired = expire_leases()
  local listed = listed_pushes()
  local pushed = push_lost_messages(listed)
  fire_timers()
  forget_old_logs()
  for _, run in ipairs(call('SPOP', key('cancels'), CANCELS)) do
    guarded(run, OPERATIONS.cancel, run, 'cancel')
  end
  for _, run in ipairs(call('SRANDMEMBER', key('working'), 1)) do
    if not guarded(run, OPERATIONS.work, run, TICK_TRANSITIONS) then call('SREM', key('working'), run) end
  end
  local queues = call('SMEMBERS', key('queues'))
  table.sort(queues)
  for _, queue in ipairs(queues) do
    if parts_of_queue(queue) then
      top_up(queue)
      forget_others(queue)
    else
      forget_lost_polls(queue, listed)
      if measure(queue) > 0 then
        top_up(queue)
      else
        take_messages_back(queue)
        forget_if_unused(queue)
      end
    end
  end
  return { 1, expired, pushed }
end

end
