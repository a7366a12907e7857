"""Each answer of `why` on a real server, in a situation that the engine itself came to."""

from __future__ import annotations

import re

import pytest
import redis

from pydag_dist.why import why_task
from tests.support import wait_until
from tests.support.engine_bench import QUERY, Bench, task


def why(bench: Bench, name: str) -> str:
    """The sentence, with every time of day as 0:00 and every length of time as 0 s."""
    sentence = why_task(bench.engine.reading, "r", name)
    sentence = re.sub(r"\d\d:\d\d:\d\d", "0:00", sentence)
    return re.sub(r"less than 1 ms|[\d.e-]+ m?s\b", "0 s", sentence)


@pytest.fixture
def bench(redis_url: str):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Bench(client)


def test_before_the_run_is_planned(bench: Bench) -> None:
    bench.submit(task("a"))
    assert why(bench, "a").startswith("a waits for a coordinator to plan its run, which was submi")
    bench.engine.planning.plan_begin("r")
    assert why(bench, "a") == "a waits for a coordinator that is planning its run"
    bench.engine.planning.plan_refuse("r", "too big")
    assert why(bench, "a") == "a never ran: its run could not be planned: too big"


def test_a_run_that_is_cancelled_before_it_is_planned(bench: Bench) -> None:
    bench.submit(task("a"))
    bench.engine.steering.cancel("r")
    assert why(bench, "a").startswith("a never ran: its run was cancelled before")


def test_waiting_for_upstream_tasks(bench: Bench) -> None:
    bench.slots(1)
    bench.start(*(task(n) for n in "abcde"), task("z", *"abcde"))
    bench.end(bench.take())
    bench.take()
    assert why(bench, "z") == (
        "z waits for 4 upstream tasks: b (running), c (queued), d (ready) and 1 more"
    )


def test_waiting_for_a_worker(bench: Bench) -> None:
    bench.start(task("a"))
    nobody = "a waits for a worker: none listens to its queue python; start one with"
    assert why(bench, "a").startswith(nobody)
    bench.slots(1)
    assert bench.engine.reading.snapshot("r").tasks["a"].state == "queued"
    bench.slots(0)
    assert bench.engine.reading.snapshot("r").tasks["a"].state == "queued"
    assert why(bench, "a").startswith(nobody)


def test_a_worker_that_did_not_renew_is_none(bench: Bench) -> None:
    bench.start(task("a"))
    bench.client.hset("p:slots:python", "w", "4 1")
    assert why(bench, "a").startswith("a waits for a worker")


def test_waiting_for_the_runs_processors(bench: Bench) -> None:
    bench.slots(4)
    bench.start(*(task(n) for n in "abc"), processors=2)
    bench.take()
    assert why(bench, "c") == ("c is ready and waits for its run's processors: 2 of 2 are active")


def test_waiting_for_a_slot(bench: Bench) -> None:
    bench.slots(1)
    bench.start(task("u"), run="other")
    bench.start(*(task(n) for n in "vw"), run="another")
    bench.start(*(task(n) for n in "abc"), task("q", **QUERY))
    # The window of two messages went to the runs that were there before.
    assert why(bench, "c") == (
        "c is ready and waits for a slot on queue python (1 slot): 2 ready tasks of its run are "
        "ahead of it, and 1 other run shares the queue"
    )
    assert "no ready tasks of its run are ahead" in why(bench, "a")


def test_waiting_for_the_next_slot(bench: Bench) -> None:
    bench.slots(1)
    bench.start(task("a"), task("b"))
    assert why(bench, "b") == (
        "b is queued and waits for the next free slot on queue python (1 slot), where 2 messages "
        "wait, its own among them"
    )
    bench.pop()
    bench.pop()
    assert why(bench, "b").startswith("b is being started: a worker took its message")


def test_running(bench: Bench) -> None:
    bench.slots(1)
    bench.start(task("a", retries=2))
    bench.take()
    assert why(bench, "a") == "a is running on w since 0:00, for 0 s (try 1 of 3)"
    bench.client.zadd("p:leases", {"r/a": 1})
    assert ", but that worker's lease ran out " in why(bench, "a")


def test_waiting_for_a_retry(bench: Bench) -> None:
    bench.slots(1)
    bench.start(task("a", retries=1, retry_delay=50.0))
    bench.end(bench.take(), "failed", error="no such table")
    assert why(bench, "a") == (
        "a waits for try 2, which starts in 0 s, at 0:00: try 1 failed: no such table"
    )


def test_being_cancelled(bench: Bench) -> None:
    bench.slots(1)
    bench.start(task("a"), task("b", "a"))
    held = bench.take()
    bench.engine.steering.cancel("r")
    assert why(bench, "a") == (
        "a is being cancelled with its run: w still holds it and was told to stop"
    )
    assert why(bench, "b") == "b was cancelled before it started: its run was cancelled"
    bench.end(held, "stopped")
    assert why(bench, "a") == "a was cancelled at 0:00 after 0 s on w: its run was cancelled"


def test_a_remote_job_that_is_being_cancelled(bench: Bench) -> None:
    bench.slots(1, "bigquery")
    bench.start(task("a", **QUERY))
    held = bench.take("bigquery")
    bench.engine.steering.cancel("r")
    bench.end(held, "dead")
    waits = "a is being cancelled with its run: it waits for a worker of queue bigquery to end its "
    assert why(bench, "a") == waits + "remote job"
    bench.slots(0, "bigquery")
    assert why(bench, "a").startswith("a is being cancelled with its run, and waits for a worker: ")


def test_timeouts(bench: Bench) -> None:
    bench.slots(2)
    bench.start(task("a", timeout=0.1), task("b"), task("c", "b"), timeout=90.0)
    b, a = bench.take(), bench.take()  # b first: it has more downstream of it
    renew = lambda: bench.engine.working.renew("w", 2, ["python"], [a])  # noqa: E731
    wait_until(lambda: renew() == ["cancel"], "the try is overdue")
    assert why(bench, "a") == (
        "a is being cancelled because it timed out: w still holds it and was told to stop"
    )
    bench.client.zadd("p:timers", {"timeout/r": 1})
    bench.tick()
    bench.end(a, "stopped")
    bench.end(b, "stopped")
    assert why(bench, "a").endswith("on w: timed out after 0 s")
    assert why(bench, "c") == (
        "c was cancelled before it started: its run took longer than its timeout of 1 min 0 s"
    )


def test_ended(bench: Bench) -> None:
    bench.slots(2)
    bench.start(task("a"), task("b"), task("c", "b"), task("d", "c"))
    b, a = bench.take(), bench.take()  # b first: it has more downstream of it
    bench.end(a)
    bench.end(b, "failed", error="no such table\nTraceback: …")
    told = {name: why(bench, name) for name in "abcd"}
    assert {re.sub(" (at|after) 0(:00| s)", "", sentence) for sentence in told.values()} == {
        "a succeeded on w",
        "b failed on w: no such table",
        "c does not run because b failed: no such table",
        "d does not run because b (upstream of c) failed: no such table",
    }


def test_skipped(bench: Bench) -> None:
    bench.slots(2)
    bench.start(
        task("a", operator="branch"),
        task("b", "a"),
        task("c", "b"),
        task("d", "a"),
        task("e", "a", "d", trigger_rule="one_failed"),
    )
    bench.end(bench.take(), skips=["b"])
    bench.end(bench.take())
    assert why(bench, "b") == "b was skipped because the branch a did not choose it"
    assert why(bench, "c") == "c was skipped because the branch a did not choose b upstream of it"
    assert why(bench, "e") == (
        "e was skipped by its trigger rule one_failed: upstream of e are a (success) and d "
        "(success)"
    )


def test_a_long_list_of_those_to_be_told(bench: Bench) -> None:
    """What a script leaves of a cascade that is longer than its budget."""
    bench.slots(1)
    bench.start(task("a"), *(task(f"t{i:04}", "a") for i in range(600)))
    held = bench.take()
    # The release alone, as of a worker that dies before it goes on.
    script = bench.engine.store.call
    assert script("release", *vars(held).values(), "success", "", "", "", "")[1] == 1
    assert why(bench, "t0599").startswith("t0599 is about to be decided: its upstream tasks have")
    # And likewise with a cancel of the run.
    while script("work", "r"):
        pass
    assert script("cancel", "r", "cancel", "")[1] == 1
    left = [n for n, t in bench.engine.reading.snapshot("r").tasks.items() if t.state == "ready"]
    assert why(bench, left[0]) == f"{left[0]} is about to be cancelled with its run"


def test_times_to_wait_for_are_told_by_the_server_s_clock(bench: Bench) -> None:
    bench.slots(2)
    bench.tick()
    bench.start(task("a", retries=1, retry_delay=5_000.0), task("b"))
    bench.end(bench.take(), "failed")
    bench.take()
    before = why_task(bench.engine.reading, "r", "a").partition(", at ")[2]
    bench.client.hincrby("p:clock", "steady", -3_600_000_000)  # an hour in which Redis was away
    bench.client.zincrby("p:timers", -3_600_000_000, "retry/r/a")
    bench.client.zincrby("p:leases", -3_600_000_000, "r/b")
    assert "starts in 1 h 23 min, at " in why_task(bench.engine.reading, "r", "a")
    assert why_task(bench.engine.reading, "r", "a").partition(", at ")[2] == before
    assert "ran out" not in why_task(bench.engine.reading, "r", "b")
