-- Late binding and fair share: which ready task becomes the next message of a queue.

local function ready_member(queue, rank, task) return queue .. '/' .. rank .. '/' .. task end

-- The run's most urgent ready task on a queue, or nil. ("0" is the character after "/".)
local function first_ready(run, queue)
  return call('ZRANGEBYLEX', run_key(run, 'ready'), '[' .. queue .. '/', '(' .. queue .. '0',
              'LIMIT', 0, 1)[1]
end

local function queues_of(run)
  local queues = {}
  for queue in string.gmatch(call('HGET', run_key(run), 'queues') or '', '%S+') do
    queues[#queues + 1] = queue
  end
  return queues
end

-- Brings the run's place in every `fair` set up to date with its ready and active tasks.
local function refile(run, queues)
  local head = call('HMGET', run_key(run), 'processors', 'weight')
  local active = call('SCARD', run_key(run, 'active'))
  local processors = tonumber(head[1])
  local open = processors == 0 or active < processors
  local score = string.format('%.17g', active / tonumber(head[2]))
  for _, queue in ipairs(queues) do
    local mark = 'since/' .. queue
    local since = call('HGET', run_key(run), mark)
    if open and first_ready(run, queue) then
      if not since then
        since = text(NOW)
        call('HSET', run_key(run), mark, since)
      end
      call('ZADD', key('fair:' .. queue), score, since .. '/' .. run)
    elseif since then
      call('ZREM', key('fair:' .. queue), since .. '/' .. run)
      call('HDEL', run_key(run), mark)
    end
  end
end

local TEMPLATES = {}
local function message(queue, run, task, record)
  local id = run .. '/' .. task .. '/' .. record.try
  if record.pushes > 1 then id = id .. '.' .. record.pushes end
  if not TEMPLATES[queue] then TEMPLATES[queue] = call('HGET', key('templates'), queue) end
  return (string.gsub(TEMPLATES[queue], '<<(%w+)>>', {
    id = id, run = run, task = task, try = record.try, push = record.push,
    dag = call('HGET', run_key(run), 'dag_id') }))
end

-- Pushes a message of the task's current try. The caller has made the task active.
local function push(queue, run, task, record)
  record.state = 'queued'
  record.pushes = record.pushes + 1
  record.push = next_push()
  record.queued_at = text(NOW)
  save_record(run, task, record)
  call('ZADD', key('queued'), text(NOW), run .. '/' .. task)
  call('LPUSH', key('q:' .. queue), message(queue, run, task, record))
  call('HINCRBY', run_key(run), 'enqueued/' .. SOURCE, 1)
end

-- Fills the queue's list up to its window, from the run with the fewest active tasks per weight.
local function top_up(queue)
  local window = tonumber(call('HGET', key('windows'), queue) or 0)
  if window == 0 then return end
  local room = math.min(window - call('LLEN', key('q:' .. queue)), MAX_PUSHES)
  while room > 0 do
    local next_run = call('ZRANGE', key('fair:' .. queue), 0, 0)[1]
    if not next_run then return end
    local since, run = string.match(next_run, '^(%d+)/(.*)$')
    local member = first_ready(run, queue)
    local task = string.match(member, '^[^/]*/[^/]*/(.*)$')
    call('ZREM', run_key(run, 'ready'), member)
    call('SADD', run_key(run, 'active'), task)
    push(queue, run, task, load_record(run, task))
    -- Whoever was just served waits from now on: equals take turns.
    call('ZREM', key('fair:' .. queue), since .. '/' .. run)
    call('HDEL', run_key(run), 'since/' .. queue)
    refile(run, queues_of(run))
    room = room - 1
  end
end

-- After a run's ready or active tasks changed.
local function reschedule(run)
  local queues = queues_of(run)
  refile(run, queues)
  for _, queue in ipairs(queues) do top_up(queue) end
end

local function make_ready(run, task, record, queue, rank)
  record.state = 'ready'
  record.ready_at = text(NOW)
  save_record(run, task, record)
  call('ZADD', run_key(run, 'ready'), 0, ready_member(queue, rank, task))
end

-- Takes a queued or running task's place back, and lets it wait for a slot again.
local function back_to_ready(run, task, record)
  call('SREM', run_key(run, 'active'), task)
  call('ZREM', key('queued'), run .. '/' .. task)
  local queue, rank = load_plan(run, task)
  make_ready(run, task, record, queue, rank)
end
