-- Trigger rules: when a task that waits for upstream tasks is decided, and how.

-- A rule answers the state to which a task with upstream tasks goes from `none`, or nil while that can't be
-- decided. The rules are those of Airflow; a cancelled upstream task counts as failed. An answer must not
-- depend on the order in which upstream tasks end: so a rule answers before the last of them has ended only
-- if no end that is still to come could change the answer.
--   r        the task's record, with how many upstream tasks ended in which way
--   failed   how many failed, were cancelled, or could not run
--   done     whether all have ended
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

-- DAG files can't name this rule: tasks with `teardown_of` have it.
function RULES.teardown(_, _, done) return done and 'ready' or nil end

-- The state to which the task goes by its own rule now, or nil.
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
