-- A submitted run is planned by its newest planner, and begins exactly once. Later it may be cancelled; after
-- its end its webhooks are called, and its keys expire.

-- Makes the caller the run's planner: an older one can write nothing more.
--   given    run
--   answers  plan, its token; or no, why
--   writes   run:ID, run:ID:tasks, run:ID:plan, run:ID:specs
function OPERATIONS.plan_begin(run)
  local state, why = known(run)
  if not state then return { 'no', why } end
  if state ~= 'queued' then return { 'no', 'planned' } end
  local token = next_push()
  call('UNLINK', run_key(run, 'tasks'), run_key(run, 'plan'), run_key(run, 'specs'))
  call('HSET', run_key(run), 'planner', token)
  call('HDEL', run_key(run), 'teardowns')
  return { 'plan', token }
end

-- Ends a run that was not planned; one that was resumed is again what it was. What one has that begins at a task
-- stays until it is resumed.
local function end_unplanned(run, state)
  call('UNLINK', run_key(run, 'tasks'), run_key(run, 'plan'), run_key(run, 'specs'))
  if call('EXISTS', run_key(run, 'kept')) == 1 and call('HEXISTS', run_key(run), 'started_at') == 1 then
    call('RENAME', run_key(run, 'kept'), run_key(run, 'tasks'))
    call('HSET', run_key(run), 'left', 0)
  end
  finish_run(run, state)
end

-- Ends a run that can't be planned.
--   given    run, error
--   answers  1, or 0 if it is not to be planned
--   writes   run:ID:kept, run:ID:tasks, run:ID:plan, run:ID:specs, finish_run()
function OPERATIONS.plan_refuse(run, err)
  if known(run) ~= 'queued' then return 0 end
  call('HSET', run_key(run), 'error', err)
  end_unplanned(run, 'failed')
  return 1
end

local function planner_is(run, token)
  local state = known(run)
  return state == 'queued' and call('HGET', run_key(run), 'planner') == token
end

local check_plan

do   -- a chunk has 200 local variables at most
local PLANNED_ROW = {
  task = 'id', state = 'state', try = 'try', last_try = 'try', pushes = 'count', rule = 'rule',
  upstream = 'upstream', ok = 'upstream', bad = 'upstream', dead_up = 'upstream', skips = 'upstream',
  asks = 'upstream', branch = 'bit',
  queue = 'id', rank = 'rank', retries = 'retries', retry_delay = 'span', max_retry_delay = 'span',
  timeout = 'limit', retry_backoff = 'bit', allow_failure = 'bit', remote = 'bit', sensor = 'bit', expand = 'bit',
  list_task = 'id_or_none', expansions = 'expansions', setup = 'id_or_none',
  spec = 'spec', downstream = 'chunks', lists_for = 'names', child = 'boolean', keep = 'boolean',
  again = 'boolean', anew = 'boolean' }
local FIRST_ROW = { downstream = 'chunks', params = 'pairs', gone = 'pairs' }

function check_plan(run, rows)
  local common, first = nil, rows[1]
  if first and first.task ~= '' then
    common = {}
    for name, value in pairs(first) do common[name] = value end
    common.task = nil
  end
  for i, row in ipairs(rows) do
    if i > 1 then setmetatable(row, { __index = common }) end
    check_row('plan_chunk', row, row.task == '' and FIRST_ROW or PLANNED_ROW, i > 1 and common)
    if row.ok and row.ok + row.bad + row.dead_up + row.skips > row.upstream then
      refuse('plan_chunk: task ' .. shown(row.task) .. ' has heard of more upstream tasks than it has')
    end
    if row.keep and call('HEXISTS', run_key(run, 'kept'), row.task) == 0 then
      refuse('plan_chunk: task ' .. shown(row.task) .. ' has no record that could be kept')
    end
  end
end
end

-- Rows are objects with the fields of a plan and of a new record, and task, downstream (chunks of
-- ids), spec, lists_for (ids of the tasks that expand over its result), expansions (of itself, over
-- a list that the plan knows), branch, child (it shares another task's plan), keep (the record stays
-- as it was), again (it does not, as the history has to know) and anew (no success of its tries
-- before counts). But for the task, a row may leave out what is the same in the first row. The row of
-- task "" has the chunks of those to decide at the start, params of the run, name and JSON in turn,
-- that specs name, and `gone`, tasks that the DAG has no longer and their last tries in turn; and
-- nothing else.
--   given    run, planner, rows
--   answers  1, or 0 if another planner took over
--   writes   run:ID, run:ID:out, run:ID:events, history, run:ID:tasks, run:ID:plan, run:ID:specs
function OPERATIONS.plan_chunk(run, token, rows)
  rows = decoded_rows('plan_chunk', rows)
  if not planner_is(run, token) then return 0 end
  check_plan(run, rows)
  local tasks, plan, specs = CHANGES.of[run].tasks, CHANGES.of[run].plan, CHANGES.of[run].specs
  local had_others = call('EXISTS', run_key(run, 'out')) == 1   -- results and the like
  for _, row in ipairs(rows) do
    local task = row.task
    if task ~= '' then
      row.chunks = #row.downstream
      if row.keep then
        local kept = call('HGET', run_key(run, 'kept'), task)
        CHANGES.set(tasks, task, kept)
        if string.find(kept, '|taken|', 1, true) then   -- the history has it as another run's
          local expansions = {}
          for _, name in ipairs(row.lists_for) do
            local number = call('HGET', run_key(run, 'out'), OUT.number .. name)
            if number then expansions[#expansions + 1] = name .. ' ' .. number end
          end
          local record = unpack_record(kept)
          if record.ended_at == '' then record.ended_at = text(NOW) end
          note(run, task, record,
               'result', call('HGET', run_key(run, 'out'), OUT.result .. task) or '',
               'expansions', table.concat(expansions, ' '))
        end
      else
        local record = new_record(row)
        if row.again then
          local before = call('HGET', run_key(run, 'kept'), task)
          before = before and unpack_record(before)
          if before and (before.state == 'success' or row.anew) then
            call('HSET', run_key(run, 'out'), OUT.settled .. task, before.try)
          elseif not before and row.try > 1 then   -- it was gone for a while
            call('HSET', run_key(run, 'out'), OUT.settled .. task, row.try - 1)
          end
          note(run, task, record)
        else
          save_record(run, task, record)
        end
        if had_others then
          call('HDEL', run_key(run, 'out'), OUT.result .. task, OUT.error .. task, OUT.skips .. task,
               OUT.expansion .. task, OUT.refused .. task)
        end
        for _, expanded in ipairs(row.lists_for) do
          note_expansions(run, expanded .. ' 0')
          call('HDEL', run_key(run, 'out'), OUT.number .. expanded)
        end
      end
      note_expansions(run, row.expansions)
      if not row.child then
        CHANGES.set(plan, task, pack_plan(row))
        if row.setup ~= '' then call('HSET', run_key(run), 'teardowns', 1) end
        CHANGES.set(specs, task, row.spec)
      end
    end
    local params = row.params or {}
    for i = 1, #params, 2 do
      CHANGES.set(specs, '/' .. params[i], params[i + 1])
    end
    local gone = row.gone or {}
    for i = 1, #gone, 2 do call('HSET', run_key(run, 'out'), OUT.gone .. gone[i], gone[i + 1]) end
    for k, ids in ipairs(row.downstream) do
      CHANGES.set(plan, task .. '/' .. (k - 1), (row.branch == 1 and '?' or '') .. ids)
    end
  end
  return 1
end

local function begin_cancel(run, reason)
  set_run_state(run, 'running', 'cancelling', 'reason', reason, 'scan', '0')
  call('SADD', key('working'), run)
  call('ZREM', key('timers'), TIMERS.timeout .. run)
  run_event(run, 'cancelling', 'reason', reason)
end

-- Starts the planned run. `ended` of its `total` tasks have ended before, `failures` of these
-- failed; `queues` are those of its tasks, `chunks` the number of those of tasks to decide at the
-- start.
--   given    run, planner, total, ended, failures, queues, chunks
--   answers  ok, incomplete or no; 1 while more is left to do, else 0
--   writes   run:ID:kept, queues, spread()
function OPERATIONS.plan_commit(run, token, total, ended, failures, queues, chunks)
  if not planner_is(run, token) then return { 'no', 0 } end
  if call('HLEN', run_key(run, 'tasks')) ~= tonumber(total) then return { 'incomplete', 0 } end
  if tonumber(ended) > tonumber(total) or tonumber(failures) > tonumber(ended) then
    refuse('plan_commit: of ' .. total .. ' tasks ' .. ended .. ' have ended and ' .. failures .. ' failed')
  end
  if not template() then refuse('plan_commit: there is no template of messages') end
  for k = 0, tonumber(chunks) - 1 do
    if call('HEXISTS', run_key(run, 'plan'), '/' .. k) == 0 then return { 'incomplete', 0 } end
  end
  local left = tonumber(total) - tonumber(ended)
  set_run_state(run, 'queued', 'running', 'total', total, 'left', left, 'queues', queues)
  if failures ~= '0' then call('HSET', run_key(run), 'failures', failures) end
  call('HSETNX', run_key(run), 'started_at', text(NOW))
  call('HSETNX', run_key(run), 'round_at', text(NOW))
  call('HDEL', run_key(run), 'planner', 'changed', 'marked')
  call('DEL', run_key(run, 'kept'))
  for queue in string.gmatch(queues, '%S+') do call('SADD', key('queues'), queue) end
  count_run(run, 1)
  run_event(run, 'running')
  local head = call('HMGET', run_key(run), 'timeout', 'reason', 'restored', 'started_at')
  local timeout, reason = tonumber(head[1]), head[2]
  local had = head[3] and math.max(0, NOW - head[4]) or 0
  if timeout > 0 then
    call('ZADD', key('timers'), text(STEADY + timeout * 1e6 - had), TIMERS.timeout .. run)
  end
  tell_downstream('', tonumber(chunks), '')
  if left == 0 then
    end_run(run, failures ~= '0', reason)
  elseif reason then   -- it was being cancelled when Redis lost it
    for _, name in ipairs(call('HKEYS', run_key(run, 'out'))) do
      local task = string.match(name, '^' .. OUT.child .. '(.*)$')
      if task then cancel_child(run, task) end
    end
    begin_cancel(run, reason)
  end
  return { 'ok', spread(run) }
end

-- Stops a run: `reason` is cancel or timeout, `by` who has said so, empty if nobody has.
--   given    run, reason, by
--   answers  its state, or unknown, schema or broken; 1 while more is left to do, else 0
--   writes   run:ID:tasks, run:ID:plan, run:ID:specs, run:ID:kept, spread()
function OPERATIONS.cancel(run, reason, by)
  local state, why = known(run)
  if not state then return { why, 0 } end
  if state == 'running' or state == 'queued' and why ~= reason then
    HEAD.note_act(run, 'cancel', by)
  end
  if state == 'queued' then
    call('HSET', run_key(run), 'reason', reason)
    -- What a restored run has running is known once it is planned.
    if call('HEXISTS', run_key(run), 'restored') == 1 then
      run_event(run, 'cancelling', 'reason', reason)
      return { 'queued', 0 }
    end
    end_unplanned(run, 'cancelled')
    return { 'cancelled', 0 }
  end
  if state ~= 'running' then return { state, 0 } end
  begin_cancel(run, reason)
  local more = spread(run)
  return { known(run), more }
end

-- The history has the ended run: its keys live as long as it says, no longer.
--   given    run
--   answers  1, or 0 if it has not ended
--   writes   run:ID:*
function OPERATIONS.let_expire(run)
  if not ENDED_RUN[known(run)] then return 0 end
  local retention = call('HGET', run_key(run), 'retention')
  call('EXPIRE', run_key(run), retention)
  for _, part in ipairs(PROTOCOL.run_parts) do call('EXPIRE', run_key(run, part), retention) end
  return 1
end

do   -- a chunk has 200 local variables at most
-- Of which runs webhooks are told: key -> the time in its scores, and how often each run's were called.
local NOTICES = {
  late = { key = 'late', tries = 'late_tries', now = function() return NOW end },
  ended = { key = 'webhooks', tries = 'hook_tries', now = function() return STEADY end },
}

-- The first run that a notice is due of. One that ended before it was late is not.
function NOTICES.take(what, lease)
  local of = NOTICES[what]
  for _, run in ipairs(call('ZRANGEBYSCORE', key(of.key), '-inf', text(of.now()), 'LIMIT', 0, TIMER_ITEMS)) do
    local state = known(run)
    local tries = state and tonumber(call('HGET', run_key(run), of.tries) or 0)
    if tries and not (what == 'late' and ENDED_RUN[state] and tries == 0) then
      call('ZADD', key(of.key), text(of.now() + lease), run)
      call('HSET', run_key(run), of.tries, tries + 1)
      return { run, what, tries }
    end
    call('ZREM', key(of.key), run)
  end
end

-- Takes a run whose webhooks are due, since it is late or has ended: nobody else gets it for `lease` µs.
--   given    lease
--   answers  run, late or ended, how often they were called before; or nothing
--   writes   late, webhooks, run:ID
function OPERATIONS.take_webhook(lease)
  return NOTICES.take('late', lease) or NOTICES.take('ended', lease) or {}
end

-- They are due again in `delay` µs.
--   given    run, what, delay
--   answers  nothing
--   writes   late, webhooks
function OPERATIONS.webhook_later(run, what, delay)
  local of = NOTICES[what]
  call('ZADD', key(of.key), 'XX', text(of.now() + delay), run)
end

-- The webhooks of a run were taken, and nobody was called.
--   given    run, what
--   answers  nothing
--   writes   run:ID
function OPERATIONS.webhook_not_tried(run, what)
  local tries = NOTICES[what].tries
  if known(run) and tonumber(call('HGET', run_key(run), tries) or 0) > 0 then
    call('HINCRBY', run_key(run), tries, -1)
  end
end

end

-- Goes on with what was too long for one script.
--   given    run
--   answers  1 while more is left, else 0
--   writes   spread()
function OPERATIONS.work(run, budget)
  if not known(run) then
    call('SREM', key('working'), run)
    return 0
  end
  return spread(run, nil, budget)
end
