-- The engine's table: states, transitions, keys and their invariants.
-- Every other .lua file is appended to this one: of this folder what all operations need and what time
-- does, of `tasks/` how a task is queued, decided and ends, of `runs/` how runs and published DAGs begin
-- and end, and of `workers/` what workers call. Before it stand two tables: LIMITS, of dag/limits.py, and
-- PROTOCOL, of protocol.py: all that Python writes and reads, too. Together they are one function of the
-- server (see script.py), called with prefix, operation, source, the operation's arguments.
--
-- STATES OF A TASK                              in `active`   in `ready`   lease
--   none             waits for upstream tasks        no           no        no
--   ready            may be pushed                   no           yes       no
--   queued           a message of it is pushed       yes          no        no
--   running          a worker claimed its message    yes          no        yes
--   up_for_retry     waits for its next try          no           no        no
--   deferred         waits for its remote job        yes, but a   no        no
--                                                    sensor
--   cancelling       told to stop, not gone yet      yes          no        while somebody holds it
--   expanding        has become many tasks, waits    no           no        no
--                    for their end
--   success, failed, upstream_failed, skipped, cancelled: ended
-- STATES OF A RUN: queued (not planned), running, cancelling, success, failed, cancelled.
--
-- OPERATIONS ON PUBLISHED DAGS (published.lua, of_dags.lua). A due time of a schedule is either still to
-- come, or it is settled: a run was made for it, or it was missed, and that was said. No due time is
-- settled twice.
--   publish                              a text becomes the newest version of its DAG; due as the
--                                        caller computed it. The text of the newest version changes
--                                        nothing but its source: the DAG is moved there
--   fire                                 a due time that has come gets its run, those before it are
--                                        missed without `catchup`, and the DAG is due next later; only
--                                        if version and due time are those that the caller saw, the
--                                        DAG is not paused, and less than `max_active` of its
--                                        scheduled runs go on; else it is held back until one ends
--   pause, unpause                       nothing is fired in between; what was due then is missed,
--                                        unless the schedule says `catchup`
--   unpublish                            never due again; its runs go on
--   start                                a run of the newest version by hand: the schedule does not
--                                        notice
--   start_child                          the same by a task of another run (`dag.run`), which waits for
--                                        it; not within a run of the same DAG, nor in a chain of more
--                                        than LIMITS.chain runs that wait for each other
--   restore_dag                          what the history knows of a DAG that Redis has lost
--
-- OPERATIONS ON BACKFILLS (backfills.lua). A backfill decides on each of its due times once and in
-- order: a run is made for it, or it is left out.
--   backfill                             one begins; which due times it has the caller computed
--   advance_backfill                     due times are left out, and the one after them gets its run;
--                                        only if `next` and the DAG's version are what the caller saw,
--                                        and less than `max_active` of its runs go on; else it is held
--                                        back until one ends. The one after them is left out, too, if a
--                                        run that another backfill has made for it forbids it one. It is
--                                        done once all is decided and no run of it goes on
--   pause_backfill, unpause_backfill     no runs are made in between; also by the coordinator that can't
--                                        go on, with the reason
--   cancel_backfill                      no more runs; coordinators cancel those that go on
--   restore_backfill                     what the history knows of one that Redis has lost
--
-- KEYS                            all under the prefix; a run has a constant number of them
--   template         string  the Celery message of a task, with <<marks>> for queue and ids
--   submissions      stream  run ids to be planned, consumer group `coordinators`
--   runs             zset    run -> submission time
--   names            zset    the same runs, all of score 0: lexical order finds what begins alike
--   working          set     exactly the runs with a `work` list that is not empty, or a `scan`
--   queues           set     every queue that has workers, messages, or runs that have not ended,
--                            and each "QUEUE!needs" in which a run waits
--   slots:QUEUE      hash    worker -> "slots expiry"
--   workers          hash    worker -> "process's id, expiry, busy slots, what it can do as JSON"
--   coordinators     hash    likewise
--   refused:QUEUE    hash    "need worker" -> "until when, id of the worker's process, reason" of
--                            what the worker's host lacks: see "needs" in queue.lua; expires
--   windows          hash    queue -> how many messages its list may hold: twice the live slots;
--                            "due/QUEUE" -> 1 if and only if `due:QUEUE` holds anything;
--                            "clock/QUEUE" -> the charge of the run that it served last;
--                            "mean/QUEUE" -> what a task of it takes, about;
--                            "runs/QUEUE" -> how many runs have it that are planned and not ended
--   fair:QUEUE       zset    "since/run" -> its charge: slot time per weight; holds a run if and
--                            only if it has a ready task on that queue and is below its
--                            `processors`
--   queued           zset    "run/task" -> time of its last push; exactly the queued tasks, and
--                            the cancelling ones that wait for a worker to confirm
--   leases           zset    "run/task" -> expiry; exactly the tasks that somebody holds
--   holds            hash    "worker/process" -> "token run/task run/task ...": its hand, the tries that it was
--                            handed when it ended or deferred the try of that token, and holds by their leases. It runs
--                            them in this order, and tells of their ends later; see run_on.lua
--   timers           zset    "retry/run/task" of exactly the tasks up for retry, "poll/run/task" of
--                            the deferred tasks that are not in `due`, "timeout/run" of running
--                            runs with a timeout -> due time
--   due:QUEUE        zset    "group/run/task" of deferred tasks to be polled, all of score 0
--   groups:QUEUE     zset    the groups in `due:QUEUE` -> since when they wait for a message
--   polls:QUEUE      hash    push -> group of each poll message that nobody has claimed
--   history          stream  what has to be kept of runs and tries, until it is in the database
--   epoch            string  random; without it Redis has lost everything
--   database         string  which database the coordinators write history to; expires
--   history:writer   string  the lease of the coordinator that does
--   webhooks         zset    ended runs whose webhooks are to be called -> due time
--   late             zset    runs whose end is expected by a time that no coordinator has looked at yet -> that
--                            time, by the server's clock; runs that were late then, and of which webhooks
--                            are to be told -> when, likewise
--   clock            hash    the server's time and the steady time of the last tick, and the
--                            server's run id; `lease` in µs if it isn't the usual one; lost_leases: how many
--                            leases were lost, for metrics
--   log:R:T:N        stream  what try N of task T of run R wrote: parts of `lines` as JSON, each
--                            with its writer `w`, and the numbers `n` of its first line and `o`
--                            of its first byte among all that this writer wrote
--   log:R:T:N:state  hash    writer, position (up to which that writer's output is there, so that a
--                            part that is sent again is known); bytes; head, head_bytes: of
--                            the parts that stay when the middle is cut out
--   logs             hash    "R:T:N" -> bytes of that log; "" -> of all of them, at most LIMITS.logs
--   logs:expiry      zset    "R:T:N" -> when it is forgotten, in µs by the server's clock; of the logs
--                            that the log store does not have, or not up to their last line
--   logs:stored      zset    likewise of those that it has; of a log that is in both lists the other counts
--   dags             zset    exactly the published DAGs, all of score 0
--   schedules        zset    published DAG -> its due time by the server's clock, for exactly those
--                            that have one and are not paused; of one that is held back, when it is
--                            looked at again unless one of its runs ends before
--   cancels          set     runs whose tasks of `dag.run` were stopped: a tick cancels them
--   awaited          set     "DAG/logical date" of runs that `dag.wait` asks the history for; without
--                            a script
--   awaited:D/T      string  the history's answer: "run state", or empty; expires; without a script
--   dags:publisher   string  the lease of the coordinator that publishes a folder's DAGs; without a script
--   dag_problems     hash    file of a folder that is published -> why it can't be; without a script
--   asked:HASH       string  for a day, hash of the request that had an Idempotency-Key: HASH is of who
--                            sent it and of the key; without a script
--   tokens           hash    name -> role and hash of a token that `pydag web` lets in, as JSON; without
--                            a script
--   estimate:NAME    list    what a worker answers to the question of that name; expires; without a script
--   script:D/T/PATH  string  a copy of a script's text and its generation, as JSON; may expire; this and what
--                            operators note below: without a script, but for `budget`
--   cache:HASH       string  a result to use again, its run and the versions of what it depends on, as JSON
--                            (workers/result_cache); HASH is of what its task does; expires
--   cache-of:R:T:N   string  that a try has begun its work, and what its result is kept under, as JSON; expires
--   budget:RUN       hash    task -> "try:bytes" that its query bills; expires
--   clusters:RUN     set     "name region project" of each cluster that the run has made; expires
--   workflows:RUN    hash    id of a request for a workflow -> how far it is; expires
--   dag:ID           hash    version (number of the newest one), settled (the newest due time that is),
--                            known if no lost versions can come back from the history; and while it is
--                            published: hash (SHA-256 of the newest version's text), schedule (JSON, for
--                            callers), max_active, source (its file, of a folder), published_at,
--                            published_by, due (its next due time, if there is one), held (while it is
--                            due and too many of its runs go on), paused_at and paused_by, missed (how
--                            many due times were), missed_last, last_run, last_state, last_ended
--   dag:ID:run       hash    the fields of a run's hash with which each run of it begins
--   dag:ID:texts     hash    version -> the DAG as JSON, of the newest versions
--   dag:ID:versions  hash    version -> "when hash who" of the same versions
--   dag:ID:active    set     its scheduled runs that have not ended
--   backfills        zset    backfill -> when it was made, in µs by the server's clock
--   backfills:open   zset    exactly those that are running or cancelling -> when coordinators look at
--                            it next, likewise; 0 for at once
--   backfill:ID      hash    state, dag_id, schedule (JSON, for callers; of the DAG's version when it was
--                            made or unpaused last), first and last (its first and last due time), next
--                            (the one to decide on, unless all is decided), newest_first, again, weight,
--                            max_active, total (due times), left_out (of these), made (runs), success,
--                            failed and cancelled (runs of it that are so), spent (µs that ended runs
--                            took), retention, created_at, created_by, changed_at and changed_by (of its
--                            state), why (it was paused by itself), ended_at; expires after its end
--   backfill:ID:active  set  its runs that have not ended
--   q:QUEUE          list    the queue itself, as kombu knows it
--   q:@WORKER        list    what is for that worker alone
--   run:ID           hash    schema, state, dag_id, processors, weight, timeout, tags, submitted_by,
--                            times, rounds (one more than it was resumed, if it was), planner,
--                            total, left (tasks not ended), failures, error, queues, since/QUEUE,
--                            share/QUEUE ("slot time used, a task's mean"), enqueued/SOURCE; reason
--                            and scan while it is cancelling; from if it was resumed from a task, or begins at one;
--                            restored if Redis had lost it; dag_hash (SHA-256 of its DAG); changed and
--                            marked from a resume with another DAG, and from `mark` of an ended run's
--                            task, until it is planned; round_at, when it was planned, and spent, µs
--                            of the rounds before that one; teardowns if it has any; of a run of a
--                            published DAG version, and run_type (scheduled, backfill, manual, or
--                            triggered); of one of a backfill that, too; of a triggered one parent_run
--                            and parent_task, which wait for it, and ancestors: the DAGs of the runs
--                            around it, outermost first; acts, the last LIMITS.acts things that people did
--                            to it: "when act who task state|" of each; expected_within (s) and expected_at
--                            if its DAG says when its end is expected; hook_tries and late_tries: how
--                            often its webhooks were called since it ended, and since it was late
--   run:ID:dag       string  the DAG as it was submitted, or as it was resumed with
--   run:ID:tasks     hash    task -> record (RECORD_FIELDS in protocol.py)
--   run:ID:kept      hash    of a resumed or restored run until it is planned: the records as
--                            they were; of a run that begins at a task those of what it does not run, whose
--                            state is success, reason `taken`, and worker the run that has made the result
--   run:ID:plan      hash    task -> what the plan says of it (PLAN_FIELDS in protocol.py); "task/k" -> chunk k of
--                            its downstream tasks, after a "?" if it is a branch; "/k" -> chunk k
--                            of those to decide at the start
--   run:ID:specs     hash    task -> JSON that its operator gets; "/NAME" -> a large param of the
--                            run as JSON, which specs name
--   run:ID:out       hash    "r/task" -> result as JSON, "e/task" -> error, or why it skipped
--                            itself, "s/task" -> the downstream tasks that a branch skips,
--                            "n/task" -> into how many it expands, "children" -> into how many all
--                            of them do, "x/task" -> how far it has (expansion.lua), "d/task" ->
--                            its group and handle since it was deferred last, "t/task" -> the last
--                            try of a task, or of its children, that a later DAG of the run did
--                            not have, "m/task" -> who has marked it, and what expands over its
--                            result, "b/task" -> the last of its tries whose success, if any,
--                            does not count: it is to run again, "w/task" -> who refused it last,
--                            and why, "k/task" -> how the processes of its try died, those that did,
--                            "c/task" -> the run that it has started last, and waits for
--   run:ID:ready     zset    "queue/rank/task", all of score 0: lexical order is priority order; the
--                            rank of a task that took long in earlier runs ends with "s"
--   run:ID:active    set     tasks that count against `processors`
--   run:ID:work      list    "task/k state": chunks that still have to hear of an ended upstream;
--                            "task *": an expansion to go on with
--   run:ID:events    stream  what watchers follow; capped
--
-- TIMES. What people are told (events, ready_at, started_at, ended_at, a run's times) is the server's
-- time, by the clock of its host, and so is the time by which a run is expected to end. What is waited for (leases, timers, slots and polls, messages,
-- webhooks, the time that a try has had) is steady time: it goes on by the time between two ticks,
-- and by `max_gap` at most, so that it stands while Redis is away, and a step of the server's clock is
-- no more than such a gap. Scores and expiries of zsets and hashes above are in it.
--
-- WRITES. The head of each operation says which arguments it is given, what it answers, and which keys
-- it writes; one that sets a run aside may write more. There `run:ID:*` is every key of a run, and a
-- function stands for what it writes:
--   top_up()     run:ID, run:ID:tasks, run:ID:ready, run:ID:active, queued, queues, fair:QUEUE, q:QUEUE,
--                q:@WORKER, polls:QUEUE, groups:QUEUE, windows
--   finish_run() run:ID, run:ID:events, history, timers, webhooks, windows, dag:ID, dag:ID:active,
--                schedules, backfill:ID, backfill:ID:active, backfills:open
--   spread()     cancels, run:ID:out, run:ID:work, working, due:QUEUE, top_up(), finish_run()
--
-- A script checks everything before its first write (checks.lua): an error half way is not rolled
-- back. A run that an operation can't go on with is set aside (aside.lua).

-- TRANSITIONS. No others happen: set_state and set_run_state (record.lua) refuse them. "*" is any state.
local TRANSITIONS = {}

TRANSITIONS.task = {
  -- what happens                      from                          to
  { 'upstream tasks ended',            'none',                       'ready upstream_failed skipped expanding' },
    -- at the run's start, too; by its rule, once it has heard of all branches directly upstream;
    -- expanding instead of ready, for a task with `expand`, once its list has ended and succeeded
  { 'branch not taken',                'none',                       'skipped' },   -- whatever its rule
  { 'top-up',                          'ready',                      'queued' },    -- part of most operations
  { 'claim',                           'queued',                     'running' },   -- the push is its token
  { 'run-on',                          'ready',                      'running' },
    -- the process that has ended or deferred tries is handed it, without a message: run_on.lua
  { 'put back',                        'running',                    'ready' },
    -- the process that was handed it has not begun it, and runs another one, takes no more, or is dead: the
    -- same try, no death or loss of it; cancelling: as if its lease was lost
  { 'release success',                 'running cancelling deferred', 'success' },
  { 'release skipped',                 'running deferred',           'skipped' },   -- it says so itself, and why
  { 'release failed',                  'running deferred',           'up_for_retry failed' },
    -- up_for_retry while tries are left, and likewise when a task's timeout has stopped it:
  { 'release failed after a timeout',  'cancelling',                 'up_for_retry failed' },
  { 'release final',                   'running deferred',           'failed' },    -- another try would end as this one
  { 'release dead',                    'running deferred',           'ready failed' },
    -- a child died: the same try, the 3rd time failed
  { 'release lost',                    'running deferred',           'failed' },
    -- nobody could tell for long how its remote job is; cancelling: as if dead
  { 'lease lost',                      'running',                    'ready failed' },
    -- found by a tick, or by a renew of the worker that does not name what it held for a while;
    -- the same try, the 20th time failed
  { 'poll lost',                       'deferred',                   'failed' },    -- likewise, the 20th time
  { 'message lost',                    'queued',                     'ready' },
    -- if it was for one worker's own list, or no worker is left; else it is pushed again
  { 'retry due',                       'up_for_retry',               'ready' },     -- next try
  { 'refuse',                          'running',                    'ready' },
    -- the worker's host lacks something: same try, for another worker; likewise another one is
    -- asked for what is cancelling or deferred
  { 'release deferred',                'running',                    'deferred' },
    -- a worker polls it now and then; cancelling: a message asks some worker to cancel its job
  { 'taken back',                      'ready queued',               'running' },
    -- renew or release with the last token: nobody else has claimed the try in between; also
    -- with another token if Redis knows of no claim (it lost it)
  { 'last child ended',                'expanding',                  'success failed skipped cancelled' },
    -- its children came to be, slice by slice, ready
  { 'list of a resumed run is shorter', 'none',                      'success failed upstream_failed skipped cancelled' },
    -- a child that was to run again ends as what it was expanded from, or skipped
  { 'run is stopped',                  'none ready queued up_for_retry', 'cancelled' },
  { 'run is stopped',                  'running deferred ready queued', 'cancelling' },
    -- by a cancel or its timeout; but not a teardown, a task with the rule `teardown`: it runs once
    -- all between its setup and it has ended, and is skipped if that never began. What waits is
    -- cancelling if its worker is gone and may have left a remote job
  { 'timeout of the task',             'running deferred',           'cancelling' },
  { 'release revoked',                 'running deferred',           'cancelling' },  -- by Flower; and on as if dead
  { 'stopped',                         'cancelling',                 'cancelled' },
    -- release failed, skipped, final or stopped; also when nobody holds it any more (dead, lost, the
    -- lease) and it has no remote job: else a message asks some worker to cancel that
  { 'poisoned while it was stopped',   'cancelling',                 'failed' },
  { 'mark',                            'none ready queued up_for_retry', 'success failed skipped' },
  { 'mark',                            'running deferred cancelling ready queued', 'cancelling' },
    -- what waits, as for a stopped run: its worker is gone and may have left a remote job
  { 'stopped, once marked',            'cancelling',                 'success failed skipped' },
    -- however the try ends
  { 'mark in an ended run',            '*',                          'success failed skipped' },
    -- what is downstream is decided by a resume
}
-- A new record begins as none, or as skipped below a branch that is kept, by these:
--   resume (plan_begin..plan_commit): what did not succeed, and all downstream of it, for the next
--     try; after poison and `lost` for the same one if all upstream of it is kept, since nobody knows
--     how its job is
--   resume_with (likewise): what the new DAG has changed, too; what it has no more is gone
--   restore (likewise): what had not ended when Redis lost it, for the same try
--   submit of a run that begins at a task (likewise): that one and all downstream of it, for their first try;
--     all others are kept as they were given before, as succeeded

TRANSITIONS.run = {
  { 'planned',                         'queued',                     'running' },
  { 'plan refused',                    'queued',                     'failed' },
  { 'cancel',                          'queued',                     'cancelled' },
  { 'cancel, timeout',                 'running',                    'cancelling' },
  { 'last task ended',                 'running',                    'success failed cancelled' },
    -- cancelled if it was being cancelled when Redis lost it
  { 'last task ended',                 'cancelling',                 'failed cancelled' },   -- failed by a timeout
  { 'set aside (an error of a script)', '*',                         'failed' },
    -- at once, with the reason `broken`; its tasks stay as they were
  { 'resume',                          'success failed cancelled',   'queued' },
}

TRANSITIONS.backfill = {
  { 'pause',                           'running',                    'paused' },
  { 'unpause',                         'paused',                     'running' },
  { 'cancel',                          'running paused',             'cancelling cancelled' },
    -- cancelled at once if no run of it goes on
  { 'last run ended',                  'cancelling',                 'cancelled' },
  { 'all decided, last run ended',     'running paused',             'done' },
}

-- Runs of earlier schemas are like those of this one, but that no schedule (2) and no backfill (3) can
-- have started them, none of their ranks says that a task takes long (3), and no process has more than one
-- try of theirs in its hand (4): they go on. A version that knows these only leaves newer ones alone, since it
-- would not tell a backfill of their end, nor what a process has gone on with.
local SCHEMA, SCHEMAS_BEFORE = '5', { ['2'] = true, ['3'] = true, ['4'] = true }

-- In µs; `enter` sets them by the installation's lease. Of the usual one of 15 s they are as noted.
local TIMES = {}
local function set_lease(lease)
  TIMES.lease = lease                 -- renewed every fifth of it, with a tick
  TIMES.queued_grace = lease / 3      -- 5 s that a message may be missing before it is pushed again
  TIMES.max_gap = lease * 4 / 15      -- 4 s between two ticks that count: more than a renewal
  TIMES.unnamed_grace = lease * 2 / 5 -- 6 s that a holder may leave out a try: two renewals
  TIMES.refused_for = lease * 2 / 3   -- 10 s after which a worker that has refused is asked again
  TIMES.poll_lease = lease * 2        -- 30 s that a worker has to report what it polled
end

local TICK_EVERY = 0.5e6        -- µs
local TICK_ITEMS = 200
local TIMER_ITEMS = 1000
local CANCELS = 100             -- runs of `cancels` that a tick cancels
local MAX_NEEDS = 32            -- queues "QUEUE!needs" of a run
local POLL_BATCH = 100          -- deferred tasks of one poll message
local EXPAND_SLICE = 500        -- children that one step of an expansion makes
local MAX_DEATHS = 3
local MAX_LOSSES = 20
local MAX_TRANSITIONS = 500     -- per script, since a script blocks everyone; its caller goes on with the rest
local MAX_PUSHES = 500          -- per script and queue
local EVENTS = 10000            -- entries of a run's stream, about

local ENDED, ENDED_RUN, COUNTS_AS = PROTOCOL.ended, PROTOCOL.ended_run, PROTOCOL.counts_as
local OUT, TIMERS = PROTOCOL.out, PROTOCOL.timers   -- what stands before ids in `out` and `timers`

-- Of one call; set by `enter` (dispatch.lua), since a library's code outlives its calls.
local call, PREFIX, SOURCE
local NOW         -- µs by the server's clock
local STEADY      -- µs of steady time
local TEXTS       -- number -> its text, as far as needed: most numbers are one of these two
local GAP         -- µs since the last tick by the server's clock, nil before the first one
local PUSHES      -- how many pushes the call has numbered
local AHEAD       -- what the call still has to do for its run, as in `work`, from AHEAD.first on
local TEMPLATE    -- of messages, once it is read
local HEADS       -- run -> its head, as far as read: see record.lua

local function key(name) return PREFIX .. ':' .. name end
local function run_key(run, part)
  return PREFIX .. ':run:' .. run .. (part and (':' .. part) or '')
end
local function text(number)
  local known = TEXTS[number]
  if not known then
    known = string.format('%.0f', number)
    TEXTS[number] = known
  end
  return known
end
-- What has no "/" somebody else wrote: it is of the run '', which nobody has.
local function split_member(member)
  local run, rest = string.match(member, '^([^/]*)/(.*)$')
  return run or '', rest or member
end

-- "steady time-number". Steady time comes again where Redis was set back to an older state, but
-- then it isn't as far behind the server's time as it was: the number begins with that difference.
local function next_push()
  PUSHES = PUSHES + 1
  return text(STEADY) .. '-' .. text((NOW - STEADY) % 1e6 * 1e5 + PUSHES)
end

local function event(run, ...)
  call('XADD', run_key(run, 'events'), 'MAXLEN', '~', EVENTS, '*', 'at', text(NOW), ...)
end

-- What became of a run, for those who watch it and for the history.
local function run_event(run, state, ...)
  event(run, 'kind', 'run', 'state', state)
  call('XADD', key('history'), '*', 'kind', 'run', 'run', run, 'at', text(NOW), 'state', state, ...)
end

-- A server that can't do now what it is asked, or whose user may not: no fault of a run.
local function is_servers(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  for _, pattern in ipairs({ 'OOM command', 'MISCONF', 'READONLY', 'NOREPLICAS', 'NOPERM',
                             'not enough memory', "can't run this command" }) do
    if string.find(text, pattern, 1, true) then return true end
  end
  return false
end

local set_aside     -- aside.lua
local CHANGES = {}  -- changes.lua
local SCHEDULES = {}   -- of published DAGs, their schedules, and backfills: what runs tell them, too

-- Does something for one run among others, and writes what that has changed of it: whether it could, and the
-- answer. If it could not, the run is set aside.
local function guarded(run, action, ...)
  local is_part = CHANGES.doing[run]   -- of what is being done for it: that writes
  CHANGES.doing[run] = true
  local fine, answer = pcall(action, ...)
  if fine and not is_part then
    local could_write, problem = pcall(CHANGES.write_run, run)
    if not could_write then fine, answer = false, problem end
  end
  CHANGES.doing[run] = is_part
  if fine then return true, answer end
  if is_servers(answer) then error(answer, 0) end
  set_aside(run, answer)
  return false
end
