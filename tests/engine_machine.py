"""Drives the engine and its reference model side by side, and compares them after every step."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pydag_dist.engine import Engine, Held, PlannedTask
from pydag_dist.engine.snapshot import parse_record
from tests.reference import ENDED, MAX_DEATHS, MAX_LOSSES, Message, ReferenceEngine

QUEUES = ("bigquery", "python")
TEMPLATE = (
    '{"headers": {"id": "<<id>>", "pydag": {"run": "<<run>>", "task": "<<task>>", '
    '"try": "<<try>>", "push": "<<push>>"}}}'
)

OUTCOMES = st.sampled_from(["success", "success", "success", "failed", "dead"])

# A run that was ended keeps its keys for so long; far above the length of a test.
RETENTION = 3600


@st.composite
def dags(draw: st.DrawFn, max_tasks: int = 12) -> dict[str, tuple[str, ...]]:
    """Task -> its upstream tasks, parents first."""
    count = draw(st.integers(1, max_tasks))
    dag: dict[str, tuple[str, ...]] = {}
    for i in range(count):
        parents = draw(st.sets(st.sampled_from(sorted(dag)), max_size=3)) if dag else set()
        dag[f"t{i:02}"] = tuple(sorted(parents))
    return dag


class EngineMachine(RuleBasedStateMachine):
    """Random interleavings of everything that clients, planners, workers and time do."""

    client: Any  # set by the subclass: a redis client that decodes responses, on an empty server

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.engine = Engine(self.client, "p", "coordinator")
        self.engine.set_templates(dict.fromkeys(QUEUES, TEMPLATE))
        self.reference = ReferenceEngine()
        self.dags: dict[str, dict[str, tuple[str, ...]]] = {}
        self.queue_of: dict[str, dict[str, str]] = {}
        self.planners: dict[str, list[str]] = {}
        self.numbers: dict[str, str] = {}  # Celery id -> the engine's push number
        self.tried: list[Message] = []  # delivered at least once: may be claimed again, released…

    # What clients and planners do

    @initialize(slots=st.integers(1, 3), data=st.data(), dag=dags(), processors=st.integers(0, 3))
    def begin(
        self, slots: int, data: st.DataObject, dag: dict[str, tuple[str, ...]], processors: int
    ) -> None:
        """Two queues with workers, and a first run that is planned well."""
        for queue in QUEUES:
            self.worker_slots(queue, slots)
        self.submit(dag, data, processors, 1)
        self.planners["r0"].append(self.engine.plan_begin("r0") or "")
        self.go_on_planning(data, 3)

    @precondition(lambda self: len(self.dags) < 3)
    @rule(dag=dags(), data=st.data(), processors=st.integers(0, 3), weight=st.sampled_from([1, 2]))
    def submit(
        self, dag: dict[str, tuple[str, ...]], data: st.DataObject, processors: int, weight: int
    ) -> None:
        run = f"r{len(self.dags)}"
        picked = data.draw(
            st.lists(st.sampled_from(QUEUES), min_size=len(dag), max_size=len(dag)), label="queues"
        )
        self.dags[run] = dag
        self.queue_of[run] = dict(zip(dag, picked, strict=True))
        self.planners[run] = []
        for first in (True, False):  # a client that got no answer sends it again
            stored = self.engine.submit(
                run, "{}", "dag", processors=processors, weight=weight, retention=RETENTION
            )
            assert stored is first
        self.reference.submit(run, dag, self.queue_of[run], processors, weight)

    def queued_runs(self) -> list[str]:
        return [r for r, run in self.reference.runs.items() if run.state == "queued"]

    @precondition(lambda self: self.queued_runs())
    @rule(data=st.data())
    def begin_planning(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.queued_runs()), label="run")
        token = self.engine.plan_begin(run)
        assert token is not None
        self.planners[run].append(token)

    @precondition(lambda self: any(self.planners[run] for run in self.queued_runs()))
    @rule(data=st.data(), stop_after=st.integers(1, 3))
    def go_on_planning(self, data: st.DataObject, stop_after: int) -> None:
        """Any planner goes on, the newest or one that was overtaken; it may stall half way."""
        run = data.draw(st.sampled_from([r for r, t in self.planners.items() if t]), label="run")
        token = data.draw(st.sampled_from(self.planners[run]), label="planner")
        newest = token == self.planners[run][-1]
        may = newest and self.reference.runs[run].state == "queued"
        reference = self.reference.runs[run]
        rows = [
            PlannedTask(name, t.queue, t.rank, "all_success", len(t.upstream), t.downstream, "{}")
            for name, t in reference.tasks.items()
        ]
        half = len(rows) // 2
        roots = [name for name, t in reference.tasks.items() if not t.upstream]
        steps = [
            lambda: self.engine.plan_chunk(run, token, rows[:half]),
            lambda: self.engine.plan_chunk(run, token, rows[half:]),
            lambda: self.engine.plan_roots(run, token, roots),
        ]
        for step in steps[:stop_after]:
            assert step() is may
        if stop_after == len(steps):
            queues = reference.queues
            started = self.engine.plan_commit(run, token, len(rows), queues, len(roots))
            assert started is may
            if may:
                self.reference.start(run)

    # What workers do

    @rule(queue=st.sampled_from(QUEUES), slots=st.integers(0, 3))
    def worker_slots(self, queue: str, slots: int) -> None:
        self.engine.renew("worker", slots, [queue])
        self.reference.register(queue, slots)
        if slots == 0:  # it left; without a worker only a tick changes the queue
            self.reference.slots[queue] = 0

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), lost=st.booleans())
    def deliver(self, data: st.DataObject, lost: bool) -> None:
        """A worker pops a message; if it dies at once, nobody ever claims it."""
        queue = data.draw(
            st.sampled_from([q for q, m in self.reference.lists.items() if m]), label="queue"
        )
        message = self.reference.lists[queue].pop(0)
        packed = json.loads(self.client.rpop(f"p:q:{queue}"))["headers"]
        assert packed["id"] == message.celery_id
        self.numbers[str(message.number)] = packed["pydag"]["push"]
        if not lost:
            self.tried.append(message)

    def held(self, message: Message) -> Held:
        return Held(message.run, message.task, 1, self.numbers[str(message.number)])

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, max_size=5))
    def work(self, data: st.DataObject, outcomes: list[Any]) -> None:
        """A healthy worker pops, claims and releases some tasks."""
        for outcome in outcomes:
            if not any(self.reference.lists.values()):
                return
            self.deliver(data, lost=False)
            message = self.tried[-1]
            held = self.held(message)
            answer = self.engine.claim(held.run, held.task, 1, held.token, "worker", process=1)
            assert isinstance(answer, dict) is self.reference.claim(message, 1)
            assert self.engine.release(held, outcome) == self.reference.release(message, outcome)

    @precondition(lambda self: self.tried)
    @rule(data=st.data(), process=st.integers(1, 2))
    def claim(self, data: st.DataObject, process: int) -> None:
        """The first claim of a message, or the same process's again, or a duplicate delivery."""
        message = data.draw(st.sampled_from(self.current() + self.tried), label="message")
        held = self.held(message)
        answer = self.engine.claim(held.run, held.task, 1, held.token, "worker", process=process)
        assert isinstance(answer, dict) is self.reference.claim(message, process)

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
        message = data.draw(st.sampled_from(messages), label="message")
        expected = self.reference.release(message, outcome)
        assert self.engine.release(self.held(message), outcome) == expected

    @precondition(lambda self: self.tried)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.tried), label="message")
        expected = self.reference.renew(message)
        assert self.engine.renew("worker", 0, [], [self.held(message)]) == [expected]

    # What time does

    @precondition(lambda self: self.in_state("running") or self.in_state("queued"))
    @rule(data=st.data())
    def tick(self, data: st.DataObject) -> None:
        """Time passes for some leases and messages, whatever happened to them."""
        running = self.in_state("running")
        queued = self.in_state("queued")
        expired = data.draw(st.permutations(running), label="expired")[: len(running) // 2 + 1]
        overdue = data.draw(st.permutations(queued), label="overdue")
        for at, (run, task) in enumerate(expired):
            self.client.zadd("p:leases", {f"{run}/{task}": at})
        for at, (run, task) in enumerate(overdue):
            self.client.zadd("p:queued", {f"{run}/{task}": at})
        self.client.hdel("p:clock", "ticked")
        assert self.engine.tick()
        self.reference.tick(expired, overdue)

    @precondition(lambda self: self.in_state("queued") or self.in_state("running"))
    @rule(data=st.data())
    def wear_out(self, data: st.DataObject) -> None:
        """A try that has died and lost its lease as often as it may: the next time it is poison."""
        worn = self.in_state("queued") + self.in_state("running")
        run, name = data.draw(st.sampled_from(worn), label="task")
        task = self.reference.runs[run].tasks[name]
        task.deaths, task.losses = MAX_DEATHS - 1, MAX_LOSSES - 1
        record = parse_record(self.client.hget(f"p:run:{run}:tasks", name))
        record |= {"deaths": str(task.deaths), "losses": str(task.losses)}
        self.client.hset(f"p:run:{run}:tasks", name, "|".join(record.values()) + "|")

    def in_state(self, state: str) -> list[tuple[str, str]]:
        return sorted(
            (r, t)
            for r, run in self.reference.runs.items()
            for t, task in run.tasks.items()
            if task.state == state
        )

    # The comparison

    @invariant()
    def same_tasks(self) -> None:
        for run_id, run in self.reference.runs.items():
            assert self.engine.run_state(run_id) == run.state
            if run.state == "queued":
                continue
            records = self.client.hgetall(f"p:run:{run_id}:tasks")
            assert set(records) == set(run.tasks)
            for name, task in run.tasks.items():
                record = parse_record(records[name])
                seen = (record["state"], record["pushes"], record["deaths"], record["losses"])
                wanted = (task.state, str(task.pushes), str(task.deaths), str(task.losses))
                assert seen == wanted, (run_id, name)

    @invariant()
    def same_queues(self) -> None:
        for queue in QUEUES:
            packed = [
                json.loads(m)["headers"]["id"] for m in self.client.lrange(f"p:q:{queue}", 0, -1)
            ]
            assert packed[::-1] == [m.celery_id for m in self.reference.lists.get(queue, [])]

    @invariant()
    def keys_hold_what_the_table_says(self) -> None:
        for run_id, run in self.reference.runs.items():
            assert self.client.smembers(f"p:run:{run_id}:active") == run.active()
            ready = [
                f"{task.queue}/{task.rank:06}/{name}"
                for name, task in run.tasks.items()
                if task.state == "ready"
            ]
            assert self.client.zrange(f"p:run:{run_id}:ready", 0, -1) == sorted(ready)
            assert not self.client.exists(f"p:run:{run_id}:work")
            if run.state != "queued":
                left = sum(task.state not in ENDED for task in run.tasks.values())
                assert self.client.hget(f"p:run:{run_id}", "left") == str(left)
        for queue in QUEUES:
            fair = self.client.zrange(f"p:fair:{queue}", 0, -1)
            assert [member.split("/", 1)[1] for member in fair] == self.reference.fair(queue)
        assert self.members("queued") == self.in_state("queued")
        assert self.members("leases") == self.in_state("running")
        assert not self.client.exists("p:working")

    def members(self, zset: str) -> list[tuple[str, str]]:
        return sorted(tuple(m.split("/")) for m in self.client.zrange(f"p:{zset}", 0, -1))
