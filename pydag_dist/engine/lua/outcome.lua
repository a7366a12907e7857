-- What the end of a task does: to its downstream tasks, and to its run.

-- The state in which a task with upstream tasks leaves `none`, nil while that can't be decided.
-- As in Airflow; a cancelled upstream counts as failed. What a rule says must not depend on the
-- order in which upstream tasks end: it says something before the last one only if whatever is
-- still to come could not change it.
function RULES.all_success(r, failed, done)
  if failed > 0 then return 'upstream_failed' end
  if not done then return nil end
  return r.skips > 0 and 'skipped' or 'ready'
end

function RULES.all_done(_, _, done) return done and 'ready' or nil end

function RULES.all_failed(r, failed)
  if r.ok + r.skips > 0 then return 'skipped' end
  return failed == r.upstream and 'ready' or nil
end

function RULES.all_skipped(r, failed)
  if r.ok + failed > 0 then return 'skipped' end
  return r.skips == r.upstream and 'ready' or nil
end

function RULES.all_done_min_one_success(r, _, done)
  if r.skips > 0 then return 'skipped' end
  if not done then return nil end
  return r.ok > 0 and 'ready' or 'upstream_failed'
end

function RULES.one_success(r, _, done)
  if r.ok > 0 then return 'ready' end
  if not done then return nil end
  return r.skips == r.upstream and 'skipped' or 'upstream_failed'
end

function RULES.one_failed(_, failed, done)
  if failed > 0 then return 'ready' end
  return done and 'skipped' or nil
end

function RULES.one_done(r, _, done)
  if r.ok + r.bad > 0 then return 'ready' end
  return done and 'skipped' or nil
end

function RULES.none_failed(_, failed, done)
  if failed > 0 then return 'upstream_failed' end
  return done and 'ready' or nil
end

function RULES.none_failed_min_one_success(r, failed, done)
  if failed > 0 then return 'upstream_failed' end
  if not done then return nil end
  return r.skips == r.upstream and 'skipped' or 'ready'
end

function RULES.none_skipped(r, _, done)
  if r.skips > 0 then return 'skipped' end
  return done and 'ready' or nil
end

function RULES.always() return 'ready' end

-- No rule of a file's: of a task with `teardown_of`.
function RULES.teardown(_, _, done) return done and 'ready' or nil end

local function decide(record)
  if record.upstream == 0 then return 'ready' end
  if record.asks > 0 and record.rule ~= 'always' then return nil end
  local failed = record.bad + record.dead_up
  return RULES[record.rule](record, failed, record.ok + failed + record.skips == record.upstream)
end

-- Whether the task whose work a teardown undoes has begun with it.
local function has_setup(run, teardown)
  local setup = load_plan(run, teardown).setup
  local record = load_record(run, setup)
  if record.state == 'success' or record.started_at ~= '' then return true end
  -- It was tried before.
  return record.state == 'cancelled' and record.try > record.last_try - load_plan(run, setup).retries
end

local function tell_downstream(task, chunks, state)
  for k = 0, chunks - 1 do AHEAD[#AHEAD + 1] = task .. '/' .. k .. ' ' .. state end
end

-- Its keys live until the history has it (`let_expire`).
local function finish_run(run, state)
  local head = call('HMGET', run_key(run), 'hooks', 'reason', 'error', 'state', 'run_type', 'dag_id')
  set_run_state(run, head[2] == 'broken' and '*' or head[4], state, 'ended_at', text(NOW))
  call('ZREM', key('timers'), TIMERS.timeout .. run)
  run_event(run, state, 'reason', head[2] or '', 'error', head[3] or '')
  if head[5] then SCHEDULES.ended(run, head[5], head[6], state) end
  if head[1] == '1' then
    call('HDEL', run_key(run), 'hook_tries')
    call('ZADD', key('webhooks'), text(STEADY), run)
  end
end

local function count_run(run, change)
  for _, queue in ipairs(head_of(run).queues) do
    if not parts_of_queue(queue) then call('HINCRBY', key('windows'), 'runs/' .. queue, change) end
  end
end

-- Ends a planned run: its tasks have all ended, or it is set aside.
local function end_run(run, failed, reason)
  if reason == 'cancel' then
    finish_run(run, 'cancelled')
  else
    finish_run(run, (reason or failed) and 'failed' or 'success')
  end
  count_run(run, -1)
end

local function count_ended(run, ended, failures)
  if failures > 0 then call('HINCRBY', run_key(run), 'failures', failures) end
  if call('HINCRBY', run_key(run), 'left', -ended) == 0 then
    local head = call('HMGET', run_key(run), 'failures', 'reason')
    end_run(run, head[1], head[2])
  end
end

-- Tells those who watch the run, and the history, of a try's state; `...`: what else the history has
-- to know.
local function note(run, task, record, ...)
  local state = record.state
  save_record(run, task, record)
  event(run, 'kind', 'task', 'task', task, 'state', state, 'try', record.try,
        'worker', record.worker)
  call('XADD', key('history'), '*', 'kind', 'task', 'run', run, 'at', text(NOW), 'task', task,
       'state', state, 'try', record.try, 'ready_at', record.ready_at, 'queued_at',
       record.queued_at, 'started_at', record.started_at, 'ended_at', record.ended_at,
       'worker', record.worker, 'pushes', record.pushes, 'reason', record.reason, ...)
end

local function note_end(run, task, record, state, ...)
  set_state(run, task, record, state)
  record.ended_at = text(NOW)
  note(run, task, record, ...)
end

local child_ended   -- expansion.lua, as what is declared below

-- Ends an active task and remembers whom to tell.
local function end_task(run, task, record, state, plan, ...)
  note_end(run, task, record, state, ...)
  call('SREM', run_key(run, 'active'), task)
  tell_downstream(task, plan.chunks, state)
  local bad = state == 'failed' or state == 'cancelled'
  count_ended(run, 1, bad and plan.allow_failure ~= '1' and 1 or 0)
  if plan.parent then child_ended(run, task, state) end
end

-- µs until the next try; doubling delays get 20 % of jitter.
local function retry_delay(record, plan)
  if plan.retry_backoff ~= '1' then return plan.retry_delay end
  local failures = plan.retries - (record.last_try - record.try)
  local delay = math.min(plan.retry_delay * 2 ^ math.min(failures, 30), plan.max_retry_delay)
  return delay * (0.8 + 0.4 * (NOW % 1000) / 1000)
end

-- Ends an active task's try as failed: another try later, or the task's end.
local function fail_try(run, task, record, err, is_final)
  local plan = load_plan(run, task)
  local goes_on = record.rule == 'teardown' or known(run) == 'running'
  local again = record.try < record.last_try and goes_on
  if again and is_final then again, err = false, 'not repeated: ' .. err end
  if err ~= '' then call('HSET', run_key(run, 'out'), OUT.error .. task, err) end
  if again then
    note_end(run, task, record, 'up_for_retry', 'error', err)
    call('SREM', run_key(run, 'active'), task)
    call('ZADD', key('timers'), text(STEADY + retry_delay(record, plan)),
         TIMERS.retry .. run .. '/' .. task)
  else
    end_task(run, task, record, 'failed', plan, 'error', err)
  end
end

local expand, expand_slice, stop_expanding, by_list
local end_rest   -- ends the children, from a number on, that an earlier list left to run again

-- Puts down who has marked the task. Its result as JSON, and what expands over that.
local function marked_by(run, task, record)
  local told, result = unpack(call('HMGET', run_key(run, 'out'), OUT.mark .. task, OUT.result .. task))
  local by, expansions = string.match(told, '^(%S+) (.*)$')
  record.reason, record.worker = 'marked', by
  return result or '', expansions
end

-- Whether the task is to end as somebody has marked it.
local function is_marked(record) return string.match(record.reason, '^mark (%l+)$') end

local function end_marked(run, task, record, state)
  local plan = load_plan(run, task)
  local result, expansions = marked_by(run, task, record)
  end_task(run, task, record, state, plan, 'result', result, 'expansions', expansions)
  if plan.expand == '1' then end_rest(run, task, 0, state) end
end

-- The work of a cancelling task is known to be over.
local function stopped(run, task, record)
  if is_marked(record) then return end_marked(run, task, record, is_marked(record)) end
  if record.reason == 'timeout' then
    local seconds = load_plan(run, task).timeout / 1e6
    fail_try(run, task, record, string.format('timed out after %g s', seconds))
  else
    end_task(run, task, record, 'cancelled', load_plan(run, task))
  end
end

-- Asks a worker to cancel what a task left running elsewhere; while none can, a tick asks again.
local function push_cancel(run, task, record, plan)
  local list
  if record.needs ~= '' then
    local best = best_of(able_workers(plan.queue, record.needs))
    if not best then
      record.push = ''
      save_record(run, task, record)
      call('ZADD', key('queued'), text(STEADY), run .. '/' .. task)
      return
    end
    list = own_list(best.name)
  end
  push(plan.queue, run, task, record, list)
end

-- Nobody holds a cancelling task any more: a worker has to cancel what it left running elsewhere.
-- (Of a deferred task nobody did.)
local function ask_to_cancel(run, task, record)
  local plan = load_plan(run, task)
  if plan.remote == '1' then
    record.token = ''
    push_cancel(run, task, record, plan)
  else
    stopped(run, task, record)
  end
end

-- Stops a deferred task, which nobody holds.
local function stop_deferred(run, task, record, reason)
  local queue, group = load_plan(run, task).queue, group_of(run, task)
  call('ZREM', key('timers'), TIMERS.poll .. run .. '/' .. task)
  call('ZREM', key('due:' .. queue), group .. '/' .. run .. '/' .. task)
  tidy_due(queue, group)
  call('SADD', run_key(run, 'active'), task)
  set_state(run, task, record, 'cancelling')
  record.reason = reason
  save_record(run, task, record)
  ask_to_cancel(run, task, record)
end

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
  local ids = call('HGET', run_key(run, 'plan'), chunk)
  local is_branch = string.sub(ids, 1, 1) == '?'
  local skips = is_branch and state == 'success' and skipped_by(run, string.match(chunk, '^[^/]*'))
                or {}
  local cancelling = known(run) == 'cancelling'
  local tasks = {}
  for task in string.gmatch(ids, '[^ ?]+') do tasks[#tasks + 1] = task end
  local packed = call('HMGET', run_key(run, 'tasks'), unpack(tasks))
  local ended = 0
  for i, task in ipairs(tasks) do
    local record = unpack_record(packed[i])
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
  if record.state == 'ready' then
    call('ZREM', run_key(run, 'ready'), ready_member(load_plan(run, task), task, record))
  elseif record.state == 'queued' then
    call('SREM', run_key(run, 'active'), task)
    call('ZREM', key('queued'), run .. '/' .. task)
  elseif record.state == 'up_for_retry' then
    call('ZREM', key('timers'), TIMERS.retry .. run .. '/' .. task)
  end
end

-- Cancels what has not started, and tells what has, from where the last script stopped.
-- Returns how many tasks it looked at.
local function cancel_slice(run, budget)
  local head = call('HMGET', run_key(run), 'scan', 'teardowns')
  local cursor, seen, ended = head[1], 0, 0
  repeat
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
        note_end(run, task, record, 'cancelled')
        ended = ended + 1
        if head[2] then tell_downstream(task, load_plan(run, task).chunks, 'cancelled') end
        if is_child(run, task) then child_ended(run, task, 'cancelled') end
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
-- Returns 1 while something is left there.
local function spread(run)
  local budget, work = MAX_TRANSITIONS, run_key(run, 'work')
  local was_left = call('SISMEMBER', key('working'), run) == 1
  while budget > 0 do
    local seen = step(run, budget, was_left)
    if not seen then break end
    budget = budget - seen
  end
  for i = AHEAD.first, #AHEAD do call('RPUSH', work, AHEAD[i]) end
  AHEAD = { first = 1 }
  reschedule(run)
  if budget <= 0 and (call('EXISTS', work) == 1 or call('HEXISTS', run_key(run), 'scan') == 1) then
    call('SADD', key('working'), run)
    return 1
  end
  if was_left then call('SREM', key('working'), run) end
  return 0
end
