"""A run whose data are damaged fails with the reason, and all the others go on; on fakeredis."""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.errors import EngineError
from pydag_dist.why import why_task
from tests.support.engine_bench import Bench, task


@pytest.fixture
def bench():
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}
    bench = Bench(client)
    bench.slots(1)
    for run in ("bad", "good"):
        bench.start(task("a"), task("b", "a"), run=run)
    return bench


def break_records(bench):
    bench.client.hset("p:run:bad:tasks", mapping={"a": "not a record", "b": "not one"})


def break_key(bench):
    bench.client.delete("p:run:bad:tasks")
    bench.client.set("p:run:bad:tasks", "not a hash")


def lose_plan(bench):
    bench.client.delete("p:run:bad:plan")


@pytest.mark.parametrize("damage", [break_records, break_key, lose_plan])
def test_a_damaged_run_fails_and_the_others_go_on(bench, damage):
    held = {h.run: h for h in (bench.take(), bench.take())}
    damage(bench)

    both = [held["bad"], held["good"]]
    assert bench.engine.working.renew("w", 1, ["python"], both) == ["cancel", "yours"]
    assert bench.engine.working.release(held["bad"], "success") == "broken"
    bench.end(held["good"])
    bench.end(bench.take())

    assert bench.engine.reading.run_state("good") == "success"
    assert bench.engine.reading.run_state("bad") == "failed"
    head = bench.engine.reading.run_head("bad")
    assert head["reason"] == "broken"
    assert "could not go on with this run" in head["error"]
    assert "its run was set aside: the engine could not go on" in why_task(
        bench.engine.reading, "bad", "a"
    )
    if damage is break_records:
        assert (
            bench.engine.reading.snapshot("bad").tasks["a"].error
            == "its record in Redis is damaged"
        )
    assert bench.engine.steering.cancel("bad") == "failed"
    assert bench.engine.working.claim("bad", "b", 1, "1-1", "w", process=1) == "broken"


@pytest.mark.parametrize("damage", [break_records, break_key, lose_plan])
def test_time_goes_on_past_a_damaged_run(bench, damage):
    for _ in range(2):
        bench.take()
    damage(bench)
    for member in bench.client.zrange("p:leases", 0, -1):
        bench.client.zadd("p:leases", {member: 1})
    bench.client.zadd("p:timers", {"retry/bad/a": 1, "poll/bad/b": 1, "timeout/bad": 2})
    bench.client.zadd("p:queued", {"bad/b": 1})
    bench.client.sadd("p:working", "bad")
    bench.tick()
    bench.tick()
    assert bench.engine.reading.run_state("bad") == "failed"
    assert bench.take().run == "good"
    assert not bench.client.exists("p:timers", "p:working")


def test_time_goes_on_past_what_somebody_else_wrote(bench):
    for key in ("leases", "queued", "timers"):
        bench.client.zadd(f"p:{key}", {"nothing": 1, "no/such": 1, "/": 1})
    bench.client.sadd("p:working", "no such", "")
    bench.client.sadd("p:cancels", "no such", "")
    bench.client.sadd("p:queues", "a queue")
    for _ in range(3):
        bench.tick()
    for key in ("leases", "queued", "timers"):
        assert not {"nothing", "no/such", "/"} & {*bench.client.zrange(f"p:{key}", 0, -1)}
    assert bench.take().run in {"bad", "good"}


def test_a_damaged_run_is_planned_anew_when_it_is_resumed(bench):
    held = {h.run: h for h in (bench.take(), bench.take())}
    lose_plan(bench)
    bench.engine.working.release(held["bad"], "success")
    bench.engine.steering.resume("bad")
    bench.plan("bad")
    bench.end(held["good"])
    runs = set()
    for _ in range(3):
        taken = bench.take()
        runs.add(taken.run)
        bench.end(taken)
    assert runs == {"bad", "good"}
    assert {bench.engine.reading.run_state(run) for run in runs} == {"success"}


def test_what_is_no_run_at_all_is_told():
    bench = Bench(fakeredis.FakeRedis(decode_responses=True))
    for run in ('q"uote', "a/b", "Q:tasks"):
        with pytest.raises(EngineError, match="run id"):
            bench.engine.steering.submit(run, "{}", "d")
        with pytest.raises(EngineError):
            bench.engine.reading.snapshot(run)
