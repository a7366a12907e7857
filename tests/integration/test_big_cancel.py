"""Cancelling runs of very many tasks on a real server: in slices, others get through between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from tests.support.engine_bench import QUERY, Bench, task

pytestmark = pytest.mark.big

HALF = 10_000
# Transitions of one script: HSCAN hands out whole buckets, so the last ones of a slice are a few
# more than its limit of 500.
SLICE = 500 + 100


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Bench(client)


@pytest.fixture
def somebody_else(redis_url: str, bench: Bench) -> Iterator[Bench]:
    """Who works on another run, `other`, over a connection of its own."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        other = Bench(client)
        other.slots(1, "bigquery")
        chain = [task(f"c{i}", *([f"c{i - 1}"] if i else []), **QUERY) for i in range(100)]
        other.start(*chain, run="other")
        yield other


def start_big(bench: Bench, half: int) -> None:
    """A task, as many after it, and as many that are ready and wait for a slot."""
    bench.slots(4)
    after = [task(f"after{i}", "first") for i in range(half)]
    ready = [task(f"ready{i}") for i in range(half)]
    bench.start(task("first", priority=1), *after, *ready)


def left(bench: Bench) -> int:
    return int(bench.client.hget("p:run:r", "left"))


def test_a_run_of_20_000_waiting_tasks(bench: Bench, somebody_else: Bench) -> None:
    start_big(bench, HALF)
    first = bench.take()
    before = left(bench)
    _, more = bench.engine.store.call("cancel", "r", "cancel", "")
    slices = [before - left(bench)]
    while more:
        somebody_else.end(somebody_else.take("bigquery"))
        before = left(bench)
        more = bench.engine.store.call("work", "r")
        slices.append(before - left(bench))
    assert max(slices) <= SLICE
    assert sum(slices) == 2 * HALF
    assert somebody_else.engine.reading.snapshot("other").counts["success"] == len(slices) - 1

    assert bench.engine.reading.run_state("r") == "cancelling"
    assert bench.engine.reading.snapshot("r").counts == {"cancelling": 1, "cancelled": 2 * HALF}
    bench.end(first, "stopped")
    assert bench.engine.reading.run_state("r") == "cancelled"
    assert bench.engine.reading.snapshot("r").counts == {"cancelled": 2 * HALF + 1}
    assert not bench.client.exists("p:working", "p:run:r:ready", "p:run:r:active", "p:run:r:work")

    bench.engine.steering.resume("r")
    bench.plan()
    tasks = bench.engine.reading.snapshot("r").tasks
    # What never began is still at its first try.
    assert {name: t.try_number for name, t in tasks.items() if t.try_number > 1} == {"first": 2}
    waiting = Counter("none" if t.state == "none" else "ready" for t in tasks.values())
    assert waiting == {"none": HALF, "ready": HALF + 1}


def test_a_cancel_whose_caller_died_is_finished_by_ticks(bench: Bench) -> None:
    start_big(bench, 4_000)
    _, more = bench.engine.store.call("cancel", "r", "cancel", "")
    assert more == 1
    assert bench.engine.reading.run_state("r") == "cancelling"
    for _ in range(8_001 // 2_000):
        bench.tick()
    assert bench.engine.reading.run_state("r") == "cancelled"
    assert bench.engine.reading.snapshot("r").counts == {"cancelled": 8_001}
    assert not bench.client.exists("p:working", "p:run:r:ready", "p:run:r:active")


def test_a_run_that_is_being_cancelled_gets_no_more_slots(bench: Bench) -> None:
    start_big(bench, 4_000)
    bench.take()
    before = bench.engine.reading.snapshot("r").enqueued
    bench.client.delete("p:q:python")  # room for others
    bench.engine.steering.cancel("r")
    assert bench.engine.reading.snapshot("r").enqueued == before


def test_a_resumed_run_forgets_what_its_tasks_had_yet_to_hear(bench: Bench) -> None:
    """Whoever released the run's last task died before it had told all its downstream tasks."""
    start_big(bench, 4_000)
    first = bench.take()
    bench.engine.steering.cancel("r")
    assert (
        bench.engine.store.call("release", *vars(first).values(), "stopped", "", "", "", "")[1] == 1
    )
    assert bench.engine.reading.run_state("r") == "cancelled"
    bench.engine.steering.resume("r")
    bench.tick()
    bench.plan()
    bench.tick()
    states = Counter(
        "none" if t.state == "none" else "ready"
        for t in bench.engine.reading.snapshot("r").tasks.values()
    )
    assert states == {"none": 4_000, "ready": 4_001}
    assert "upstream_failed" not in bench.engine.reading.snapshot("r").counts
