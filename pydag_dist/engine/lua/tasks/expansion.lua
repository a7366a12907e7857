-- Expansion: a task that is ready becomes as many tasks as its list has items, and ends with the
-- last of them. It has a result once it has children: the list of theirs. Its children "task.0",
-- "task.1", … share its plan and spec.

-- How far an expansion is: of `total` children so many are `created`, `ended`, and ended badly,
-- cancelled or well.
local EXPANSION = '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$'

local function load_expansion(run, task)
  local packed = call('HGET', run_key(run, 'out'), OUT.expansion .. task)
  if not packed then return nil end
  local x = {}
  x.total, x.created, x.ended, x.bad, x.cancelled, x.ok = string.match(packed, EXPANSION)
  for name, value in pairs(x) do x[name] = tonumber(value) end
  return x
end

local function save_expansion(run, task, x)
  call('HSET', run_key(run, 'out'), OUT.expansion .. task,
       table.concat({ x.total, x.created, x.ended, x.bad, x.cancelled, x.ok }, ' '))
end

local function count_child(x, state)
  x.ended = x.ended + 1
  if state == 'failed' then x.bad = x.bad + 1 end
  if state == 'cancelled' then x.cancelled = x.cancelled + 1 end
  if state == 'success' then x.ok = x.ok + 1 end
end

-- Ends an expanded task whose children have all come to be and ended.
local function end_expansion(run, task, record, x)
  if record.state ~= 'expanding' or x.created < x.total or x.ended < x.total then return end
  local state = 'success'
  if known(run) == 'cancelling' then record.reason = 'cancel' end
  if record.reason == 'cancel' then state = 'cancelled'
  elseif x.bad > 0 then state = 'failed'
  elseif x.cancelled > 0 then state = 'cancelled'
  elseif x.ok == 0 then state = 'skipped' end
  local total = call('HGET', run_key(run, 'out'), OUT.number .. task) or 0
  end_task(run, task, record, state, load_plan(run, task), 'expansions', task .. ' ' .. total)
end

-- What becomes of a task whose rule is met and that expands over the result of `list`.
function by_list(run, list)
  local state = load_record(run, list).state
  if state == 'success' then return 'ready' end
  if state == 'skipped' then return 'skipped' end
  return ENDED[state] and 'upstream_failed' or nil
end

function expand(run, task, record)
  local total = tonumber(call('HGET', run_key(run, 'out'), OUT.number .. task) or 0)
  record.ready_at = text(NOW)
  set_state(run, task, record, 'expanding')
  note(run, task, record)
  save_expansion(run, task, { total = total, created = 0, ended = 0, bad = 0, cancelled = 0, ok = 0 })
  AHEAD[#AHEAD + 1] = task .. ' *'
end

function end_rest(run, task, first, state)
  local i = first
  while true do
    local child = task .. '.' .. i
    local record = load_record(run, child)
    if not record then return end
    if record.state == 'none' then
      note_end(run, child, record, state)
      count_ended(run, 1, 0)
    end
    i = i + 1
  end
end

-- Makes the next children; returns how many tasks it looked at.
function expand_slice(run, task)
  local record = load_record(run, task)
  if record.state ~= 'expanding' or known(run) ~= 'running' then return 1 end
  local x, plan, new = load_expansion(run, task), load_plan(run, task), 0
  local first, last = x.created, math.min(x.created + EXPAND_SLICE, x.total) - 1
  local before = tonumber(call('HGET', run_key(run, 'out'), OUT.gone .. task) or 0)
  for i = first, last do
    local child = task .. '.' .. i
    local found = load_record(run, child)   -- of a resumed run
    if found and ENDED[found.state] then
      count_child(x, found.state)
    else
      if not found then
        new = new + 1
        if before > 0 then call('HSET', run_key(run, 'out'), OUT.settled .. child, before) end
      end
      make_ready(run, child, found or new_record({
        state = 'none', try = 1 + before, last_try = 1 + before + plan.retries, pushes = 0, rule = 'all_success', upstream = 0,
        ok = 0, bad = 0, dead_up = 0, skips = 0, asks = 0 }), plan)
    end
  end
  x.created = last + 1
  if new > 0 then
    call('HINCRBY', run_key(run), 'total', new)
    HEAD.count_left(run, new)
  end
  save_expansion(run, task, x)
  if x.created < x.total then
    AHEAD[#AHEAD + 1] = task .. ' *'
  else
    end_rest(run, task, x.total, 'skipped')
    end_expansion(run, task, record, x)
  end
  return last - first + 2
end

function child_ended(run, child, state)
  local task, number = string.match(child, '^(.*)%.(%d+)$')
  local x = load_expansion(run, task)
  if not x or tonumber(number) >= x.created then return end
  count_child(x, state)
  save_expansion(run, task, x)
  end_expansion(run, task, load_record(run, task), x)
end

-- No more children: the run is being cancelled. The end of the last one may have ended it already.
function stop_expanding(run, task)
  local record, x = load_record(run, task), load_expansion(run, task)
  if record.state ~= 'expanding' then return end
  x.total = x.created
  save_expansion(run, task, x)
  record.reason = 'cancel'
  save_record(run, task, record)
  end_expansion(run, task, record, x)
end
