"""The engine and its reference model side by side, and what must be the same after each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from pydag_dist.dag import Dag
from pydag_dist.engine import Engine
from pydag_dist.engine.protocol import unpack_record
from tests.model.engine_machine.dags import QUEUES
from tests.model.reference import ENDED, Message, ReferenceEngine, RefTask
from tests.support.heads import Head
from tests.support.written import table_name, written

TEMPLATE = (
    '{"headers": {"id": "<<id>>", "pydag": {"run": "<<run>>", "task": "<<task>>", '
    '"try": "<<try>>", "push": "<<push>>"}}}'
)

WORKERS = ("worker", "other")
BEGIN = 1_800_000_000_000_000  # µs
SLACK = 100_000  # µs: each call of the engine takes one


class Comparison(RuleBasedStateMachine):
    """Both engines, and the invariants."""

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
        self.durations: dict[str, dict[str, float]] = {}  # run -> what its tasks took before
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

    def runs_that_are(self, *states: str) -> list[str]:
        return [r for r, run in self.reference.runs.items() if run.state in states]

    def tasks_that(self, do: Callable[[RefTask], bool]) -> list[tuple[str, str]]:
        return sorted(
            (r, t)
            for r, run in self.reference.runs.items()
            if run.state in ("running", "cancelling")
            for t, task in run.tasks.items()
            if do(task)
        )

    def task(self, run: str, task: str) -> RefTask:
        return self.reference.runs[run].tasks[task]

    def edit_record(self, run: str, task: str, **fields: str) -> None:
        record = unpack_record(self.client.hget(f"p:run:{run}:tasks", task)) | fields
        self.client.hset(f"p:run:{run}:tasks", task, "|".join(record.values()) + "|")

    def timer(self, run: str, task: str) -> str:
        kind = "retry" if self.task(run, task).state == "up_for_retry" else "poll"
        return f"{kind}/{run}/{task}"

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
                f"{task.waits_in}/{task.rank:06}{'s' if task.long else ''}/{name}"
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
        holds = {
            f"{worker}/{process}": f"{self.numbers[after]} {run}/{task}"
            for (worker, process), (after, run, task) in self.reference.holds.items()
        }
        assert self.client.hgetall("p:holds") == holds
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


def has_timer(task: RefTask) -> bool:
    return task.state == "up_for_retry" or (task.state == "deferred" and not task.due)


def celery_id(headers: dict[str, Any]) -> str:
    """A message's id; of one that polls without its push."""
    found: str = headers["id"]
    return found.rpartition("/")[0] if found.startswith("*") else found
