"""Drives the engine and its reference model side by side, and compares them after every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.coordinator.prior_run import prior_run
from pydag_dist.dag import Dag
from pydag_dist.dag.fields import TriggerRule
from pydag_dist.engine import Claim, Deferral, Engine, Held, LostTask
from pydag_dist.engine.clock import CLOCK, steady_time
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.script import source
from pydag_dist.engine.snapshot import seconds
from pydag_dist.errors import EngineError
from tests.model.reference import (
    ENDED,
    ENDED_RUN,
    MAX_DEATHS,
    MAX_LOSSES,
    Message,
    ReferenceEngine,
    RefTask,
)
from tests.support.engine_bench import with_own_clock
from tests.support.heads import Head, heads
from tests.support.written import noting, table_name, written

QUEUES = ("bigquery", "python")
TEMPLATE = (
    '{"headers": {"id": "<<id>>", "pydag": {"run": "<<run>>", "task": "<<task>>", '
    '"try": "<<try>>", "push": "<<push>>"}}}'
)

OUTCOMES = st.sampled_from(
    [
        *("success", "success", "success", "failed", "failed"),
        *("skipped", "final", "dead", "stopped", "lost", "revoked"),
    ]
)
PROCESSORS = st.integers(0, 3)
OPERATORS = (
    {"operator": "python.call", "params": {"callable": "m:f"}},
    {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}},
    {"operator": "bigquery.wait_table", "params": {"table": "p.ds.t"}},
)
GROUPS = ("bigquery.query:a", "bigquery.query:b")
WORKERS = ("worker", "other")
NEEDS = ("module:a", "module:b", "connection:a", "")
RULES = sorted(TriggerRule)

# ms that pass until a tick, or that the server's clock steps by. No sum of these and of gaps that
# are cut off is near a lease's or another length.
SHORT = 717
STEPS = (SHORT, SHORT, 2_903, 2_903, 60_000, 3_600_000, -1_303, -7_200_000)
BEGIN = 1_800_000_000_000_000  # µs
SLACK = 100_000  # µs: each call of the engine takes one

# s of a try. Only a rule that says so lets one time out: a try may last for the longest step, since
# before the first tick nothing is cut off, and for many short ones.
TIMEOUT = 86_400

# A run that was ended keeps its keys for so long; far above the length of a test.
RETENTION = 3600


@st.composite
def dags(draw: st.DrawFn, max_tasks: int = 10) -> dict[str, dict[str, Any]]:
    """Task id -> its fields in a DAG file, parents first."""
    tasks: dict[str, dict[str, Any]] = {}
    for i in range(draw(st.integers(1, max_tasks))):
        parents = draw(st.sets(st.sampled_from(sorted(tasks)), max_size=3)) if tasks else set()
        plain = draw(st.booleans())
        setups = {task.get("teardown_of") for task in tasks.values()}
        lists = sorted(t for t in parents if "expand" not in tasks[t] and t not in setups)
        expands = bool(lists) and draw(st.integers(0, 3)) == 0
        known = not expands and draw(st.integers(0, 5)) == 0
        tasks[f"t{i:02}"] = {
            **(
                {"expand": {"over": f"tasks.{draw(st.sampled_from(lists))}.result"}}
                if expands
                else {}
            ),
            **({"expand": {"over": list(range(draw(st.integers(0, 3))))}} if known else {}),
            "task_id": f"t{i:02}",
            **draw(st.sampled_from(OPERATORS)),
            "dependencies": sorted(parents),
            "queue": draw(st.sampled_from(QUEUES)),
            "trigger_rule": "all_success" if plain else draw(st.sampled_from(RULES)),
            "retries": draw(st.sampled_from([0, 0, 1, 2])),
            "retry_backoff": draw(st.booleans()),
            "allow_failure": draw(st.integers(0, 4)) == 0,
            "timeout": TIMEOUT,
        }
        setups = sorted(t for t in parents if may_be_setup(tasks, t))
        if setups and not expands and not known and draw(st.integers(0, 2)) == 0:
            tasks[f"t{i:02}"]["teardown_of"] = draw(st.sampled_from(setups))
            tasks[f"t{i:02}"]["trigger_rule"] = "all_success"
    above = {parent for task in tasks.values() for parent in task["dependencies"]}
    for name, task in tasks.items():
        setups = {other.get("teardown_of") for other in tasks.values()}
        is_free = name not in setups and "teardown_of" not in task and "expand" not in task
        if name in above and is_free and draw(st.integers(0, 3)) == 0:
            task |= {"operator": "branch", "params": {"callable": "m:f"}}
    return tasks


def may_be_setup(tasks: dict[str, dict[str, Any]], name: str) -> bool:
    over = [task["expand"]["over"] for task in tasks.values() if "expand" in task]
    task = tasks[name]
    return not ("expand" in task or "teardown_of" in task or f"tasks.{name}.result" in over)


class EngineMachine(RuleBasedStateMachine):
    """Random interleavings of everything that clients, planners, workers and time do."""

    # Set by `machine_on`; one engine for all histories, since each keeps connections of the client.
    client: Any
    engine: Engine
    heads: Mapping[str, Head]
    strange: set[str]

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.client.set("p:now", BEGIN)
        self.engine.planning.set_template(TEMPLATE)
        self.reference = ReferenceEngine()
        self.dags: dict[str, Dag] = {}
        self.planners: dict[str, list[str]] = {}
        self.newest: dict[str, str] = {}  # run -> the planner that may write its plan
        self.numbers: dict[int, str] = {}  # the reference's push number -> the engine's
        self.tried: list[Message] = []  # delivered at least once: may be claimed again, released…
        self.polls: list[Message] = []  # likewise, of messages that ask to poll
        self.polled: list[Message] = []  # for each task that a poll was given
        self.lost_runs: set[str] = set()  # ended before Redis lost everything

    def teardown(self) -> None:
        """All that was written, in this history or in one before, is what the table says."""
        self.strange.update(
            f"{operation} writes {key}"
            for operation, key in written(self.client)
            if not self.heads[operation].writes(key)
        )
        assert not self.strange
        keys = set(self.client.scan_iter("p:*")) - {"p:now"}
        assert [key for key in keys if not table_name(key)] == []

    # What clients and planners do

    @initialize(slots=st.integers(1, 3), data=st.data(), tasks=dags(), processors=PROCESSORS)
    def begin(
        self, slots: int, data: st.DataObject, tasks: dict[str, Any], processors: int
    ) -> None:
        """Two queues with workers, and a first run that is planned well."""
        for worker in WORKERS:
            self.heard_of(worker, 0)
        for queue in QUEUES:
            self.worker_slots(queue, slots)
        self.submit(tasks, processors, 1)
        self.begin_planning(data)
        self.go_on_planning(data, 3)

    @precondition(lambda self: len(self.dags) + len(self.lost_runs) < 3)
    @rule(tasks=dags(), processors=PROCESSORS, weight=st.sampled_from([1, 2]))
    def submit(self, tasks: dict[str, Any], processors: int, weight: int) -> None:
        run = f"r{len(self.dags) + len(self.lost_runs)}"
        dag = Dag.parse({"dag_id": "dag", "tasks": list(tasks.values())})
        self.dags[run] = dag
        self.planners[run] = []
        for first in (True, False):  # a client that got no answer sends it again
            stored = self.engine.steering.submit(
                run, "{}", "dag", processors=processors, weight=weight, retention=RETENTION
            )
            assert stored is first
        rows = {row.task: row for row in plan_of(dag).rows}
        waits_for = dag.waits_for()
        reference = {
            t: RefTask(
                queue=tasks[t]["queue"],
                rank=rows[t].rank,
                upstream=tuple(waits_for[t]),
                rule="teardown" if "teardown_of" in tasks[t] else tasks[t]["trigger_rule"],
                setup=tasks[t].get("teardown_of", ""),
                retries=tasks[t]["retries"],
                allow_failure=tasks[t]["allow_failure"],
                remote=rows[t].remote,
                sensor=rows[t].sensor,
                branch=rows[t].branch,
                items=rows[t].items,
                expands_over=rows[t].list_task,
            )
            for t in dag.walk()
        }
        self.reference.submit(run, reference, processors, weight)

    def runs_that_are(self, *states: str) -> list[str]:
        return [r for r, run in self.reference.runs.items() if run.state in states]

    @precondition(lambda self: self.runs_that_are("queued"))
    @rule(data=st.data())
    def begin_planning(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs_that_are("queued")), label="run")
        token = self.engine.planning.plan_begin(run)
        assert token is not None
        self.planners[run].append(token)
        self.newest[run] = token

    @precondition(lambda self: any(self.planners[run] for run in self.runs_that_are("queued")))
    @rule(data=st.data(), stop_after=st.integers(1, 3))
    def go_on_planning(self, data: st.DataObject, stop_after: int) -> None:
        """Any planner goes on, the newest or one that was overtaken; it may stall half way."""
        run = data.draw(st.sampled_from([r for r, t in self.planners.items() if t]), label="run")
        token = data.draw(st.sampled_from(self.planners[run]), label="planner")
        may = token == self.newest.get(run) and self.reference.runs[run].state == "queued"
        made = plan_of(self.dags[run], prior_run(self.engine, run))
        half = len(made.rows) // 2
        steps = [
            lambda: self.engine.planning.plan_chunk(run, token, made.rows[:half]),
            lambda: self.engine.planning.plan_chunk(run, token, made.rows[half:]),
            lambda: self.engine.planning.plan_first(run, token, made.first),
        ]
        for step in steps[:stop_after]:
            assert step() is may
        if stop_after == len(steps):
            queues = sorted({task.queue for task in self.reference.runs[run].tasks.values()})
            started = self.engine.planning.plan_commit(
                run,
                token,
                len(made.rows),
                queues,
                first=len(made.first),
                ended=made.ended,
                failures=made.failures,
            )
            assert started is may
            if may:
                self.reference.start(run)
                del self.newest[run]

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.dags)), label="run")
        self.reference.cancel(run, order=self.order_of(run))
        assert self.engine.steering.cancel(run) == self.reference.runs[run].state

    @precondition(lambda self: self.runs_that_are("running"))
    @rule(data=st.data())
    def run_out_of_time(self, data: st.DataObject) -> None:
        """A run's timeout, as its timer would find it."""
        run = data.draw(st.sampled_from(self.runs_that_are("running")), label="run")
        self.tick_after(SHORT)
        if self.reference.runs[run].state != "running":
            return
        # In a tick of its own at the same time, so that nothing else happens in it.
        self.client.zadd("p:timers", {f"timeout/{run}": 0})
        self.client.hdel("p:clock", "ticked")
        order = self.order_of(run)
        assert self.engine.tick()
        self.reference.ticked = None
        self.reference.now -= 1
        self.reference.cancel(run, "timeout", order)
        self.reference.tick([])

    @precondition(lambda self: self.runs_that_are("success", "failed", "cancelled"))
    @rule(data=st.data(), whole=st.booleans())
    def resume(self, data: st.DataObject, whole: bool) -> None:
        ended = self.runs_that_are("success", "failed", "cancelled")
        run = data.draw(st.sampled_from(ended), label="run")
        names = sorted(self.reference.runs[run].tasks)
        task = "" if whole else data.draw(st.sampled_from(names), label="task")
        if self.reference.resume(run, task):
            self.engine.steering.resume(run, task)
        else:
            with pytest.raises(EngineError):
                self.engine.steering.resume(run, task)

    @precondition(lambda self: any(run.planned for run in self.reference.runs.values()))
    @rule(data=st.data(), state=st.sampled_from(["success", "skipped", "failed"]))
    def mark(self, data: st.DataObject, state: Any) -> None:
        planned = sorted(r for r, run in self.reference.runs.items() if run.planned)
        run = data.draw(st.sampled_from(planned), label="run")
        tasks = self.reference.runs[run].tasks
        name = data.draw(st.sampled_from(sorted(tasks)), label="task")
        over = [t for t, task in tasks.items() if task.expands_over == name]
        expand = {t: data.draw(st.integers(0, 2)) if state == "success" else 0 for t in over}
        if self.reference.mark(run, name, state, expand):
            self.engine.steering.mark(run, name, state, "ana@host", expand=expand)
        else:
            with pytest.raises(EngineError):
                self.engine.steering.mark(run, name, state, "ana@host", expand=expand)

    def order_of(self, run: str) -> list[str]:
        """The order in which a scan meets the run's tasks."""
        return [task for task, _ in self.client.hscan_iter(f"p:run:{run}:tasks", count=500)]

    @precondition(lambda self: not self.newest and self.runs_that_are("running", "cancelling"))
    @rule()
    def wipe(self) -> None:
        """Redis loses everything, and gets back what the history has."""
        events = [fields for _, fields in self.client.xrange("p:history")]
        heads = {run: self.engine.reading.run_head(run) for run in self.dags}
        now = self.client.get("p:now")
        self.client.flushall()
        self.client.set("p:now", now)
        self.engine.planning.set_template(TEMPLATE)
        for run, head in heads.items():
            state = [e["state"] for e in events if e["kind"] == "run" and e["run"] == run][-1]
            if state in ENDED_RUN:
                del self.dags[run], self.planners[run]
                self.lost_runs.add(run)
                continue
            newest = {e["task"]: e for e in events if e["kind"] == "task" and e["run"] == run}
            assert self.engine.planning.restore(
                run, [lost_task(event) for event in newest.values()]
            )
            self.restore_run(run, head, state)
            self.planners[run] = []
        for event in events:  # they are in the database for ever
            self.client.xadd("p:history", event)
        self.tried = [m for m in self.tried if m.run in self.dags]
        self.polled = []
        self.reference.wipe()
        self.tried = [m for m in self.tried if m.task in self.reference.runs[m.run].tasks]
        for worker in WORKERS:
            self.heard_of(worker, 0)

    def restore_run(self, run: str, head: dict[str, str], state: str) -> None:
        names = ["dag_id", "processors", "weight", "timeout", "retention", "params"]
        names += ["submitted_at", "logical_date", "hooks"]
        names += [
            name
            for name in ("from", "started_at", "total", "marked", "rounds", "round_at", "spent")
            if name in head
        ]
        if state == "cancelling":
            names.append("reason")
        kept = {name: head[name] for name in names}
        planned = state != "queued"
        assert self.engine.planning.restore_run(run, "{}", kept, planned=planned)
        if planned:
            assert not self.engine.planning.restore_run(run, "{}", kept)

    # What workers do

    @rule(queue=st.sampled_from(QUEUES), slots=st.integers(0, 3), worker=st.sampled_from(WORKERS))
    def worker_slots(self, queue: str, slots: int, worker: str = "worker") -> None:
        """A worker comes, changes or leaves; without one only a tick changes the queue."""
        self.engine.working.renew(worker, slots, [queue])
        self.reference.register(queue, slots, worker)

    @rule(worker=st.sampled_from(WORKERS), busy=st.integers(0, 3))
    def heard_of(self, worker: str, busy: int) -> None:
        assert self.engine.membership.register("workers", worker, "id", "{}", busy=busy) is None
        self.reference.busy[worker] = busy

    @precondition(lambda self: self.reference.refused)
    @rule()
    def forget_refusals(self) -> None:
        """After a while, workers are asked again."""
        self.client.delete(*(f"p:refused:{queue}" for queue in QUEUES))
        self.reference.refused.clear()

    @precondition(lambda self: self.tried or self.polled)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS), need=st.sampled_from(NEEDS))
    def refuse(self, data: st.DataObject, worker: str, need: str) -> None:
        """A holder can't run its try, or one that lost it."""
        message = data.draw(st.sampled_from(self.polled + self.current()), label="message")
        self.refused(message, worker, need)

    def refused(self, message: Message, worker: str, need: str) -> None:
        expected = self.reference.refuse(message, worker, need)
        assert self.engine.working.refuse([self.held(message)], worker, need, "no such") == [
            expected
        ]

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), lost=st.booleans())
    def deliver(self, data: st.DataObject, lost: bool) -> None:
        """A worker pops a message; if it dies at once, nobody ever claims it."""
        queue = data.draw(
            st.sampled_from([q for q, m in self.reference.lists.items() if m]), label="queue"
        )
        message = self.reference.lists[queue].pop(0)
        packed = json.loads(self.client.rpop(f"p:q:{queue}"))["headers"]
        assert celery_id(packed) == message.celery_id
        self.numbers[message.number] = packed["pydag"]["push"]
        if not lost:
            (self.polls if message.run == "*" else self.tried).append(message)

    def held(self, message: Message) -> Held:
        number = self.numbers[message.number]
        return Held(message.run, message.task, message.try_number, number)

    def claimed(self, message: Message, process: int = 1, worker: str = "worker") -> None:
        h = self.held(message)
        answer = self.engine.working.claim(
            h.run, h.task, h.try_number, h.token, worker, process=process
        )
        order = answer.order if isinstance(answer, Claim) else None
        assert order == self.reference.claim(message, process, worker)
        if isinstance(answer, Claim):
            task = self.reference.task_of(message)
            assert answer.settled == (task.settled if task.try_number > 1 else 0)

    def released(self, data: st.DataObject, message: Message, outcome: Any) -> None:
        task = self.reference.task_of(message)
        downstream = task.downstream
        skips: tuple[str, ...] = ()
        if outcome == "success" and task.branch:
            skips = tuple(data.draw(st.sets(st.sampled_from(downstream)), label="skips"))
        run = self.reference.runs[message.run]
        expand = {}
        if outcome == "success":
            over = [t for t in downstream if run.tasks[t].expands_over == message.task]
            expand = {t: data.draw(st.integers(0, 3), label=f"children of {t}") for t in over}
        expected = self.reference.release(message, outcome, skips, expand)
        answer = self.engine.working.release(
            self.held(message), outcome, skips=skips, expand=expand
        )
        assert answer == expected

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, max_size=5))
    def work(self, data: st.DataObject, outcomes: list[Any]) -> None:
        """A healthy worker pops, claims and releases some tasks."""
        for outcome in outcomes:
            if not any(self.reference.lists.values()):
                return
            polls = len(self.polls)
            self.deliver(data, lost=False)
            if len(self.polls) > polls:
                self.poll(data, self.polls[-1], [outcome])
                continue
            self.claimed(self.tried[-1])
            does = data.draw(st.integers(0, 5), label="does")
            if does == 0:
                self.deferred(data, self.tried[-1])
            elif does == 1:
                worker = data.draw(st.sampled_from(WORKERS), label="worker")
                self.refused(self.tried[-1], worker, data.draw(st.sampled_from(NEEDS)))
            else:
                self.released(data, self.tried[-1], outcome)

    def deferred(self, data: st.DataObject, message: Message) -> None:
        group = data.draw(st.sampled_from(GROUPS), label="group")
        expected = self.reference.defer(message, group)
        deferral = Deferral(self.held(message), group, 5, json.dumps({"job": message.task}))
        assert self.engine.working.defer([deferral]) == [expected]

    def poll(self, data: st.DataObject, message: Message, outcomes: list[Any]) -> None:
        """A worker claims a poll, and reports some of what it was given."""
        queue = message.queue
        expected = self.reference.claim_polls(queue, message)
        due = self.engine.working.claim_polls(
            queue, message.task, self.numbers[message.number], "worker"
        )
        assert sorted((d.held.run, d.held.task) for d in due) == [(m.run, m.task) for m in expected]
        assert all(json.loads(d.handle) == {"job": d.held.task} for d in due)
        self.polled += expected
        for item, outcome in zip(expected, outcomes, strict=False):
            if data.draw(st.booleans(), label="goes on"):
                self.deferred(data, item)
            elif data.draw(st.integers(0, 3), label="refuses") == 0:
                worker = data.draw(st.sampled_from(WORKERS), label="worker")
                self.refused(item, worker, f"polls:{message.task}")
            else:
                self.released(data, item, outcome)

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, max_size=3))
    def claim_polls(self, data: st.DataObject, outcomes: list[Any]) -> None:
        self.poll(data, data.draw(st.sampled_from(self.polls), label="poll"), outcomes)

    @precondition(lambda self: self.tried or self.polled)
    @rule(data=st.data())
    def defer(self, data: st.DataObject) -> None:
        """A holder, or one that lost its lease, or a late poller gives its try back."""
        messages = self.polled or self.current()
        self.deferred(data, data.draw(st.sampled_from(messages), label="message"))

    @precondition(lambda self: self.polled)
    @rule(data=st.data(), outcome=OUTCOMES)
    def release_polled(self, data: st.DataObject, outcome: Any) -> None:
        """A poller reports in time or late."""
        self.released(data, data.draw(st.sampled_from(self.polled), label="message"), outcome)

    @precondition(lambda self: self.tried)
    @rule(data=st.data(), process=st.integers(1, 2), worker=st.sampled_from(WORKERS))
    def claim(self, data: st.DataObject, process: int, worker: str) -> None:
        """The first claim of a message, or the same process's again, or a duplicate delivery."""
        message = data.draw(st.sampled_from(self.current() + self.tried), label="message")
        self.claimed(message, process, worker)

    def current(self) -> list[Message]:
        """Messages whose try is theirs, or would be if they claimed it now."""
        return [m for m in self.tried if self.reference.task_of(m).push == m.number] or self.tried

    @precondition(lambda self: self.tried)
    @rule(
        data=st.data(),
        late=st.booleans(),
        outcome=OUTCOMES,
    )
    def release(self, data: st.DataObject, late: bool, outcome: Any) -> None:
        """An outcome, in time or late, of a holder or of one that lost its lease."""
        messages = self.tried if late else self.current()
        self.released(data, data.draw(st.sampled_from(messages), label="message"), outcome)

    @precondition(lambda self: self.tried)
    @rule(data=st.data(), overdue=st.booleans(), looked_ago=st.sampled_from([None, 0, 3_000]))
    def renew(self, data: st.DataObject, overdue: bool, looked_ago: int | None) -> None:
        """Of all that a worker holds, or of some of that, or of what it does not hold any more."""
        worker = data.draw(st.sampled_from(WORKERS), label="worker")
        some = st.lists(st.sampled_from(self.current() + self.tried), max_size=3)
        messages = data.draw(some, label="messages")
        late = None
        if overdue and messages and self.is_running(messages[0]):
            late = messages[0]
            self.edit_record(late.run, late.task, began="1")
        expected = self.reference.renew(worker, messages, overdue=late, looked_ago=looked_ago)
        answers = self.engine.working.renew(
            worker,
            0,
            [],
            [self.held(message) for message in messages],
            looked_ago=None if looked_ago is None else looked_ago / 1000,
        )
        assert answers == expected

    def is_running(self, message: Message) -> bool:
        running = self.reference.task_of(message).state == "running"
        return running and self.reference.holder(message) == "yours"

    # What time does

    @precondition(lambda self: self.tasks_that(lambda t: t.held() or t.waits or has_timer(t)))
    @rule(data=st.data())
    def tick(self, data: st.DataObject) -> None:
        """Time is over for some leases, messages and timers, whatever happened to them."""
        held = self.tasks_that(RefTask.held)
        waiting = self.tasks_that(lambda t: t.waits)
        waits = self.tasks_that(has_timer)
        expired = data.draw(st.permutations(held), label="expired")[: len(held) // 2 + 1]
        overdue = data.draw(st.permutations(waiting), label="overdue")
        timers = data.draw(st.permutations(waits), label="timers")[: len(waits) // 2 + 1]
        for at, (run, task) in enumerate(expired):
            self.client.zadd("p:leases", {f"{run}/{task}": at})
            self.task(run, task).lease_until = (-BEGIN, at)
        for at, (run, task) in enumerate(overdue):
            self.client.zadd("p:queued", {f"{run}/{task}": at})
            self.task(run, task).waits_since = (-BEGIN, at)
        for at, (run, task) in enumerate(timers):
            self.client.zadd("p:timers", {self.timer(run, task): at})
        polls = [of for of in timers if self.task(*of).state == "deferred"]
        late = data.draw(st.sets(st.sampled_from(polls)), label="late") if polls else set()
        for run, task in late:
            self.edit_record(run, task, began="1")
        self.tick_after(SHORT, late)

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        """Time passes, or nobody ticks for long, or the server's clock steps; then a tick."""
        if step < 0:  # of the time since the last tick the engine knows nothing then
            self.tick_after(SHORT)
        self.tick_after(step)

    def keep_workers(self) -> None:
        """Workers come and go by rules of their own, and so do refusals: not by time."""
        for at, name in ((1, "slots:{}"), (0, "refused:{}"), (1, "workers")):
            for queue in QUEUES:
                key = "p:" + name.format(queue)
                for field, packed in self.client.hgetall(key).items():
                    parts = packed.split(" ")
                    parts[at] = str(2 * BEGIN)
                    self.client.hset(key, field, " ".join(parts))

    def tick_after(self, step: int, late: Collection[tuple[str, str]] = ()) -> None:
        self.reference.server += step
        self.keep_workers()
        self.client.incrby("p:now", step * 1_000)
        now = int(self.client.get("p:now")) + 1
        steady = steady_time(now, *self.client.hmget("p:clock", *CLOCK))
        timers = self.client.zrangebyscore("p:timers", "-inf", steady)
        due = [tuple(timer.split("/")[1:]) for timer in timers]
        assert self.engine.tick()
        self.reference.tick(due, late)

    def task(self, run: str, task: str) -> RefTask:
        return self.reference.runs[run].tasks[task]

    def timer(self, run: str, task: str) -> str:
        kind = "retry" if self.task(run, task).state == "up_for_retry" else "poll"
        return f"{kind}/{run}/{task}"

    @precondition(lambda self: self.tasks_that(is_worn))
    @rule(data=st.data())
    def wear_out(self, data: st.DataObject) -> None:
        """A try that has died and lost its lease as often as it may: the next time it is poison."""
        worn = self.tasks_that(is_worn)
        run, name = data.draw(st.sampled_from(worn), label="task")
        task = self.task(run, name)
        task.deaths, task.losses = MAX_DEATHS - 1, MAX_LOSSES - 1
        self.edit_record(run, name, deaths=str(task.deaths), losses=str(task.losses))

    def edit_record(self, run: str, task: str, **fields: str) -> None:
        record = unpack_record(self.client.hget(f"p:run:{run}:tasks", task)) | fields
        self.client.hset(f"p:run:{run}:tasks", task, "|".join(record.values()) + "|")

    def tasks_that(self, do: Callable[[RefTask], bool]) -> list[tuple[str, str]]:
        return sorted(
            (r, t)
            for r, run in self.reference.runs.items()
            if run.state in ("running", "cancelling")
            for t, task in run.tasks.items()
            if do(task)
        )

    # The comparison

    @invariant()
    def same_tasks(self) -> None:
        for run_id, run in self.reference.runs.items():
            assert self.engine.reading.run_state(run_id) == run.state
            if run.state == "queued" or not run.planned:
                continue
            records = self.client.hgetall(f"p:run:{run_id}:tasks")
            assert set(records) == set(run.tasks)
            for name, task in run.tasks.items():
                record = unpack_record(records[name])
                seen = [record[f] for f in ("state", "try", "last_try", "pushes", "reason")]
                wanted = [task.state, task.try_number, task.last_try, task.pushes, task.reason]
                assert seen == [str(value) for value in wanted], (run_id, name)
                counted = (record["deaths"], record["losses"], record["needs"])
                needs = "+".join(sorted(task.needs))
                assert counted == (str(task.deaths), str(task.losses), needs), (run_id, name)

    @invariant()
    def same_runs(self) -> None:
        assert sorted(self.client.zrange("p:runs", 0, -1)) == sorted(self.dags)
        assert self.client.zrange("p:names", 0, -1) == sorted(self.dags)
        for run_id, run in self.reference.runs.items():
            head = self.client.hgetall(f"p:run:{run_id}")
            assert int(head.get("rounds", 1)) == run.rounds

    @invariant()
    def same_queues(self) -> None:
        for queue in (*QUEUES, *(f"@{worker}" for worker in WORKERS)):
            listed = self.client.lrange(f"p:q:{queue}", 0, -1)
            packed = [celery_id(json.loads(message)["headers"]) for message in listed]
            wanted = [m.celery_id for m in self.reference.lists.get(queue, [])]
            assert packed[::-1] == wanted

    @invariant()
    def keys_hold_what_the_table_says(self) -> None:
        for run_id, run in self.reference.runs.items():
            if run.state == "queued" or not run.planned:
                continue
            assert self.client.smembers(f"p:run:{run_id}:active") == run.active()
            ready = [
                f"{task.waits_in}/{task.rank:06}/{name}"
                for name, task in run.tasks.items()
                if task.state == "ready"
            ]
            assert self.client.zrange(f"p:run:{run_id}:ready", 0, -1) == sorted(ready)
            assert not self.client.exists(f"p:run:{run_id}:work", f"p:run:{run_id}:kept")
            assert not self.client.hexists(f"p:run:{run_id}", "scan")
            left = sum(task.state not in ENDED for task in run.tasks.values())
            assert self.client.hget(f"p:run:{run_id}", "left") == str(left)
        others = {q for run in self.reference.runs.values() for q in run.queues} - {*QUEUES}
        assert others >= self.client.smembers("p:queues") - {*QUEUES}
        for queue in (*QUEUES, *others):
            fair = self.client.zrange(f"p:fair:{queue}", 0, -1)
            assert [member.split("/", 1)[1] for member in fair] == self.reference.fair(queue)
        assert self.members("queued") == self.tasks_that(lambda t: t.waits)
        assert self.members("leases") == self.tasks_that(RefTask.held)
        assert self.are_near("leases", lambda task: task.lease_until[0])
        assert self.are_near("queued", lambda task: task.waits_since[0])
        timers = [self.timer(*of) for of in self.tasks_that(has_timer)]
        assert sorted(self.client.zrange("p:timers", 0, -1)) == sorted(timers)
        assert not self.client.exists("p:working")

    @invariant()
    def only_queues_in_use_are_known(self) -> None:
        known = self.reference.known_queues
        assert {q for q in self.client.smembers("p:queues") if "!" not in q} == known
        runs = [r for r in self.reference.runs.values() if r.state in ("running", "cancelling")]
        for queue in QUEUES:
            counted = int(self.client.hget("p:windows", f"runs/{queue}") or 0)
            assert counted == sum(queue in run.queues for run in runs)

    @invariant()
    def polls_are_what_is_due(self) -> None:
        flags = self.client.hgetall("p:windows")
        for queue in QUEUES:
            due = self.tasks_that(lambda t, queue=queue: t.due and t.queue == queue)
            tasks = [(r, t, self.task(r, t).group) for r, t in due]
            members = sorted(f"{group}/{run}/{task}" for run, task, group in tasks)
            assert self.client.zrange(f"p:due:{queue}", 0, -1) == members
            assert (f"due/{queue}" in flags) is bool(due)
            groups = self.reference.groups.get(queue, {})
            waiting = sorted(groups, key=lambda g, groups=groups: (groups[g], g))
            assert self.client.zrange(f"p:groups:{queue}", 0, -1) == waiting
            unclaimed = self.reference.polls.get(queue, {}).values()
            assert sorted(self.client.hvals(f"p:polls:{queue}")) == sorted(unclaimed)

    def are_near(self, zset: str, time: Callable[[RefTask], int]) -> bool:
        """Whether the times in the set are those of the reference."""
        scores = self.client.zrange(f"p:{zset}", 0, -1, withscores=True)
        times = [time(self.task(*member.split("/"))) for member, _ in scores]
        pairs = zip(scores, times, strict=True)
        return all(abs(score - BEGIN - at * 1_000) < SLACK for (_, score), at in pairs)

    def members(self, zset: str) -> list[tuple[str, str]]:
        return sorted(tuple(m.split("/")) for m in self.client.zrange(f"p:{zset}", 0, -1))


def machine_on(client: Any) -> type[EngineMachine]:
    """The machine on a server of its own, by a client that decodes responses."""

    class Machine(EngineMachine):
        pass

    Machine.client = client
    Machine.engine = Engine(client, "p", "coordinator")
    Machine.heads, Machine.strange = heads(), set()
    # A task takes one unit of slot time, whatever time it is.
    slot_time = "settle(run, queue_of(plan, record), record, age(record))"
    assert slot_time in source()
    code = source().replace(slot_time, "settle(run, queue_of(plan, record), record, 1)")
    with_own_clock(Machine.engine, noting(code))
    return Machine


def has_timer(task: RefTask) -> bool:
    return task.state == "up_for_retry" or (task.state == "deferred" and not task.due)


def is_worn(task: RefTask) -> bool:
    return task.held() or task.waits or task.state == "deferred"


def celery_id(headers: dict[str, Any]) -> str:
    """A message's id; of one that polls without its push."""
    found: str = headers["id"]
    return found.rpartition("/")[0] if found.startswith("*") else found


def lost_task(event: dict[str, str]) -> LostTask:
    """What an event of the history tells of a task's newest try."""
    times = ("ready_at", "queued_at", "started_at", "ended_at")
    return LostTask(
        event["task"],
        event["state"],
        int(event["try"]),
        **{name: seconds(event[name]) for name in times},  # type: ignore[arg-type]
        worker=event["worker"],
        pushes=int(event["pushes"]),
        reason=event["reason"],
        result=event.get("result", ""),
        error=event.get("error", ""),
        skips=event.get("skips", ""),
        expansions=event.get("expansions", ""),
    )
