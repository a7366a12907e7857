-- A try's life with its worker: claim, release, renew.

-- A try begins in a process of a worker, if the message is the newest of the newest try.
--   given    run, task, try, push, worker, process
--   answers  run or cancel, the spec, the last of its tries whose success does not count; or no,
--            why
--   writes   leases, queued, run:ID:events, run:ID:out, run:ID:tasks
function OPERATIONS.claim(run, task, try, push_number, worker, process)
  local state, why = planned(run)
  if not state then return { 'no', why } end
  local record = load_record(run, task)
  if not record then return { 'no', 'unknown' } end
  if record.try ~= tonumber(try) then return { 'no', 'another try' } end
  local order, spec, before = 'run', load_spec(run, task), '0'
  if record.try > 1 then before = call('HGET', run_key(run, 'out'), OUT.settled .. task) or '0' end
  if record.state == 'running' and record.token == push_number and record.worker == worker
     and (record.process == process or record.process == '') then
    return { 'run', spec, before }   -- the answer to the first claim got lost, or a renewal took it back
  elseif record.state == 'cancelling' and record.token == '' then
    order = 'cancel'
  elseif record.state == 'queued' then
    set_state(run, task, record, 'running')
    begin(record)
  else
    return { 'no', record.state }
  end
  record.token = push_number
  record.worker = worker
  record.process = process
  save_record(run, task, record)
  if record.needs ~= '' then call('HDEL', run_key(run, 'out'), OUT.refused .. task) end
  call('ZREM', key('queued'), run .. '/' .. task)
  call('ZADD', key('leases'), text(STEADY + TIMES.lease), run .. '/' .. task)
  event(run, 'kind', 'task', 'task', task, 'state', record.state, 'try', try, 'worker', worker)
  return { order, spec, before }
end

-- Whether the try is the token's: 'yours' (running, cancelling or polled), 'back' (nobody else has
-- claimed it since it was lost), else what it is instead.
local function holder(record, try, token)
  if record.try ~= tonumber(try) then return 'lost' end
  local state = record.state
  if ENDED[state] or state == 'up_for_retry' then return 'ended' end
  if state == 'running' or state == 'cancelling' then
    return record.token == token and 'yours' or 'lost'
  end
  if state == 'deferred' then return record.token == token and 'yours' or 'ended' end
  if state ~= 'ready' and state ~= 'queued' then return 'lost' end
  if record.token == token then return 'back' end
  -- Messages of the try were pushed after this one, and none was claimed: Redis lost the claim.
  if record.token == '' and record.push ~= token then return 'back' end
  return 'waiting'
end

-- Undoes what the loss of the lease or of the claim did, so that the try runs where it ran.
local function take_back(run, task, record, token)
  if record.state == 'ready' then
    call('ZREM', run_key(run, 'ready'), ready_member(load_plan(run, task), task, record))
    call('SADD', run_key(run, 'active'), task)
  else
    call('ZREM', key('queued'), run .. '/' .. task)
  end
  set_state(run, task, record, 'running')
  if record.token ~= token then record.token, record.process = token, '' end
  begin(record)
end

local POISON = {
  deaths = 'poison: %d times the worker process died while it ran this task, or could not tell '
        .. 'how its remote job was (%s); '
        .. 'look for memory limits (OOM) and crashes of native libraries on the worker host',
  losses = 'poison: the lease of this task was lost %d times; '
        .. 'its workers died, were paused, or could not reach Redis',
}

-- A resumed run goes on with the same try, to find out how its work is.
local function fail_unknown(run, task, record, err)
  call('HSET', run_key(run, 'out'), OUT.error .. task, err)
  record.reason = 'poison'
  end_task(run, task, record, 'failed', load_plan(run, task), 'error', err)
end

-- How the processes of this try died, one after the other.
local function note_death(run, task, record, how)
  local field, before = OUT.deaths .. task, nil
  if record.deaths > 1 then before = call('HGET', run_key(run, 'out'), field) end
  how = how ~= '' and how or 'nobody knows how'
  call('HSET', run_key(run, 'out'), field, before and (before .. '; ' .. how) or how)
end

local function fail_poisoned(run, task, record, counter)
  local deaths = call('HGET', run_key(run, 'out'), OUT.deaths .. task)
  local reason = string.format(POISON[counter], record[counter], deaths)
  fail_unknown(run, task, record, reason)
end

-- Nobody runs the try any more, and nobody knows how its work is.
local function abandon(run, task, record, counter, limit, how)
  record[counter] = record[counter] + 1
  if counter == 'deaths' then note_death(run, task, record, how) end
  if record[counter] >= limit and is_marked(record) then
    stopped(run, task, record)
  elseif record[counter] >= limit then
    fail_poisoned(run, task, record, counter)
  elseif record.state == 'cancelling' then
    ask_to_cancel(run, task, record)
  else
    back_to_ready(run, task, record)
  end
end

-- The lease of a held task is over; with `worker` only if that one holds it.
local function lose_lease(member, worker)
  local run, task = split_member(member)
  local record = planned(run) and load_record(run, task)
  if worker and not (record and record.worker == worker) then return end
  call('ZREM', key('leases'), member)
  if record and (record.state == 'running' or record.state == 'cancelling') then
    abandon(run, task, record, 'losses', MAX_LOSSES)
    spread(run)
  end
end

-- Likewise, whatever is wrong with the run.
local function take_lease(member, worker)
  if not guarded((split_member(member)), lose_lease, member, worker) then
    call('ZREM', key('leases'), member)
  end
end

-- A try ends: skipped by itself; final: failed, and not to be repeated; dead: with its process;
-- lost: nobody could tell how its remote job is; revoked by Flower. `result` is JSON or empty,
-- `skips` the downstream tasks that a branch does not follow, `expansions` into how many children
-- tasks expand over the result.
--   given    run, task, try, token, outcome, result, error, skips, expansions
--   answers  ok, or what the try is instead: ended, lost, waiting, unknown, schema or broken; 1
--            while more is left to do, else 0
--   writes   leases, spread()
function OPERATIONS.release(run, task, try, token, outcome, result, err, skips, expansions)
  local state, why = planned(run)
  if not state then return { why, 0 } end
  local record = load_record(run, task)
  if not record then return { 'unknown', 0 } end
  local whose = holder(record, try, token)
  if record.state ~= 'running' and record.push == token
     and call('ZREM', key('queued'), run .. '/' .. task) == 1 then
    -- It ended before it could claim, or Redis lost the claim.
    whose = record.state == 'queued' and 'back' or 'yours'
  end
  if whose ~= 'yours' and whose ~= 'back' then return { whose, 0 } end
  call('ZREM', key('leases'), run .. '/' .. task)
  if whose == 'back' then take_back(run, task, record, token) end
  local plan = load_plan(run, task)
  if record.state == 'running' then settle(run, queue_of(plan, record), record, age(record)) end
  if record.state == 'deferred' then
    call('ZREM', key('timers'), TIMERS.poll .. run .. '/' .. task)
    call('HDEL', run_key(run, 'out'), OUT.deferral .. task)
  end
  if is_marked(record) and (outcome == 'success' or outcome == 'failed') then outcome = 'stopped' end
  if outcome == 'success' and expansions ~= '' then
    local children = children_with(run, expansions)
    if children > LIMITS.run_children then
      outcome = 'final'
      err = string.format('the tasks of this run that expand over results would become %d, and at '
        .. 'most %d are made: let fewer tasks do more with each item', children, LIMITS.run_children)
    end
  end
  if outcome == 'success' then
    if result ~= '' then call('HSET', run_key(run, 'out'), OUT.result .. task, result) end
    if skips ~= '' then call('HSET', run_key(run, 'out'), OUT.skips .. task, skips) end
    note_expansions(run, expansions)
    if record.try > 1 then call('HDEL', run_key(run, 'out'), OUT.error .. task) end
    end_task(run, task, record, 'success', plan, 'result', result, 'skips', skips,
             'expansions', expansions)
  elseif outcome == 'revoked' then
    if record.state ~= 'cancelling' then
      set_state(run, task, record, 'cancelling')
      record.reason = 'cancel'
    end
    ask_to_cancel(run, task, record)
  elseif outcome == 'lost' and record.state ~= 'cancelling' then
    fail_unknown(run, task, record, err)
  elseif outcome == 'dead' or outcome == 'lost'
         or (outcome == 'stopped' and record.state ~= 'cancelling') then
    abandon(run, task, record, 'deaths', MAX_DEATHS, err)
  elseif record.state == 'cancelling' then
    stopped(run, task, record)
  elseif outcome == 'skipped' then
    call('HSET', run_key(run, 'out'), OUT.error .. task, err)
    end_task(run, task, record, 'skipped', plan, 'error', err)
  else
    fail_try(run, task, record, err, outcome == 'final')
  end
  return { 'ok', spread(run) }
end

-- The needs with one more, of each kind ("kind:name") the newest. A run waits in a limited number of
-- queues; what is beyond shares one.
local function with_need(run, queue, needs, need)
  local kept, kind = { need }, string.match(need, '^[^:]*')
  for old in string.gmatch(needs, '[^+]+') do
    if string.match(old, '^[^:]*') ~= kind then kept[#kept + 1] = old end
  end
  table.sort(kept)
  local joined, others = table.concat(kept, '+'), 0
  for _, known_queue in ipairs(head_of(run).queues) do
    if known_queue == queue .. '!' .. joined then return joined end
    if parts_of_queue(known_queue) then others = others + 1 end
  end
  if others >= MAX_NEEDS - 1 then joined = 'other:many' end
  return joined
end

-- The run may wait in that queue, too.
local function add_queue(run, queue)
  for _, known_queue in ipairs(head_of(run).queues) do
    if known_queue == queue then return end
  end
  local queues = call('HGET', run_key(run), 'queues')
  call('HSET', run_key(run), 'queues', queues .. ' ' .. queue)
  HEADS[run] = nil
end

local function note_refusal(queue, need, worker, reason)
  local id = registered('workers', worker)
  local told = text(STEADY + TIMES.refused_for) .. ' ' .. id .. ' ' .. reason
  call('HSET', key('refused:' .. queue), need .. ' ' .. worker, told)
  call('EXPIRE', key('refused:' .. queue), math.ceil(TIMES.refused_for / 1e6))
end

-- Gives a try back that the worker's host can't run. The answer of `refuse` for it.
local function refuse_try(worker, need, reason, run, task, try, token)
  local record = planned(run) and load_record(run, task)
  local whose = record and holder(record, try, token) or 'unknown'
  if whose ~= 'yours' then return whose end
  local plan = load_plan(run, task)
  if need ~= '' then note_refusal(plan.queue, need, worker, reason) end
  if record.state == 'deferred' then
    record.token = ''
    save_record(run, task, record)
    call('ZREM', key('timers'), TIMERS.poll .. run .. '/' .. task)
    make_due(plan.queue, group_of(run, task), run, task)
    top_up(plan.queue)
    return 'ok'
  end
  call('ZREM', key('leases'), run .. '/' .. task)
  if record.state == 'running' then settle(run, queue_of(plan, record), record) end
  if need ~= '' then
    record.needs = with_need(run, plan.queue, record.needs, need)
    if record.needs == 'other:many' then
      note_refusal(plan.queue, record.needs, worker, reason)
    end
    call('HSET', run_key(run, 'out'), OUT.refused .. task, worker .. ': ' .. reason)
    add_queue(run, queue_of(plan, record))
  end
  if record.state == 'cancelling' then
    record.token = ''
    push_cancel(run, task, record, plan)
  else
    record.token = 'refused'   -- a renewal must not take it back
    if record.deaths + record.losses == 0 then record.started_at, record.began = '', '' end
    call('SREM', run_key(run, 'active'), task)
    make_ready(run, task, record, plan)
    event(run, 'kind', 'task', 'task', task, 'state', 'ready', 'try', try, 'worker', worker)
  end
  reschedule(run)
  return 'ok'
end

-- A worker gives tries back that its host can't run: `need` is what it lacks, as "kind:name", or
-- empty if only this process can't; `reason` says it in words.
--   given    worker, need, reason; of each: run, task, try, token
--   answers  of each: ok, or what the try is instead
--   writes   leases, refused:QUEUE, spread()
function OPERATIONS.refuse(worker, need, reason, ...)
  local items, answers = { ... }, {}
  for i = 1, #items, 4 do
    local fine, whose = guarded(items[i], refuse_try, worker, need, reason, unpack(items, i, i + 3))
    answers[#answers + 1] = fine and whose or 'unknown'
  end
  return answers
end

-- Whether a worker or coordinator lives besides that one.
local function is_in_company(kind, name)
  for _, each in ipairs({ 'workers', 'coordinators' }) do
    for _, other in ipairs(call('HKEYS', key(each))) do
      if (each ~= kind or other ~= name) and registered(each, other) ~= '-' then return true end
    end
  end
  return false
end

-- 'workers' or 'coordinators', name, id of the process, busy slots, what it can do as JSON, its
-- lease in µs. Whoever does not come back for a lease is gone. Returns ok, or since when (µs) the
-- name is another's; `force` 1: which is known to be dead. Whoever comes first decides on the
-- installation's lease; to who comes with another one the answer is "lease" and what it is (µs).
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
  call('HSET', key('windows'), queue, 2 * slots)
  return slots
end

-- What the worker holds by its leases, and has not named for so long that it would have: it ended
-- and Redis lost that, or a worker of that name was killed and started again. (A try is its parent's
-- before a child claims it, so that it names all that was claimed before it looked.)
local function drop_unnamed(worker, looked_ago, named)
  local given = STEADY - looked_ago - TIMES.unnamed_grace
  local old = call('ZRANGEBYSCORE', key('leases'), '-inf', text(given + TIMES.lease), 'LIMIT', 0, TICK_ITEMS)
  for _, member in ipairs(old) do
    if not named[member] then take_lease(member, worker) end
  end
end

-- A try that a worker holds: its lease goes on. The answer of `renew` for it.
local function renew_try(worker, run, task, try, token)
  local state, why = planned(run)
  if why == 'broken' then return 'cancel' end
  local record = state and load_record(run, task)
  local whose = record and holder(record, try, token) or 'unknown'
  if whose == 'back' then
    take_back(run, task, record, token)
    record.worker = worker
    save_record(run, task, record)
    refile(run)
    whose = 'yours'
  end
  if whose == 'yours' and record.state ~= 'deferred' then
    call('ZADD', key('leases'), text(STEADY + TIMES.lease), run .. '/' .. task)
    local timeout = load_plan(run, task).timeout
    if record.state == 'running' and timeout > 0 and age(record) > timeout then
      set_state(run, task, record, 'cancelling')
      record.reason = 'timeout'
      save_record(run, task, record)
    end
    if record.state == 'cancelling' then whose = 'cancel' end
  end
  return whose
end

-- A worker listens to queues, and its leases go on. With no slots it is leaving. It looked what it
-- holds `looked_ago` µs ago; empty: it may hold more than it names.
--   given    worker, slots, queues, looked_ago; of each: run, task, try, token
--   answers  of each: yours, cancel, ended, lost, waiting (not claimed yet) or unknown
--   writes   slots:QUEUE, leases, spread()
function OPERATIONS.renew(worker, slots, queues, looked_ago, ...)
  local items, answers, named = { ... }, {}, {}
  for i = 1, #items, 4 do
    named[items[i] .. '/' .. items[i + 1]] = true
    local fine, whose = guarded(items[i], renew_try, worker, unpack(items, i, i + 3))
    answers[#answers + 1] = fine and whose or 'cancel'
  end
  if looked_ago ~= '' then drop_unnamed(worker, tonumber(looked_ago), named) end
  for queue in string.gmatch(queues, '%S+') do
    if slots == '0' then
      call('HDEL', key('slots:' .. queue), worker)
      call('DEL', key('q:' .. own_list(worker)))
    else
      call('HSET', key('slots:' .. queue), worker, slots .. ' ' .. text(STEADY + TIMES.lease))
    end
    call('SADD', key('queues'), queue)
    measure(queue)
    top_up(queue)
  end
  return answers
end
