-- How tries, tasks and runs end.

local function tell_downstream(task, chunks, state)
  for k = 0, chunks - 1 do AHEAD[#AHEAD + 1] = task .. '/' .. k .. ' ' .. state end
end

-- Its keys live until the history has it (`let_expire`).
local function finish_run(run, state)
  local head = call('HMGET', run_key(run), 'hooks', 'reason', 'error', 'state', 'run_type', 'dag_id',
                    'parent_run', 'parent_task')
  set_run_state(run, head[2] == 'broken' and '*' or head[4], state, 'ended_at', text(NOW))
  call('ZREM', key('timers'), TIMERS.timeout .. run)
  run_event(run, state, 'reason', head[2] or '', 'error', head[3] or '')
  if head[5] then SCHEDULES.ended(run, head[5], head[6], state) end
  if head[7] then guarded(head[7], SCHEDULES.tell_parent, head[7], head[8]) end
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
  if HEAD.count_left(run, -ended) == 0 then
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
  record.ended_at = text(NOW - (record.ended_ago or 0))
  note(run, task, record, ...)
end

local child_ended   -- expansion.lua, as what is declared below

-- Ends an active task and remembers whom to tell.
local function end_task(run, task, record, state, plan, ...)
  note_end(run, task, record, state, ...)
  CHANGES.remove(CHANGES.of[run].active, task)
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
    CHANGES.remove(CHANGES.of[run].active, task)
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

-- Nobody waits any more for the run that a task has started: a tick cancels it. A worker could not, if that
-- run has taken all slots.
local function cancel_child(run, task)
  local child = call('HGET', run_key(run, 'out'), OUT.child .. task)
  if child then call('SADD', key('cancels'), child) end
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
  cancel_child(run, task)
end

-- Stops a deferred task, which nobody holds.
local function stop_deferred(run, task, record, reason)
  local queue, group = load_plan(run, task).queue, group_of(run, task)
  call('ZREM', key('timers'), TIMERS.poll .. run .. '/' .. task)
  call('ZREM', key('due:' .. queue), group .. '/' .. run .. '/' .. task)
  tidy_due(queue, group)
  CHANGES.put(CHANGES.of[run].active, task, true)
  set_state(run, task, record, 'cancelling')
  record.reason = reason
  save_record(run, task, record)
  ask_to_cancel(run, task, record)
end
