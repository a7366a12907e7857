-- Deferral: a task that waits for its remote job holds no slot; workers poll many at a time.

-- Nobody holds the try any more until it is polled, in `delay` µs. If it was told to stop meanwhile, a worker is asked
-- to cancel its job.
function defer(run, task, record, plan, delay, group, handle)
  call('HSET', run_key(run, 'out'), OUT.deferral .. task, group .. ' ' .. handle)
  if record.state == 'cancelling' then return ask_to_cancel(run, task, record) end
  if record.state == 'running' then
    set_state(run, task, record, 'deferred')
    event(run, 'kind', 'task', 'task', task, 'state', 'deferred', 'try', record.try, 'worker', record.worker)
    if plan.sensor == '1' then CHANGES.remove(CHANGES.of[run].active, task) end
  end
  record.token = ''
  save_record(run, task, record)
  -- What began together is not to be asked for together.
  local due = STEADY + delay * (0.8 + 0.4 * ((NOW + math.random(1000)) % 1000) / 1000)
  if plan.timeout > 0 then due = math.min(due, record.began + plan.timeout) end
  call('ZADD', key('timers'), text(due), TIMERS.poll .. run .. '/' .. task)
end

-- Adds what a deferred task's poller gets to `claimed`.
local function claim_poll(claimed, push_number, worker, run, task)
  local record = planned(run) and load_record(run, task)
  if not record or record.state ~= 'deferred' then return end
  local kept, spec = call('HGET', run_key(run, 'out'), OUT.deferral .. task), load_spec(run, task)
  local values = { run, task, record.try, assert(spec, 'a deferred task without its spec'),
                   (assert(string.match(kept, '^%S+ (.*)$'), 'a deferred task without its handle')) }
  record.token, record.worker = push_number, worker
  save_record(run, task, record)
  call('ZADD', key('timers'), text(STEADY + TIMES.poll_lease), TIMERS.poll .. run .. '/' .. task)
  for _, value in ipairs(values) do claimed[#claimed + 1] = value end
end

-- A worker takes deferred tasks of a group, to poll them.
--   given    queue, group, push, worker
--   answers  of each task: run, task, try, spec, handle
--   writes   due:QUEUE, groups:QUEUE, polls:QUEUE, timers, top_up()
function OPERATIONS.claim_polls(queue, group, push_number, worker)
  if call('HDEL', key('polls:' .. queue), push_number) == 0 then return {} end
  local claimed, due = {}, key('due:' .. queue)
  local first, last = of_group(group)
  for _, member in ipairs(call('ZRANGEBYLEX', due, first, last, 'LIMIT', 0, POLL_BATCH)) do
    call('ZREM', due, member)
    local run, task = string.match(member, '^[^/]*/([^/]*)/(.*)$')
    guarded(run, claim_poll, claimed, push_number, worker, run, task)
  end
  tidy_due(queue, group)
  top_up(queue)
  return claimed
end

-- A deferred task's timer: it is to be polled, or its poll was never reported, or it timed out.
local function poll_or_stop(run, task, record)
  local plan = load_plan(run, task)
  if record.token ~= '' then
    record.token, record.losses = '', record.losses + 1
    save_record(run, task, record)
  end
  if record.losses >= MAX_LOSSES then
    fail_poisoned(run, task, record, 'losses')
    spread(run)
  elseif plan.timeout > 0 and age(record) >= plan.timeout then
    stop_deferred(run, task, record, 'timeout')
    spread(run)
  else
    make_due(plan.queue, group_of(run, task), run, task)
  end
end

-- Whether a message is in the list of the queue or of one of its workers; `listed` as below.
local function is_listed(queue, listed, number)
  if listed(queue)[number] then return true end
  for _, worker in ipairs(call('HKEYS', key('slots:' .. queue))) do
    if listed(own_list(worker))[number] then return true end
  end
  return false
end

-- Poll messages that a worker popped and never claimed: what is due gets another one.
local function forget_lost_polls(queue, listed)
  local polls = call('HKEYS', key('polls:' .. queue))
  for _, number in ipairs(polls) do
    local pushed = tonumber(string.match(number, '^%d+'))
    if STEADY - pushed > TIMES.queued_grace and not is_listed(queue, listed, number) then
      call('HDEL', key('polls:' .. queue), number)
    end
  end
end
