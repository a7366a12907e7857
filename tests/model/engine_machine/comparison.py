"""The engine and its reference model side by side, and what must be the same after each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from pydag_dist.dag import Dag
from pydag_dist.engine import Engine
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.testing.reference import ENDED, Message, ReferenceEngine, RefTask
from tests.model.engine_machine.dags import QUEUES
from tests.model.engine_machine.keys import Keys
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
        self.handed: set[Message] = set()  # of these, what processes were handed without a message
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
    def same(self) -> None:
        """All that both have is the same."""
        seen = Keys(self.client, "p")
        self.same_tasks(seen)
        self.same_runs(seen)
        self.same_queues(seen)
        self.keys_hold_what_the_table_says(seen)
        self.only_queues_in_use_are_known(seen)
        self.polls_are_what_is_due(seen)

    def same_tasks(self, seen: Keys) -> None:
        for run_id, run in self.reference.runs.items():
            assert seen.hash(f"run:{run_id}").get("state") == run.state
            if run.state == "queued" or not run.planned:
                continue
            records = seen.hash(f"run:{run_id}:tasks")
            assert set(records) == set(run.tasks)
            for name, task in run.tasks.items():
                record = unpack_record(records[name])
                told = [record[f] for f in ("state", "try", "last_try", "pushes", "reason")]
                wanted = [task.state, task.try_number, task.last_try, task.pushes, task.reason]
                assert told == [str(value) for value in wanted], (run_id, name)
                counted = (record["deaths"], record["losses"], record["needs"])
                needs = "+".join(sorted(task.needs))
                assert counted == (str(task.deaths), str(task.losses), needs), (run_id, name)

    def same_runs(self, seen: Keys) -> None:
        assert sorted(seen.zset("runs")) == sorted(self.dags)
        assert list(seen.zset("names")) == sorted(self.dags)
        assert int(seen.hash("clock").get("lost_leases", 0)) == self.reference.lost_leases
        late = {run: (at - BEGIN) / 1_000 for run, at in seen.zset("late").items()}
        assert late == {
            run: pytest.approx(at, abs=SLACK / 1_000) for run, at in self.reference.late.items()
        }
        for run_id, run in self.reference.runs.items():
            assert int(seen.hash(f"run:{run_id}").get("rounds", 1)) == run.rounds
            assert int(seen.hash(f"run:{run_id}").get("late_tries", 0)) == run.late_tries

    def same_queues(self, seen: Keys) -> None:
        for queue in (*QUEUES, *(f"@{worker}" for worker in WORKERS)):
            listed = seen.list(f"q:{queue}")
            packed = [celery_id(json.loads(message)["headers"]) for message in listed]
            wanted = [m.celery_id for m in self.reference.lists.get(queue, [])]
            assert packed[::-1] == wanted

    def keys_hold_what_the_table_says(self, seen: Keys) -> None:
        for run_id, run in self.reference.runs.items():
            if run.state == "queued" or not run.planned:
                continue
            assert seen.set(f"run:{run_id}:active") == run.active()
            ready = [
                f"{task.waits_in}/{task.rank:06}{'s' if task.long else ''}/{name}"
                for name, task in run.tasks.items()
                if task.state == "ready"
            ]
            assert list(seen.zset(f"run:{run_id}:ready")) == sorted(ready)
            assert f"run:{run_id}:work" not in seen
            assert f"run:{run_id}:kept" not in seen
            assert "scan" not in seen.hash(f"run:{run_id}")
            left = sum(task.state not in ENDED for task in run.tasks.values())
            assert seen.hash(f"run:{run_id}")["left"] == str(left)
        others = {q for run in self.reference.runs.values() for q in run.queues} - {*QUEUES}
        assert others >= seen.set("queues") - {*QUEUES}
        for queue in (*QUEUES, *others):
            fair = seen.zset(f"fair:{queue}")
            assert [member.split("/", 1)[1] for member in fair] == self.reference.fair(queue)
        assert members(seen.zset("queued")) == self.tasks_that(lambda t: t.waits)
        assert members(seen.zset("leases")) == self.tasks_that(RefTask.held)
        assert self.are_near(seen.zset("leases"), lambda task: task.lease_until[0])
        assert self.are_near(seen.zset("queued"), lambda task: task.waits_since[0])
        holds = {
            f"{worker}/{process}": " ".join([self.numbers[after], *map("/".join, hand)])
            for (worker, process), (after, hand) in self.reference.holds.items()
        }
        assert seen.hash("holds") == holds
        timers = [self.timer(*of) for of in self.tasks_that(has_timer)]
        assert sorted(seen.zset("timers")) == sorted(timers)
        assert "working" not in seen

    def only_queues_in_use_are_known(self, seen: Keys) -> None:
        known = self.reference.known_queues
        assert {q for q in seen.set("queues") if "!" not in q} == known
        runs = [r for r in self.reference.runs.values() if r.state in ("running", "cancelling")]
        for queue in QUEUES:
            counted = int(seen.hash("windows").get(f"runs/{queue}") or 0)
            assert counted == sum(queue in run.queues for run in runs)

    def polls_are_what_is_due(self, seen: Keys) -> None:
        flags = seen.hash("windows")
        for queue in QUEUES:
            due = self.tasks_that(lambda t, queue=queue: t.due and t.queue == queue)
            tasks = [(r, t, self.task(r, t).group) for r, t in due]
            wanted = sorted(f"{group}/{run}/{task}" for run, task, group in tasks)
            assert list(seen.zset(f"due:{queue}")) == wanted
            assert (f"due/{queue}" in flags) is bool(due)
            groups = self.reference.groups.get(queue, {})
            waiting = sorted(groups, key=lambda g, groups=groups: (groups[g], g))
            assert list(seen.zset(f"groups:{queue}")) == waiting
            unclaimed = self.reference.polls.get(queue, {}).values()
            assert sorted(seen.hash(f"polls:{queue}").values()) == sorted(unclaimed)

    def are_near(self, scores: dict[str, float], time: Callable[[RefTask], int]) -> bool:
        """Whether the times in the set are those of the reference."""
        times = ((score, time(self.task(*name.split("/")))) for name, score in scores.items())
        return all(abs(score - BEGIN - at * 1_000) < SLACK for score, at in times)


def members(zset: dict[str, float]) -> list[tuple[str, ...]]:
    return sorted(tuple(member.split("/")) for member in zset)


def has_timer(task: RefTask) -> bool:
    return task.state == "up_for_retry" or (task.state == "deferred" and not task.due)


def celery_id(headers: dict[str, Any]) -> str:
    """A message's id; of one that polls without its push."""
    found: str = headers["id"]
    return found.rpartition("/")[0] if found.startswith("*") else found
