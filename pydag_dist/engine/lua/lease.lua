-- A try's life with its worker: claim, release, renew.

-- run, task, try, push, worker, its process -> the task's spec, or why to ignore the message
function OPERATIONS.claim(run, task, try, push_number, worker, process)
  local state, why = known(run)
  if not state then return { 'no', why } end
  local record = load_record(run, task)
  if not record then return { 'no', 'unknown' } end
  local spec = call('HGET', run_key(run, 'specs'), task)
  if record.state == 'running' and record.try == try and record.token == push_number
     and record.worker == worker and record.process == process then
    return { 'run', spec }   -- the answer to the first claim got lost
  end
  if record.state ~= 'queued' or record.try ~= try then return { 'no', record.state } end
  record.state = 'running'
  record.token = push_number
  record.started_at = text(NOW)
  record.worker = worker
  record.process = process
  save_record(run, task, record)
  call('ZREM', key('queued'), run .. '/' .. task)
  call('ZADD', key('leases'), text(NOW + LEASE), run .. '/' .. task)
  event(run, 'kind', 'task', 'task', task, 'state', 'running', 'try', try, 'worker', worker)
  return { 'run', spec }
end

-- Whether the try is the token's: 'yours' (running), 'back' (nobody else has claimed it since it
-- was lost), else what it is instead.
local function holder(record, try, token)
  if record.try ~= try then return 'lost' end
  if ENDED[record.state] then return 'ended' end
  if record.state == 'none' then return 'lost' end
  if record.token ~= token then return record.state == 'running' and 'lost' or 'waiting' end
  return record.state == 'running' and 'yours' or 'back'
end

-- Undoes what the loss of the lease did, so that the try runs where it ran.
local function take_back(run, task, record)
  if record.state == 'ready' then
    local queue, rank = load_plan(run, task)
    call('ZREM', run_key(run, 'ready'), ready_member(queue, rank, task))
    call('SADD', run_key(run, 'active'), task)
  else
    call('ZREM', key('queued'), run .. '/' .. task)
  end
  record.state = 'running'
end

local POISON = {
  deaths = 'poison: %d times the worker process died while it ran this task, or could not tell '
        .. 'how its remote job was; '
        .. 'look for memory limits (OOM) and crashes of native libraries on the worker host',
  losses = 'poison: the lease of this task was lost %d times; '
        .. 'its workers died, were paused, or could not reach Redis',
}

local function fail_poisoned(run, task, record, counter, last)
  local reason = string.format(POISON[counter], record[counter])
  if last and last ~= '' then reason = reason .. '. The last time: ' .. last end
  call('HSET', run_key(run, 'out'), 'e/' .. task, reason)
  end_task(run, task, record, 'failed')
end

-- run, task, try, token, outcome (success | failed | dead), result as JSON or '', error or ''
function OPERATIONS.release(run, task, try, token, outcome, result, err)
  local state, why = known(run)
  if not state then return { why, 0 } end
  local record = load_record(run, task)
  if not record then return { 'unknown', 0 } end
  local whose = holder(record, try, token)
  if outcome == 'dead' and record.state == 'queued' and record.push == token then
    call('ZREM', key('queued'), run .. '/' .. task)   -- the child died before it could claim
    whose = 'yours'
  end
  if whose ~= 'yours' and whose ~= 'back' then return { whose, 0 } end
  call('ZREM', key('leases'), run .. '/' .. task)
  if whose == 'back' then take_back(run, task, record) end
  if outcome == 'dead' then
    record.deaths = record.deaths + 1
    record.token = ''   -- its parent may not know yet, and must not take it back by a renewal
    if record.deaths < MAX_DEATHS then
      back_to_ready(run, task, record)
    else
      fail_poisoned(run, task, record, 'deaths', err)
    end
  else
    if result ~= '' then call('HSET', run_key(run, 'out'), 'r/' .. task, result) end
    if err ~= '' then call('HSET', run_key(run, 'out'), 'e/' .. task, err) end
    end_task(run, task, record, outcome)
  end
  return { 'ok', spread(run) }
end

-- The queue's window from its live workers; forgets the others.
local function measure(queue)
  local slots, workers = 0, call('HGETALL', key('slots:' .. queue))
  for i = 1, #workers, 2 do
    local count, expiry = string.match(workers[i + 1], '^(%d+) (%d+)$')
    if tonumber(expiry) > NOW then
      slots = slots + tonumber(count)
    else
      call('HDEL', key('slots:' .. queue), workers[i])
    end
  end
  call('HSET', key('windows'), queue, 2 * slots)
  return slots
end

-- worker, slots (0: it is leaving), queues, then run, task, try, token of each active task.
-- Returns one answer a task: yours, ended, lost, waiting (not claimed yet), unknown.
function OPERATIONS.renew(worker, slots, queues, ...)
  local items, answers = { ... }, {}
  for i = 1, #items, 4 do
    local run, task, try, token = items[i], items[i + 1], items[i + 2], items[i + 3]
    local record = known(run) and load_record(run, task)
    local whose = record and holder(record, try, token) or 'unknown'
    if whose == 'back' then
      take_back(run, task, record)
      save_record(run, task, record)
      refile(run)
      whose = 'yours'
    end
    if whose == 'yours' then
      call('ZADD', key('leases'), text(NOW + LEASE), run .. '/' .. task)
    end
    answers[#answers + 1] = whose
  end
  for queue in string.gmatch(queues, '%S+') do
    if slots == '0' then
      call('HDEL', key('slots:' .. queue), worker)
    else
      call('HSET', key('slots:' .. queue), worker, slots .. ' ' .. text(NOW + LEASE))
    end
    call('SADD', key('queues'), queue)
    measure(queue)
    top_up(queue)
  end
  return answers
end
