-- A try's life with its worker: claim, release, renew.

local function lease(member) CHANGES.put(CHANGES.all.leases, member, text(STEADY + TIMES.lease)) end

-- From now on that process holds the try.
local function hold(run, task, record, token, worker, process)
  record.token, record.worker, record.process = token, worker, process
  save_record(run, task, record)
  lease(run .. '/' .. task)
  event(run, 'kind', 'task', 'task', task, 'state', record.state, 'try', record.try, 'worker', worker)
end

-- Nobody holds the try any more.
local function let_go(run, task, record)
  local member = run .. '/' .. task
  CHANGES.remove(CHANGES.all.leases, member)
  if record.process ~= '' then HAND.drop(record.worker .. '/' .. record.process, member) end
end

-- The last of the task's tries whose success does not count.
local function settled(run, task, record)
  return record.try > 1 and call('HGET', run_key(run, 'out'), OUT.settled .. task) or '0'
end

-- A try begins in a process of a worker, if the message is the newest of the newest try.
--   given    run, task, try, push, worker, process
--   answers  run or cancel, the spec, the last of its tries whose success does not count; or no,
--            why
--   writes   leases, holds, queued, run:ID:events, run:ID:out, run:ID:tasks
function OPERATIONS.claim(run, task, try, push_number, worker, process)
  local state, why = planned(run)
  if not state then return { 'no', why } end
  local record = load_record(run, task)
  if not record then return { 'no', 'unknown' } end
  if record.try ~= tonumber(try) then return { 'no', 'another try' } end
  local order, spec, before = 'run', load_spec(run, task), settled(run, task, record)
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
  if record.needs ~= '' then call('HDEL', run_key(run, 'out'), OUT.refused .. task) end
  call('ZREM', key('queued'), run .. '/' .. task)
  HAND.clear(worker .. '/' .. process)   -- it takes a message: it has not gone on
  hold(run, task, record, push_number, worker, process)
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
    READY.drop_task(run, task, record)
    CHANGES.put(CHANGES.of[run].active, task, true)
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
    -- Of a dead process nobody takes it back; nor does its death count again if that is told twice.
    if counter == 'deaths' then record.token = 'refused' end
    back_to_ready(run, task, record)
  end
end

-- The lease of a held task is over; with `worker` only if that one holds it.
local function lose_lease(member, worker)
  local run, task = split_member(member)
  local record = planned(run) and load_record(run, task)
  if worker and not (record and record.worker == worker) then return end
  if record then let_go(run, task, record) else CHANGES.remove(CHANGES.all.leases, member) end
  if record and (record.state == 'running' or record.state == 'cancelling') then
    call('HINCRBY', key('clock'), 'lost_leases', 1)
    abandon(run, task, record, 'losses', MAX_LOSSES)
    spread(run)
  end
end

-- As `lose_lease`; and if the run's data are damaged, the lease goes all the same.
local function take_lease(member, worker)
  if not guarded((split_member(member)), lose_lease, member, worker) then
    CHANGES.remove(CHANGES.all.leases, member)
  end
end

-- When the try began and ended in its process, which tells of that later.
local function note_times(record, lasted, ago)
  record.ended_ago = ago
  if record.deaths + record.losses == 0 then
    record.started_at, record.began = text(NOW - ago - lasted), text(STEADY - ago - lasted)
  end
end

local defer   -- deferral.lua

-- Ends a try: see `release`; who calls it spreads that. The answer, and whether the process that ran the try is fit
-- to go on with others.
local function end_try(run, task, try, token, outcome, result, err, skips, expansions, lasted, ago)
  local state, why = planned(run)
  if not state then return why end
  local record = load_record(run, task)
  if not record then return 'unknown' end
  local whose = holder(record, try, token)
  if record.state ~= 'running' and record.push == token
     and call('ZREM', key('queued'), run .. '/' .. task) == 1 then
    -- It ended before it could claim, or Redis lost the claim.
    whose = record.state == 'queued' and 'back' or 'yours'
  end
  if whose ~= 'yours' and whose ~= 'back' then return whose end
  let_go(run, task, record)
  if whose == 'back' then take_back(run, task, record, token) end
  local plan = load_plan(run, task)
  lasted = tonumber(lasted)
  if lasted then note_times(record, lasted, tonumber(ago) or 0) end
  local delay, group = string.match(outcome, PROTOCOL.deferred)
  -- One that was told to stop may have to be killed yet.
  local is_fit = (record.state == 'running' or record.state == 'deferred') and (delay or PROTOCOL.goes_on_after[outcome])
  if record.state == 'running' then settle(run, queue_of(plan, record), record, lasted or age(record)) end
  if delay then
    defer(run, task, record, plan, tonumber(delay), group, result)
    return 'ok', is_fit
  end
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
  return 'ok', is_fit
end

-- A try ends, or it is "deferred DELAY GROUP": it is polled in so many µs by its handle, which is the result then, with
-- others of the group. It ends skipped by itself; final: failed, and not to be repeated; dead: with its process;
-- lost: nobody could tell how its remote job is; revoked by Flower. `result` is JSON or empty,
-- `skips` the downstream tasks that a branch does not follow, `expansions` into how many children
-- tasks expand over the result.
--   given    run, task, try, token, outcome, result, error, skips, expansions
--   answers  ok, or what the try is instead: ended, lost, waiting, unknown, schema or broken; 1
--            while more is left to do, else 0
--   writes   leases, holds, spread()
function OPERATIONS.release(run, ...)
  local answer = end_try(run, ...)
  return { answer, answer == 'ok' and spread(run) or 0 }
end

do
-- What the worker holds by its leases, and has not named for so long that it would have: it ended
-- and Redis lost that, or a worker of that name was killed and started again. (A try is its parent's
-- before a child claims it, so that it names all that was claimed before it looked.)
local function drop_unnamed(worker, looked_ago, named)
  local given = STEADY - looked_ago - TIMES.unnamed_grace
  CHANGES.write(CHANGES.all.leases)
  local old = call('ZRANGEBYSCORE', key('leases'), '-inf', text(given + TIMES.lease), 'LIMIT', 0, TICK_ITEMS)
  for _, member in ipairs(old) do
    if not named[member] then take_lease(member, worker) end
  end
end

-- The lease of a held try goes on. Returns whether the try is to be stopped.
local function keep(run, task, record)
  lease(run .. '/' .. task)
  local timeout = load_plan(run, task).timeout
  if record.state == 'running' and timeout > 0 and age(record) > timeout then
    set_state(run, task, record, 'cancelling')
    record.reason = 'timeout'
    save_record(run, task, record)
  end
  return record.state == 'cancelling'
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
  if whose == 'yours' and record.state ~= 'deferred' and keep(run, task, record) then return 'cancel' end
  return whose
end

-- A worker listens to queues, and its leases go on: of the tries that it names, and of what the processes
-- that are at work have in hand. With no slots it is leaving. It looked what it holds `looked_ago` µs ago;
-- empty: it may hold more than it names.
--   given    worker, slots, queues, looked_ago, processes; of each: run, task, try, token
--   answers  of each: yours, cancel, ended, lost, waiting (not claimed yet) or unknown
--   writes   slots:QUEUE, leases, holds, clock, spread()
function OPERATIONS.renew(worker, slots, queues, looked_ago, processes, ...)
  local items, answers, named = { ... }, {}, {}
  for i = 1, #items, 4 do
    named[items[i] .. '/' .. items[i + 1]] = true
    local fine, whose = guarded(items[i], renew_try, worker, unpack(items, i, i + 3))
    answers[#answers + 1] = fine and whose or 'cancel'
  end
  for process in string.gmatch(processes, '%d+') do
    for _, held in ipairs(HAND.held(worker, process)) do
      lease(held.member)
      named[held.member] = true
    end
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

end
