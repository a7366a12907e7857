-- A worker gives back tries for which its host lacks something.

do
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
  HEAD.forget(run)
  call('HSET', run_key(run), 'queues', queues .. ' ' .. queue)
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
  let_go(run, task, record)
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
    CHANGES.remove(CHANGES.of[run].active, task)
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
--   writes   leases, holds, refused:QUEUE, spread()
function OPERATIONS.refuse(worker, need, reason, ...)
  local items, answers = { ... }, {}
  for i = 1, #items, 4 do
    local fine, whose = guarded(items[i], refuse_try, worker, need, reason, unpack(items, i, i + 3))
    answers[#answers + 1] = fine and whose or 'unknown'
  end
  return answers
end

end
