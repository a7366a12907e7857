"""Expanded tasks, driven by hand on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from pydag_dist.coordinator.planner import plan
from pydag_dist.dag import Dag
from tests.engine_bench import Bench, task

MANY = 1_200  # more than two slices
OVER = {"expand": {"over": "tasks.list.result"}}


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        bench = Bench(client)
        bench.slots(2)
        yield bench


def states(bench: Bench) -> dict[str, str]:
    return {name: task.state for name, task in bench.engine.snapshot("r").tasks.items()}


def list_of(bench: Bench, number: int) -> None:
    held = bench.take()
    assert held.task == "list"
    bench.end(held, result="[]", expand={"each": number})


def test_a_long_list_becomes_as_many_tasks_whose_results_are_a_list(bench: Bench) -> None:
    bench.start(task("list"), task("each", "list", **OVER), task("join", "each"))
    list_of(bench, MANY)
    assert bench.engine.snapshot("r").counts["ready"] == MANY - 4
    for _ in range(MANY):
        held = bench.take()
        bench.end(held, result=held.task.rpartition(".")[2])
    assert states(bench)["each"] == "success"
    assert bench.engine.results("r", ["each", "list"]) == {"each": list(range(MANY)), "list": []}
    assert bench.engine.snapshot("r").tasks["each"].result == list(range(MANY))
    bench.end(bench.take())
    assert bench.engine.run_state("r") == "success"
    assert bench.client.hget("p:run:r", "total") == str(MANY + 3)


def test_an_expansion_whose_caller_died_is_finished_by_ticks(bench: Bench) -> None:
    bench.start(task("list"), task("each", "list", **OVER))
    held = bench.take()
    number = 5_000
    answer = bench.engine._call(
        "release", *vars(held).values(), "success", "[]", "", "", f"each {number}"
    )
    assert answer == ["ok", 1]
    while bench.client.smembers("p:working"):
        bench.slots(2)
        bench.tick()
    assert len(states(bench)) == number + 2


def test_an_empty_list_skips(bench: Bench) -> None:
    bench.start(task("list"), task("each", "list", **OVER), task("join", "each"))
    list_of(bench, 0)
    assert states(bench) == {"list": "success", "each": "skipped", "join": "skipped"}


def test_a_resumed_run_repeats_the_children_that_failed(bench: Bench) -> None:
    bench.start(task("list"), task("each", "list", **OVER), task("join", "each"))
    list_of(bench, 3)
    for _ in range(3):
        held = bench.take()
        bench.end(held, "failed" if held.task == "each.1" else "success", result="1")
    assert states(bench)["each"] == "failed"
    bench.engine.resume("r")
    plan(bench.engine, "r", Dag.parse(bench.engine.submitted_dag("r")))
    held = bench.take()
    assert (held.task, held.try_number) == ("each.1", 2)
    bench.end(held, result="2")
    bench.end(bench.take())
    assert bench.engine.run_state("r") == "success"
    assert bench.engine.results("r", ["each"]) == {"each": [1, 2, 1]}


def test_a_shorter_list_skips_the_rest_of_the_longer_one(bench: Bench) -> None:
    bench.start(task("list"), task("each", "list", **OVER))
    list_of(bench, 2)
    bench.end(bench.take())
    bench.end(bench.take())
    bench.engine.resume("r", "list")
    bench.plan()
    list_of(bench, 1)
    held = bench.take()
    assert (held.task, held.try_number) == ("each.0", 2)
    bench.end(held)
    assert states(bench) == {
        "list": "success",
        "each": "success",
        "each.0": "success",
        "each.1": "skipped",
    }
    assert bench.engine.run_state("r") == "success"
