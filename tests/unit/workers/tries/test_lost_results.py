"""Redis loses what a try needs between its claim and its begin: it waits until that is back."""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.errors import UnknownRun
from tests.support.engine_bench import Bench, task
from tests.unit.workers.support import context
from workers.errors import TryUnknown
from workers.tries import context as contexts
from workers.tries.outcome import failed

SPEC = {
    "dag_id": "d",
    "params": {"args": ["{{ tasks.a.result }}"]},
    "template": {"tasks": ["a"], "params": {}, "logical_date": "2026-01-31"},
}


@pytest.fixture
def bench(monkeypatch):
    bench = Bench(fakeredis.FakeRedis(decode_responses=True))
    bench.slots(1)
    bench.start(task("a"), task("b", "a"))
    bench.end(bench.take(), result="7")
    monkeypatch.setattr(contexts, "engine", lambda: bench.engine)
    return bench


def lose(bench):
    """Everything, as a Redis does that begins anew; what gives it back."""
    keys = {key: bench.client.dump(key) for key in bench.client.scan_iter()}
    bench.client.flushall()
    return lambda: [bench.client.restore(key, 0, value) for key, value in keys.items()]


def test_a_try_waits_for_a_result_that_redis_has_lost(bench, monkeypatch):
    held = bench.take()
    pauses = []
    give_back = lose(bench)
    monkeypatch.setattr(contexts.time, "sleep", lambda _: pauses.append(1) or give_back())
    given = contexts.with_params(held, SPEC, context())
    assert (given.params, pauses) == ({"args": [7]}, [1])


@pytest.mark.parametrize("became", ["lost", "claimed anew", "before the claim"])
def test_a_try_that_nobody_holds_by_what_redis_knows_begins_anew(bench, monkeypatch, became):
    held = bench.pop("python") if became == "before the claim" else bench.take()
    if became == "lost":
        lose(bench)
    elif became == "claimed anew":
        bench.end(held, "dead", error="killed")
        assert bench.take() != held
    monkeypatch.setattr(contexts, "UNKNOWN_FOR", 0.0)
    monkeypatch.setattr(contexts, "PAUSE", 0.0)
    with pytest.raises(TryUnknown, match="Redis has lost what it knew of run r") as raised:
        contexts.with_params(held, SPEC, context())
    assert failed(context(), raised.value).outcome == "dead"


def test_params_that_a_lost_plan_kept_are_not_taken_for_missing(bench):
    lose(bench)
    with pytest.raises(UnknownRun, match="Redis has lost the plan of run r"):
        bench.engine.working.planned_params("r", ["big"])


def test_the_results_of_a_run_that_has_not_succeeded_are_unknown(bench):
    with pytest.raises(UnknownRun):
        bench.engine.working.results_of("r", ["a"])
    bench.end(bench.take(), result="8")
    assert bench.engine.working.results_of("r", ["a", "b"]) == {"a": 7, "b": 8}
