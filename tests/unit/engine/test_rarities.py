"""What random histories of the reference model meet too seldom; on fakeredis."""

from __future__ import annotations

import json

import pytest

from pydag_dist.engine import Deferral
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.errors import LeaseMismatch
from pydag_dist.testing.reference import MAX_DEATHS, MAX_LOSSES
from tests.support.engine_bench import QUERY, task


def task_of(bench):
    return bench.engine.reading.snapshot("r").tasks["a"]


JOB = Deferral("bigquery.query:x", 5, json.dumps({"job": "j"}))


def edit(bench, **fields):
    record = unpack_record(bench.client.hget("p:run:r:tasks", "a")) | fields
    bench.client.hset("p:run:r:tasks", "a", "|".join(record.values()) + "|")


def deferred(bench):
    """A task that waits for its remote job."""
    bench.slots(1, "bigquery")
    bench.start(task("a") | QUERY)
    held = bench.take("bigquery")
    assert bench.engine.working.defer(held, JOB) == "ok"
    return held


def test_the_last_death_of_a_marked_task_ends_it_as_it_was_marked(bench):
    bench.slots(1)
    bench.start(task("a"))
    for _ in range(MAX_DEATHS - 1):
        bench.end(bench.take(), "dead")
    held = bench.take()
    bench.engine.steering.mark("r", "a", "success", "ana@host")
    bench.end(held, "dead")
    assert task_of(bench).state == "success"


def test_a_poisoned_task_tells_how_each_of_its_processes_died(bench):
    bench.slots(1)
    bench.start(task("a"))
    hows = [f"death {number}" for number in range(MAX_DEATHS)]
    for how in hows:
        bench.end(bench.take(), "dead", error=how)
    assert "; ".join(hows) in task_of(bench).error


def test_lost_leases_are_counted(bench):
    bench.slots(1)
    bench.start(task("a"))
    bench.take()
    bench.client.zadd("p:leases", {"r/a": 0})
    bench.tick()
    assert bench.client.hget("p:clock", "lost_leases") == "1"


def test_the_last_poll_that_was_never_reported_is_poison(bench):
    deferred(bench)
    edit(bench, token="polled", losses=str(MAX_LOSSES - 1))
    bench.client.zadd("p:timers", {"poll/r/a": 0})
    bench.tick()
    assert task_of(bench).state == "failed"
    assert task_of(bench).error.startswith("poison: the lease of this task was lost")


def test_who_has_deferred_a_try_is_told_that_it_is_over_there(bench):
    held = deferred(bench)
    assert bench.engine.working.renew("w", 1, ["bigquery"], [held]) == ["ended"]


def test_a_worker_that_leaves_takes_its_own_list_along(bench):
    bench.slots(1)
    bench.client.lpush("p:q:@w", "{}")
    bench.slots(0)
    assert not bench.client.exists("p:q:@w")


def test_a_second_tick_at_once_does_nothing(bench):
    assert bench.engine.tick()
    assert not bench.engine.tick()


def test_an_ended_run_has_no_timeout(bench):
    bench.slots(1)
    bench.start(task("a"), timeout=100)
    assert bench.client.zrange("p:timers", 0, -1) == ["timeout/r"]
    bench.end(bench.take())
    assert not bench.client.exists("p:timers")


def test_a_coordinator_of_a_worker_s_name_is_in_its_company(bench):
    register = bench.engine.membership.register
    assert register("workers", "one", "id1", "{}") is None
    with pytest.raises(LeaseMismatch):
        register("coordinators", "one", "id2", "{}", lease=6)


def test_a_worker_that_was_started_anew_is_asked_again(bench):
    membership, working = bench.engine.membership, bench.engine.working
    membership.register("workers", "w", "id1", "{}")
    bench.slots(1)
    bench.start(task("a"))
    assert working.refuse([bench.take()], "w", "module:m", "no module m") == ["ok"]
    bench.tick()
    assert not bench.client.exists("p:q:@w")
    membership.register("workers", "w", "id2", "{}", force=True)
    bench.tick()
    assert bench.client.llen("p:q:@w") == 1


def test_a_try_that_is_given_back_costs_its_run_nothing(bench):
    """It is pushed again at once, and charged in advance again."""
    bench.client.hset("p:windows", "mean/python", 5_000_000)
    bench.slots(1)
    bench.start(task("a"))
    for _ in range(2):
        assert bench.client.hget("p:run:r", "share/python").split()[0] == "5000000"
        assert bench.engine.working.refuse([bench.take()], "w", "", "this process is full") == [
            "ok"
        ]


def test_a_copy_of_a_poll_s_message_gets_nothing(bench):
    bench.slots(2, "bigquery")
    bench.start(task("a") | QUERY, task("b") | QUERY)
    held = [bench.take("bigquery"), bench.take("bigquery")]
    assert [bench.engine.working.defer(each, JOB) for each in held] == ["ok", "ok"]
    bench.client.zadd("p:timers", {"poll/r/a": 0})
    bench.tick()
    (push,) = bench.client.hkeys("p:polls:bigquery")
    claim = ("bigquery", "bigquery.query:x", push, "w")
    (due,) = bench.engine.working.claim_polls(*claim)
    assert due.held.task == "a"
    bench.client.zadd("p:timers", {"poll/r/b": 0})
    bench.tick()
    assert bench.engine.working.claim_polls(*claim) == []
