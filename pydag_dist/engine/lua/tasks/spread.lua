-- What the end of a task, or a cancel, does to other tasks of the run. What is too much for one script stays
-- in the run's `work`.

-- The downstream tasks that a branch does not follow.
local function skipped_by(run, task)
  local skips = {}
  for name in string.gmatch(call('HGET', run_key(run, 'out'), OUT.skips .. task) or '', '%S+') do
    skips[name] = true
  end
  return skips
end

-- Tells one chunk of tasks that their upstream ended; returns how many it looked at.
local function tell_chunk(run, chunk, state)
  local counter = COUNTS_AS[state]
  local ids = CHANGES.get(CHANGES.of[run].plan, chunk)
  local is_branch = string.sub(ids, 1, 1) == '?'
  local skips = is_branch and state == 'success' and skipped_by(run, string.match(chunk, '^[^/]*'))
                or {}
  local cancelling = known(run) == 'cancelling'
  local tasks = {}
  for task in string.gmatch(ids, '[^ ?]+') do tasks[#tasks + 1] = task end
  CHANGES.read_ahead(CHANGES.of[run].tasks, tasks)
  local ended = 0
  for _, task in ipairs(tasks) do
    local record = load_record(run, task)
    if counter then record[counter] = record[counter] + 1 end
    if is_branch then record.asks = record.asks - 1 end
    local next_state
    if record.state == 'none' then
      if record.rule ~= 'teardown' then
        next_state = cancelling and 'cancelled' or skips[task] and 'skipped' or decide(record)
      elseif decide(record) then
        next_state = has_setup(run, task) and 'ready' or 'skipped'
      end
    end
    local plan = next_state and load_plan(run, task)
    if next_state == 'ready' and plan.list_task ~= '' then next_state = by_list(run, plan.list_task) end
    if next_state == 'ready' then
      if plan.expand == '1' then
        expand(run, task, record)
      else
        make_ready(run, task, record, plan)
      end
    elseif next_state then
      note_end(run, task, record, next_state)
      tell_downstream(task, plan.chunks, next_state)
      ended = ended + 1
      if plan.expand == '1' then end_rest(run, task, 0, next_state) end
    else
      save_record(run, task, record)
    end
  end
  if ended > 0 then count_ended(run, ended, 0) end
  return #tasks
end

-- Takes a task that nobody holds from where it waits.
local function withdraw_waiting(run, task, record)
  if record.state == 'ready' or record.state == 'queued' then cancel_child(run, task) end   -- of a lost try
  if record.state == 'ready' then
    READY.drop_task(run, task, record)
  elseif record.state == 'queued' then
    CHANGES.remove(CHANGES.of[run].active, task)
    call('ZREM', key('queued'), run .. '/' .. task)
  elseif record.state == 'up_for_retry' then
    call('ZREM', key('timers'), TIMERS.retry .. run .. '/' .. task)
  end
end

-- Stops a waiting try whose worker died or was not heard of: its remote job may still run. Whether it may.
local function stop_lost(run, task, record, reason)
  local is_lost = record.began ~= '' and (record.state == 'ready' or record.state == 'queued')
  if not is_lost or load_plan(run, task).remote ~= '1' then return false end
  CHANGES.put(CHANGES.of[run].active, task, true)
  set_state(run, task, record, 'cancelling')
  record.reason = reason
  save_record(run, task, record)
  ask_to_cancel(run, task, record)
  return true
end

-- Cancels what has not started, and tells what has, from where the last script stopped.
-- Returns how many tasks it looked at.
local function cancel_slice(run, budget)
  local head = call('HMGET', run_key(run), 'scan', 'teardowns')
  local cursor, seen, ended = head[1], 0, 0
  repeat
    CHANGES.write(CHANGES.of[run].tasks)
    local reply = call('HSCAN', run_key(run, 'tasks'), cursor, 'COUNT', 500)
    cursor = reply[1]
    for i = 1, #reply[2], 2 do
      local task, record = reply[2][i], unpack_record(reply[2][i + 1])
      seen = seen + 1
      if record.rule == 'teardown' then   -- it runs nevertheless
      elseif record.state == 'running' then
        set_state(run, task, record, 'cancelling')
        record.reason = 'cancel'
        save_record(run, task, record)
      elseif record.state == 'deferred' then
        stop_deferred(run, task, record, 'cancel')
      elseif record.state == 'expanding' then
        stop_expanding(run, task)
      elseif record.state ~= 'cancelling' and not ENDED[record.state] then
        withdraw_waiting(run, task, record)
        if not stop_lost(run, task, record, 'cancel') then
          note_end(run, task, record, 'cancelled')
          ended = ended + 1
          if head[2] then tell_downstream(task, load_plan(run, task).chunks, 'cancelled') end
          if is_child(run, task) then child_ended(run, task, 'cancelled') end
        end
      end
    end
  until cursor == '0' or seen >= budget
  if cursor == '0' then
    call('HDEL', run_key(run), 'scan')
  else
    call('HSET', run_key(run), 'scan', cursor)
  end
  if ended > 0 then count_ended(run, ended, 0) end
  return seen
end

-- Does the next thing that a run has left to do; how many tasks it looked at, nil if nothing is.
-- An earlier script has left something only if it `was_left` in `working`.
local function step(run, budget, was_left)
  local item = AHEAD[AHEAD.first]
  if item then
    AHEAD.first = AHEAD.first + 1
  elseif was_left then
    item = call('LPOP', run_key(run, 'work'))
  end
  if item then
    local what, state = string.match(item, '^(%S+) (%S*)$')
    if state == '*' then return expand_slice(run, what) end
    return tell_chunk(run, what, state)
  end
  if was_left and call('HEXISTS', run_key(run), 'scan') == 1 then return cancel_slice(run, budget) end
end

-- Tells downstream tasks, within this script's budget; the rest stays in `work`.
-- Returns 1 while something is left there. `first` is done before the queues are topped up.
local function spread(run, first, budget)
  local work = run_key(run, 'work')
  budget = budget or MAX_TRANSITIONS
  local was_left = call('SISMEMBER', key('working'), run) == 1
  while budget > 0 do
    local seen = step(run, budget, was_left)
    if not seen then break end
    budget = budget - seen
  end
  for i = AHEAD.first, #AHEAD do call('RPUSH', work, AHEAD[i]) end
  AHEAD = { first = 1 }
  reschedule(run, first)
  if budget <= 0 and (call('EXISTS', work) == 1 or call('HEXISTS', run_key(run), 'scan') == 1) then
    call('SADD', key('working'), run)
    return 1
  end
  if was_left then call('SREM', key('working'), run) end
  return 0
end
