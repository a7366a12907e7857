"""A run's expanded tasks become a limited number of tasks together; on fakeredis."""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.dag import limits
from tests.support.engine_bench import Bench, task


def expanded(name: str, over: str) -> dict:
    return task(name, over, expand={"over": f"tasks.{over}.result"})


@pytest.fixture
def bench():
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}
    bench = Bench(client)
    bench.slots(1)
    bench.start(
        task("first"), task("second", "first"), expanded("x", "first"), expanded("y", "second")
    )
    return bench


def children(bench) -> int:
    return int(bench.client.hget("p:run:r:out", "children") or 0)


def work_off(bench) -> None:
    while bench.engine.reading.run_state("r") == "running":
        held = bench.take()
        bench.end(held, **({"expand": {"y": 2}} if held.task == "second" else {}))


def test_the_children_of_a_run_are_counted_as_its_lists_come_and_go(bench):
    bench.end(bench.take(), expand={"x": 3})
    assert children(bench) == 3
    work_off(bench)
    assert children(bench) == 5
    bench.engine.steering.resume("r", "second")
    bench.plan()
    assert children(bench) == 3
    work_off(bench)
    assert (children(bench), bench.engine.reading.run_state("r")) == (5, "success")


def test_a_list_that_would_make_too_many_fails_its_task_and_says_why(bench):
    bench.end(bench.take(), expand={"x": 3})
    bench.client.hset("p:run:r:out", "children", limits.RUN_CHILDREN - 1)  # of other lists
    held = bench.take()
    while held.task != "second":
        bench.end(held)
        held = bench.take()
    bench.end(held, result="[1, 2]", expand={"y": 2})
    found = bench.engine.reading.snapshot("r").tasks
    assert (found["second"].state, found["second"].result) == ("failed", None)
    assert "would become 100001, and at most 100000 are made" in found["second"].error
    assert found["y"].state == "upstream_failed"
    assert children(bench) == limits.RUN_CHILDREN - 1
    work_off(bench)
    assert bench.engine.reading.run_state("r") == "failed"
