-- Fair share between runs: which ready task of a queue is next.

-- A task that a worker refused, since its host lacks what the task needs, waits in "QUEUE!needs"
-- instead of in its queue. Each message of that is for one worker that has not refused.
local function queue_of(plan, record)
  if record.needs == '' then return plan.queue end
  return plan.queue .. '!' .. record.needs
end

-- Queue and needs of such a name; nil of a plain queue's.
local function parts_of_queue(queue) return string.match(queue, '^([^!]*)!(.*)$') end

-- The run's ready tasks.
local READY = {}

function READY.add(run, task, record, plan)
  local queue = queue_of(plan, record)
  CHANGES.put(CHANGES.of[run].ready, queue .. '/' .. plan.rank .. '/' .. task, 0, queue, true)
end

function READY.drop(run, queue, member) CHANGES.remove(CHANGES.of[run].ready, member, queue) end

function READY.drop_task(run, task, record)
  local plan = load_plan(run, task)
  local queue = queue_of(plan, record)
  READY.drop(run, queue, queue .. '/' .. plan.rank .. '/' .. task)
end

-- The run's most urgent ready task on a queue, or nil.
function READY.first(run, queue)
  local first = CHANGES.front(CHANGES.of[run].ready, queue)[1]
  return first and first.member
end

-- Reads at once what is needed to hand its most urgent ones over.
function READY.read_ahead(run, queue)
  local tasks = {}
  for i, each in ipairs(CHANGES.front(CHANGES.of[run].ready, queue)) do
    tasks[i] = string.match(each.member, '^[^/]*/[^/]*/(.*)$')
  end
  CHANGES.read_ahead(CHANGES.of[run].tasks, tasks)
  CHANGES.read_ahead(CHANGES.of[run].specs, tasks)
end

function READY.count(run, queue) return CHANGES.count(CHANGES.of[run].ready, queue) end

-- How many tasks count against the run's `processors`.
function READY.active(run)
  CHANGES.write(CHANGES.of[run].active)
  return call('SCARD', run_key(run, 'active'))
end

-- Fair share: a run is charged the slot time that its tasks take. The next message is of the run whose
-- charge, divided by its weight, is least. When a message is pushed, the run is charged in advance what
-- one of its tasks takes in the mean. When the task leaves its slot, this is replaced by the time that
-- the task has really had. (To count active tasks instead would give a run of long tasks most of the
-- slots: its messages would come to slots as often as those of other runs, and stay there longer.)

local share_of, expected, settle, refile

do   -- a chunk has 200 local variables at most
-- How a run stands in a queue: since when it waits there, if it does; the slot time that it has used; and the
-- mean of a task's, nil if none has ended.
function share_of(run, queue)
  local head = head_of(run)
  if not head.shares then
    local names = {}
    for _, name in ipairs(head.queues) do
      names[#names + 1] = 'since/' .. name
      names[#names + 1] = 'share/' .. name
    end
    local read = call('HMGET', run_key(run), unpack(names))
    head.shares = {}
    for i, name in ipairs(head.queues) do
      local used, mean = string.match(read[2 * i] or '0 ', '^(%S+) (%S*)$')
      local since = read[2 * i - 1]
      head.shares[name] = { since = since, was_waiting = since, used = tonumber(used), mean = tonumber(mean) }
    end
  end
  return head.shares[queue]
end

local function save_share(run, queue, share)
  head_of(run).changed['share/' .. queue] = text(share.used) .. ' ' .. (share.mean and text(share.mean) or '')
end

local function wait_since(run, queue, share, since)
  share.since = since
  if not since and share.was_waiting then since = false end
  head_of(run).changed['since/' .. queue] = since
end

-- What a task of the queue is expected to take: the mean of its run's, once any of them has ended there.
function expected(queue, mean)
  return mean or tonumber(CHANGES.get(CHANGES.all.windows, 'mean/' .. queue) or 0)
end

-- The mean after one more task: newer tasks count for more.
local function mixed(mean, spent) return mean and 0.8 * mean + 0.2 * spent or spent end

-- Replaces what the run was charged in advance for a task by `spent`, the µs that the task has had a
-- slot. Without `spent` it has not run, or nobody knows how long.
function settle(run, queue, record, spent)
  if record.charged == '' then return end
  local share = share_of(run, queue)
  share.used = share.used - record.charged + (spent or 0)
  if spent and not share.mean then
    local common = tonumber(CHANGES.get(CHANGES.all.windows, 'mean/' .. queue) or nil)
    CHANGES.set(CHANGES.all.windows, 'mean/' .. queue, text(mixed(common, spent)))
  end
  -- As it is kept, and would be read.
  if spent then share.mean = tonumber(text(mixed(share.mean, spent))) end
  save_share(run, queue, share)
  record.charged = ''
end

-- Brings the run's place in the `fair` set of each of its queues up to date with its ready and active
-- tasks. A run that begins to wait in a queue is charged at least as much as the run that the queue
-- served last: so it can't save up the time in which it had nothing ready. `served` is the queue that
-- has just pushed a message of the run, if any, and `before` the run's charge per weight until then.
-- There the run is charged in advance, and is taken to wait since now, so that runs with the same
-- charge take turns. Returns what it was charged.
function refile(run, served, before)
  local head, charged = head_of(run), nil
  -- A run that is being cancelled waits only when all of its tasks have been looked at. Then those that
  -- are ready are its teardowns.
  local open = (head.processors == 0 or READY.active(run) < head.processors)
               and (head.state == 'running'
                    or head.state == 'cancelling' and call('HEXISTS', run_key(run), 'scan') == 0)
  for _, queue in ipairs(head.queues) do
    local share, waits = share_of(run, queue), open and READY.first(run, queue)
    local is_new = waits and not share.since
    if share.since and (not waits or queue == served) then
      CHANGES.remove(CHANGES.all['fair:' .. queue], share.since .. '/' .. run)
      if not waits then wait_since(run, queue, share, nil) end
    end
    if queue == served then
      charged = expected(queue, share.mean)
      share.used = share.used + charged
      CHANGES.set(CHANGES.all.windows, 'clock/' .. queue, before)
      save_share(run, queue, share)
    elseif is_new then
      local clock = CHANGES.get(CHANGES.all.windows, 'clock/' .. queue) or 0
      share.used = math.max(share.used, math.ceil(head.weight * clock))
      if parts_of_queue(queue) then call('SADD', key('queues'), queue) end
      save_share(run, queue, share)
    end
    if waits then
      if is_new or queue == served then wait_since(run, queue, share, text(STEADY)) end
      local score = string.format('%.17g', share.used / head.weight)
      CHANGES.put(CHANGES.all['fair:' .. queue], share.since .. '/' .. run, score, nil, is_new)
    end
  end
  return charged
end

end
