"""A fan-out and a fan-in of 8,000 tasks through the engine alone, on a real server.

More than 500 transitions are no longer one script: who began goes on, else ticks do, by 2,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.dag import Dag
from pydag_dist.engine import CHUNK, Held
from tests.support.engine_bench import Bench as ByHand
from tests.support.engine_bench import task

pytestmark = pytest.mark.big

BIG = 8_000
ENOUGH = 1_200  # for more than two scripts
AT_ONCE, SLICE = 500, 2_000  # of who began, and of a tick
SLOTS = 200
RUN = "r"


class Bench(ByHand):
    """One big run."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.slots(SLOTS)

    def tick(self) -> None:
        """A tick while the worker lives: its slots would be gone after 15 s."""
        self.slots(SLOTS)
        super().tick()

    def release_and_die(self, held: Held, outcome: str) -> None:
        """The first script of a release, after which its caller is gone."""
        answer = self.engine.store.call("release", *vars(held).values(), outcome, "", "", "", "")
        assert answer == ["ok", 1]

    def plan_and_die(self) -> None:
        """Everything up to the first script of the commit, after which the planner is gone."""
        made = plan_of(Dag.parse(self.engine.reading.submitted_dag(RUN)))
        token = self.engine.planning.plan_begin(RUN)
        assert token is not None
        for at in range(0, len(made.rows), CHUNK):
            assert self.engine.planning.plan_chunk(RUN, token, made.rows[at : at + CHUNK])
        assert self.engine.planning.plan_first(RUN, token, made.first)
        chunks = -(-len(made.first) // CHUNK)
        answer = self.engine.store.call(
            "plan_commit", RUN, token, len(made.rows), 0, 0, "python", chunks
        )
        assert answer == ["ok", 1]

    def counts(self) -> dict[str, int]:
        return self.engine.reading.snapshot(RUN).counts

    def assert_at_rest(self) -> None:
        """Nothing of a cascade is left, and the keys say what the records say."""
        assert not self.client.exists("p:working", f"p:run:{RUN}:work")
        counts = self.counts()
        ended = sum(counts.get(state, 0) for state in ("success", "failed", "upstream_failed"))
        assert int(self.client.hget(f"p:run:{RUN}", "left")) == sum(counts.values()) - ended
        assert self.client.zcard(f"p:run:{RUN}:ready") == counts.get("ready", 0)
        active = counts.get("queued", 0) + counts.get("running", 0)
        assert self.client.scard(f"p:run:{RUN}:active") == active


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Bench(client)


def fan(after: str | None = None, size: int = BIG) -> list[dict[str, Any]]:
    return [task(f"t{i}", *([after] if after else [])) for i in range(size)]


def diamond(size: int = BIG) -> list[dict[str, Any]]:
    tasks = fan("root", size)
    return [task("root"), *tasks, task("join", *(t["task_id"] for t in tasks))]


def test_every_task_of_a_big_diamond_runs_once(bench: Bench) -> None:
    bench.start(*diamond(ENOUGH))
    ran = []
    while bench.engine.reading.run_state(RUN) == "running":
        held = bench.take()
        ran.append(held.task)
        assert bench.engine.working.release(held, "success") == "ok"
    assert bench.engine.reading.run_state(RUN) == "success"
    assert (ran[0], ran[-1]) == ("root", "join")
    assert len(ran) == len(set(ran)) == ENOUGH + 2
    bench.assert_at_rest()


def test_a_fan_out_whose_caller_died_is_finished_by_ticks(bench: Bench) -> None:
    bench.start(*diamond())
    bench.release_and_die(bench.take(), "success")
    counts = bench.counts()
    assert 0 < counts["ready"] + counts["queued"] < AT_ONCE + CHUNK
    assert bench.client.smembers("p:working") == {RUN}
    for _ in range(BIG // SLICE):
        bench.tick()
    bench.assert_at_rest()
    assert bench.counts() == {
        "success": 1,
        "queued": 2 * SLOTS,
        "ready": BIG - 2 * SLOTS,
        "none": 1,
    }


def test_the_failure_of_a_big_fan_out_s_root_ends_the_run_after_its_caller_died(
    bench: Bench,
) -> None:
    bench.start(*diamond())
    bench.release_and_die(bench.take(), "failed")
    assert bench.engine.reading.run_state(RUN) == "running"
    for _ in range(2 * BIG // SLICE + 1):  # the join hears of every one of its upstream tasks
        bench.tick()
    assert bench.engine.reading.run_state(RUN) == "failed"
    assert bench.counts() == {"failed": 1, "upstream_failed": BIG + 1}
    bench.assert_at_rest()


def test_two_who_go_on_with_the_same_cascade_tell_each_task_once(bench: Bench) -> None:
    bench.start(*diamond())
    bench.release_and_die(bench.take(), "failed")
    while bench.engine.store.call("work", RUN):
        bench.tick()
    assert bench.counts() == {"failed": 1, "upstream_failed": BIG + 1}
    bench.assert_at_rest()


def test_a_run_whose_coordinator_died_in_its_start_is_started_by_ticks(bench: Bench) -> None:
    bench.submit(*fan())
    bench.plan_and_die()
    assert bench.counts()["none"] >= BIG - AT_ONCE - CHUNK
    for _ in range(BIG // SLICE):
        bench.tick()
    assert bench.counts() == {"queued": 2 * SLOTS, "ready": BIG - 2 * SLOTS}
    bench.assert_at_rest()


def test_tasks_run_while_a_cascade_goes_on(bench: Bench) -> None:
    """Those that are ready already need not wait for the rest, and may even fail meanwhile."""
    bench.start(*diamond())
    bench.release_and_die(bench.take(), "success")
    assert bench.engine.working.release(bench.take(), "failed") == "ok"
    assert bench.engine.working.release(bench.take(), "success") == "ok"
    for _ in range(BIG // SLICE + 1):
        bench.tick()
    bench.assert_at_rest()
    counts = bench.counts()
    assert (counts["success"], counts["failed"], counts["upstream_failed"]) == (2, 1, 1)
