-- What somebody did by hand: a task ends as they say. How a try of it that runs ends, does not count.

do   -- nothing here is used by other files, and a chunk has 200 local variables at most
-- What the task leaves is what the mark says, nothing of its tries.
local function note_mark(run, task, by, result, expansions)
  local out = run_key(run, 'out')
  call('HDEL', out, OUT.result .. task, OUT.error .. task, OUT.skips .. task, OUT.refused .. task)
  call('HSET', out, OUT.mark .. task, by .. ' ' .. expansions)
  if result ~= '' then call('HSET', out, OUT.result .. task, result) end
  note_expansions(run, expansions)
end

-- Of a run that has ended: what is downstream of the task is decided when the run is resumed.
local function mark_later(run, task, record, state)
  local marked = call('HGET', run_key(run), 'marked')
  call('HSET', run_key(run), 'marked', marked and (marked .. ' ' .. task) or task)
  local result, expansions = marked_by(run, task, record)
  record.state = '*'   -- whatever it was
  note_end(run, task, record, state, 'result', result, 'expansions', expansions)
  -- Its keys may live for a while only; what is new among them, too.
  if call('TTL', run_key(run)) >= 0 then OPERATIONS.let_expire(run) end
end

local function mark_now(run, task, record, state)
  local reason = 'mark ' .. state
  if record.state == 'deferred' then
    stop_deferred(run, task, record, reason)
  elseif record.state == 'running' or record.state == 'cancelling' then
    set_state(run, task, record, 'cancelling')
    record.reason = reason
    save_record(run, task, record)
  else
    withdraw_waiting(run, task, record)
    if stop_lost(run, task, record, reason) then return end
    if record.state == 'queued' then
      settle(run, queue_of(load_plan(run, task), record), record)
    end
    end_marked(run, task, record, state)
  end
end

-- Whether any child of an expanded task is there: of a run that Redis had lost, not all may be.
local function has_children(run, task)
  local cursor = '0'
  CHANGES.write(CHANGES.of[run].tasks)
  repeat
    local reply = call('HSCAN', run_key(run, 'tasks'), cursor, 'MATCH', task .. '.*', 'COUNT', 1000)
    cursor = reply[1]
    for i = 1, #reply[2], 2 do
      if parent_of(reply[2][i]) == task and is_child(run, reply[2][i]) then return true end
    end
  until cursor == '0'
  return false
end

-- A task ends as somebody says, after the try of it that runs, if one does. `result` is JSON or
-- empty, `expansions` says into how many children tasks expand over it.
--   given    run, task, state, by, result, expansions
--   answers  ok, or what forbids it: the state of the run or of the task, `no task`, expanding,
--            children, unknown, schema or broken; 1 while more is left to do, else 0
--   writes   run:ID:*, spread()
function OPERATIONS.mark(run, task, state, by, result, expansions)
  local run_state, why = known(run)
  if not run_state then return { why, 0 } end
  if run_state == 'queued' then return { 'queued', 0 } end
  local record = load_record(run, task)
  if not record then return { 'no task', 0 } end
  local over = ENDED_RUN[run_state]
  if not over and ENDED[record.state] then return { record.state, 0 } end
  if record.state == 'expanding' or over and has_children(run, task) then return { 'expanding', 0 } end
  if children_with(run, expansions) > LIMITS.run_children then return { 'children', 0 } end
  note_mark(run, task, by, result, expansions)
  HEAD.note_act(run, 'mark', by, task, state)
  if over then
    mark_later(run, task, record, state)
    return { 'ok', 0 }
  end
  mark_now(run, task, record, state)
  return { 'ok', spread(run) }
end

end
