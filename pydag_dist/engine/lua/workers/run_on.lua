-- Run-on: the script that ends tries also begins others, in the process that ran the first. So between short
-- tasks there is no message to push, to take and to claim. What the process is handed is what a top-up would push
-- next to the same queue: the most urgent ready task of the run that has the least charge.
--
-- Likewise after a try that waits for its remote job from now on, or that a poll has asked for.
--
-- Never handed are: a task that waits in "QUEUE!needs", since each of these is for a worker that is chosen; polls
-- and cancels, which are messages of their own; a task that took long in earlier runs, or of a run whose tasks
-- take long; anything after a try that was told to stop, or that its process could not end well.
--
-- More than one at once is handed of runs whose tasks on the queue are known to be so short that all in the hand
-- take LIMITS.hand_span together, and only as many as each of the queue's slots could have.

do
local ITEM = 11   -- values of each try that has ended

-- What the process is told of a try that it goes on with.
local function told(run, task, record)
  return { run, task, record.try, record.token, record.pushes, head_of(run).dag_id,
           record.state == 'running' and 'run' or 'cancel', load_spec(run, task), settled(run, task, record) }
end

-- Whether one more task of the run is short enough for the hand.
local function is_short_enough(hand, mean) return mean and hand.span + mean <= LIMITS.hand_span end

-- Whether the run's next task may be handed to a process that was handed others just now.
local function fits_in(hand, run, queue)
  local mean = share_of(run, queue).mean
  local number = #hand.told + 1
  if number == 1 then return expected(queue, mean) <= LIMITS.short end
  if not is_short_enough(hand, mean) then return false end
  local can_run, processors = READY.count(run, queue), head_of(run).processors
  if processors > 0 then
    can_run = math.min(can_run, processors - READY.active(run))
  end
  hand.slots = hand.slots or tonumber(CHANGES.get(CHANGES.all.windows, queue) or 0) / 2
  return can_run >= 1 + (hand.slots - 1) * number
end

-- Begins the task that top-up would push next, if it is short enough.
local function begin_next(run, queue, before, hand)
  local member = READY.first(run, queue)
  if string.find(member, '^[^/]*/%d+s/') or not fits_in(hand, run, queue) then return end
  if not hand.told[1] and is_short_enough(hand, share_of(run, queue).mean) then READY.read_ahead(run, queue) end
  local task, record = activate(run, queue, member, before, 'running')
  number_push(run, record)
  begin(record)
  hold(run, task, record, record.push, hand.worker, hand.process)
  hand[#hand + 1], hand.changed = run .. '/' .. task, true
  hand.told[#hand.told + 1] = told(run, task, record)
  hand.span = hand.span + (share_of(run, queue).mean or 0)
end

-- A worker takes something as long as the queue has slots of it.
local function has_slots(queue, worker)
  local expiry = string.match(call('HGET', key('slots:' .. queue), worker) or '', '^%d+ (%d+)$')
  return expiry and tonumber(expiry) > STEADY
end

local function fill(hand, queue)
  if not has_slots(queue, hand.worker) then return end
  for number = 1, LIMITS.hand do
    if not serve(begin_next, queue, hand) or #hand.told < number then return end
  end
end

-- A try that its process was handed and has not begun: nobody was handed it.
local function put_back(run, task, record)
  local worker = record.worker
  let_go(run, task, record)
  if record.deaths + record.losses == 0 then record.started_at, record.began = '', '' end
  if record.state == 'cancelling' then
    ask_to_cancel(run, task, record)
    spread(run)
    return
  end
  record.token, record.pushes = 'refused', record.pushes - 1   -- a renewal must not take it back
  back_to_ready(run, task, record)
  event(run, 'kind', 'task', 'task', task, 'state', 'ready', 'try', record.try, 'worker', worker)
  reschedule(run)
end

-- Puts back what the process was handed and neither names as ended nor keeps; if `kept` is not in the hand, it is
-- of an earlier one.
local function put_back_others(worker, process, kept, items)
  local named, all_are_named, keeps = {}, true, false
  for i = 1, #items, ITEM do named[items[i] .. '/' .. items[i + 1]] = true end
  for _, member in ipairs(HAND.of(worker .. '/' .. process)) do
    keeps = keeps or member == kept
    all_are_named = all_are_named and (named[member] or member == kept)
  end
  if all_are_named or kept and not keeps then return end
  if kept then named[kept] = true end
  for _, held in ipairs(HAND.held(worker, process)) do
    if not named[held.member] then guarded(held.run, put_back, held.run, held.task, held.record) end
  end
end

-- Reads at once what is needed to end these tries.
local function read_ahead(run, items, first, last)
  local tasks = {}
  for i = first, last, ITEM do tasks[#tasks + 1] = items[i + 1] end
  CHANGES.read_ahead(CHANGES.of[run].tasks, tasks)
  CHANGES.read_ahead(CHANGES.of[run].plan, tasks)
end

-- Ends the tries of one run, the items from `first` to `last`, and spreads all of that at once: the answer of each,
-- whether more is left to do, and whether the process is fit to go on. `go_on` is called if so.
local function end_of_run(run, items, first, last, go_on)
  local answers, is_any, all_are_fit = {}, false, true
  read_ahead(run, items, first, last)
  for i = first, last, ITEM do
    local answer, is_fit = end_try(unpack(items, i, i + ITEM - 1))
    answers[#answers + 1] = answer
    is_any, all_are_fit = is_any or answer == 'ok', all_are_fit and is_fit
  end
  return { answers, is_any and spread(run, all_are_fit and go_on) or 0, all_are_fit }
end

-- Ends the tries: for each the answer of `release`. `go_on` is called with the last ones, if the process is fit.
local function end_all(items, go_on)
  local answers, first, all_are_fit = {}, 1, true
  while items[first] do
    local run, last = items[first], first
    while items[last + ITEM] == run do last = last + ITEM end
    local is_last = not items[last + ITEM]
    local fine, of_run = guarded(run, end_of_run, run, items, first, last, is_last and all_are_fit and go_on or nil)
    for number = 1, (last - first) / ITEM + 1 do
      answers[#answers + 1] = fine and of_run[1][number] or 'broken'
      answers[#answers + 1] = fine and of_run[2] or 0
    end
    all_are_fit, first = all_are_fit and fine and of_run[3], last + ITEM
  end
  return answers
end

-- Ends tries, as release does, which a process of a worker has run one after the other, and hands it others of
-- that queue; what it was handed before, and does not name, it has not begun. The same process that asks again
-- is handed the same ones. A try that it was handed began `lasted` + `ago` µs ago, and ended `ago` µs ago.
--   given    queue, worker, process; of each: run, task, try, token, outcome, result, error, skips, expansions,
--            lasted, ago
--   answers  of each as release; then of each try that it is handed: run, task, try, token and pushes, the DAG,
--            and as claim order, spec and settled
--   writes   leases, holds, spread()
function OPERATIONS.run_on(queue, worker, process, ...)
  local items, hand, answers = { ... }, HAND.of(worker .. '/' .. process), {}
  local after = items[#items - ITEM + 4]
  hand.told, hand.span, hand.worker, hand.process = {}, 0, worker, process
  if after and hand.after == after then
    for _ = 1, #items, ITEM do answers[#answers + 1], answers[#answers + 2] = 'ok', 0 end
    for _, held in ipairs(HAND.held(worker, process)) do
      local fine, of_it = guarded(held.run, told, held.run, held.task, held.record)
      if fine then hand.told[#hand.told + 1] = of_it end
    end
  else
    put_back_others(worker, process, nil, items)
    answers = end_all(items, function()
      hand.after = after
      fill(hand, queue)
    end)
  end
  for _, of_one in ipairs(hand.told) do
    if planned(of_one[1]) then   -- else it was set aside since
      for _, value in ipairs(of_one) do answers[#answers + 1] = value end
    end
  end
  return answers
end

-- Ends tries likewise, and the process is handed nothing: it leaves its hand, or is dead. It may still run one
-- of what it was handed, `kept`; what it does not name it has not begun, and begins no more.
--   given    worker, process, kept_run, kept_task; of each: run, task, try, token, outcome, result, error, skips,
--            expansions, lasted, ago
--   answers  of each as release
--   writes   leases, holds, spread()
function OPERATIONS.hand_in(worker, process, kept_run, kept_task, ...)
  local items = { ... }
  put_back_others(worker, process, kept_task ~= '' and kept_run .. '/' .. kept_task or nil, items)
  return end_all(items)
end

end
