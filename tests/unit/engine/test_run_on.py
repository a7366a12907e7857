"""A process that releases a try goes on with another one; on an in-memory Redis.

Random histories (tests/model) have more; here stands what they can't show.
"""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.engine import Deferral, End, Held, Next
from tests.support.cluster import dag
from tests.support.engine_bench import QUERY, Bench, task, with_own_clock

WAITS = Deferral("acme.x:GCP", 5, '{"job": "j"}')


def new_bench():
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    made = Bench(client)
    client.set("p:now", 1_800_000_000_000_000)
    with_own_clock(made.engine)  # however long the calls take: a slow host is none of the tasks'
    made.slots(1)
    return made


@pytest.fixture
def bench():
    return new_bench()


def go_on(bench: Bench, *ended: Held, process=1) -> tuple[list[str], list[Next]]:
    """A process tells that these have succeeded, and goes on."""
    ends = [End(held, "success") for held in ended]
    return bench.engine.working.run_on(ends, queue="python", worker="w", process=process)


def run_on(
    bench: Bench, held: Held, outcome="success", *, queue="python", worker="w", process=1, **what
) -> Next | None:
    """What it goes on with first."""
    answers, handed = bench.engine.working.run_on(
        [End(held, outcome, **what)], queue=queue, worker=worker, process=process
    )
    assert answers == ["ok"]
    return handed[0] if handed else None


def state(bench, name, run="r"):
    return bench.engine.reading.snapshot(run).tasks[name].state


def renew(bench, *held, **what):
    return bench.engine.working.renew("w", 1, ["python"], held, looked_ago=0, **what)


def lapse(bench):
    """Every lease is as old as it may be."""
    for member in bench.client.zrange("p:leases", 0, -1):
        bench.client.zadd("p:leases", {member: 1})


def test_it_goes_on_with_what_it_has_just_released(bench):
    bench.start(task("a"), task("b", "a"))
    following = run_on(bench, bench.take())
    assert following is not None
    assert (following.held.task, following.celery_id, following.dag_id) == ("b", "r/b/1", "test")
    assert (following.claim.order, following.claim.spec["operator"]) == ("run", "python.call")
    assert bench.client.llen("p:q:python") == 0
    assert state(bench, "b") == "running"
    assert run_on(bench, following.held) is None
    assert bench.engine.reading.run_state("r") == "success"
    assert not bench.client.exists("p:holds", "p:leases")


def test_an_answer_that_got_lost_is_the_same_again(bench):
    bench.start(*(task(f"t{i}") for i in range(5)))
    held = bench.take()
    following = run_on(bench, held)
    assert following is not None
    assert run_on(bench, held) == following
    running = [name for name, pushed in bench.client.hgetall("p:holds").items()]
    assert running == ["w/1"]
    # Another process gets nothing for it.
    assert go_on(bench, held, process=2) == (["ended"], [])
    # Nor does the same one, once it has ended what it got.
    bench.engine.working.hand_in([End(following.held, "success")], "w", process=1)
    assert go_on(bench, held) == (["ended"], [])


@pytest.mark.parametrize("weight", [0.1, 1, 20])
def test_it_takes_what_a_top_up_would_take(weight):
    benches = new_bench(), new_bench()
    held = []
    for each in benches:
        each.client.hset("p:windows", "mean/python", 50_000)  # µs
        each.start(*(task(f"t{i}") for i in range(5)), task("high", priority=5))
        held.append(each.take())
        more = [task(f"p{i}", priority=i) for i in range(5)]
        each.start(*more, run="other", weight=weight)
        each.pop()  # so that there is room for one message
    following = run_on(benches[0], held[0])
    benches[1].end(held[1])
    pushed = [benches[1].pop() for _ in range(2)][-1]
    assert following is not None
    assert (following.held.run, following.held.task) == (pushed.run, pushed.task)


def test_a_process_that_goes_on_keeps_to_priorities(bench):
    bench.start(task("first"), *(task(f"t{i}", "first", priority=i % 3) for i in range(9)))
    held, order = bench.take(), []
    while following := run_on(bench, held):
        held = following.held
        order.append(int(held.task[1:]) % 3)
    queued = [int(bench.pop().task[1:]) % 3 for _ in range(bench.client.llen("p:q:python"))]
    assert order[0] == 2
    assert len(order) + len(queued) == 9
    assert order == sorted(order, reverse=True)


def test_it_goes_on_after_a_try_that_waits_for_its_remote_job(bench):
    bench.start(*map(task, "abcdef"))
    following = run_on(bench, bench.take(), "deferred", deferral=WAITS)
    assert following is not None
    assert following.held.task == "c"
    assert [state(bench, name) for name in "abc"] == ["deferred", "queued", "running"]


def test_it_is_handed_the_same_when_the_answer_to_a_deferral_got_lost(bench):
    bench.start(task("a"), task("b"), task("c"), task("d"))
    held = bench.take()
    following = run_on(bench, held, "deferred", deferral=WAITS)
    assert run_on(bench, held, "deferred", deferral=WAITS) == following


def test_one_call_tells_all_that_a_poll_has_found_and_hands_over_what_is_next(bench):
    bench.slots(4)
    bench.start(task("a"), task("b"), task("c", "a"))
    for _ in "ab":
        run_on(bench, bench.take(), "deferred", deferral=WAITS)
    bench.client.zadd("p:timers", {"poll/r/a": 0, "poll/r/b": 0})
    bench.tick()
    push = bench.pop().token
    a, b = (due.held for due in bench.engine.working.claim_polls("python", WAITS.group, push, "w"))
    ends = [End(a, "success", result="7"), End(b, "deferred", deferral=WAITS)]
    answers, (following,) = bench.engine.working.run_on(ends, queue="python", worker="w", process=1)
    assert answers == ["ok", "ok"]
    assert following.held.task == "c"
    assert [state(bench, name) for name in "abc"] == ["success", "deferred", "running"]
    assert list(bench.client.zrange("p:timers", 0, -1)) == ["poll/r/b"]


def test_another_worker_cancels_the_job_of_a_try_that_was_told_to_stop_before_it_was_deferred(
    bench,
):
    bench.slots(1, "bigquery")
    bench.start(task("a", **QUERY), task("b", **QUERY), task("c", **QUERY))
    held = bench.take("bigquery")
    bench.engine.steering.mark("r", "a", "skipped", "ana@host")
    assert run_on(bench, held, "deferred", queue="bigquery", deferral=WAITS) is None
    assert bench.engine.working.deferred_handle("r", "a") == WAITS.handle
    messages = [bench.pop("bigquery") for _ in range(bench.client.llen("p:q:bigquery"))]
    (again,) = (message for message in messages if message.task == "a")
    claim = bench.engine.working.claim(*vars(again).values(), "w", process=2)
    assert (claim.order, state(bench, "a")) == ("cancel", "cancelling")
    bench.end(again, "stopped")
    assert state(bench, "a") == "skipped"


def test_it_takes_no_more_than_the_processors_of_a_run(bench):
    bench.slots(2)
    bench.start(*(task(f"t{i}") for i in range(4)), processors=1)
    following = run_on(bench, bench.take())
    assert following is not None
    assert bench.engine.reading.snapshot("r").counts == {"success": 1, "running": 1, "ready": 2}


@pytest.mark.parametrize(("seconds", "goes_on"), [(0.05, True), (0.2, False)])
def test_a_task_that_takes_long_gets_a_message(bench, seconds, goes_on):
    bench.slots(4)
    bench.start(*(task(f"t{i}") for i in range(20)))
    for _ in range(8):
        held = bench.take()
        bench.began(held, seconds)
        bench.end(held)
    assert (run_on(bench, bench.take()) is not None) is goes_on


def test_a_task_that_took_long_in_earlier_runs_gets_a_message():
    tasks = [task("long"), task("short"), task("new"), task("each", expand={"over": [1]})]
    tasks += [task("job", **QUERY)]  # which holds no slot for most of its time
    durations = {"long": 0.2, "short": 0.1, "each": 0.05, "each.0": 0.3, "job": 60}
    rows = plan_of(dag(tasks), durations=durations).rows
    assert {row.task for row in rows if row.long} == {"long", "each"}
    assert {row.task for row in rows if row.row()["rank"].endswith("s")} == {
        "long",
        "each",
    }


@pytest.mark.parametrize("outcome", ["dead", "lost", "stopped", "revoked"])
def test_nothing_follows_an_end_that_may_have_left_something(bench, outcome):
    bench.start(task("a"), task("b"), task("c"), task("d"))
    assert run_on(bench, bench.take(), outcome, error="how") is None


def test_nothing_follows_a_try_that_was_told_to_stop(bench):
    bench.start(task("a", timeout=1), *(task(f"t{i}") for i in range(4)))
    held = bench.take()
    bench.began(held, 2)
    assert renew(bench, held) == ["cancel"]
    assert run_on(bench, held) is None


def test_a_worker_without_slots_takes_nothing(bench):
    bench.start(*(task(f"t{i}") for i in range(4)))
    held = bench.take()
    assert run_on(bench, held, worker="other") is None
    held = bench.take()
    bench.engine.working.leave("w", ["python"])
    assert run_on(bench, held) is None


def test_what_a_process_holds_is_kept_as_long_as_the_process_is_named(bench):
    bench.start(task("a"), task("b", "a"))
    run_on(bench, bench.take())
    lapse(bench)
    renew(bench, processes=[1])
    bench.tick()
    assert state(bench, "b") == "running"
    lapse(bench)
    renew(bench, processes=[2])
    assert state(bench, "b") in ("ready", "queued")
    assert not bench.client.exists("p:holds")


def test_a_death_is_charged_to_what_the_process_has_gone_on_with(bench):
    bench.start(task("a"), task("b", "a"))
    following = run_on(bench, bench.take())
    assert following is not None
    dead = End(following.held, "dead", error="of SIGKILL")
    assert bench.engine.working.hand_in([dead], "w", process=1) == ["ok"]
    assert state(bench, "a") == "success"
    record = bench.client.hget("p:run:r:tasks", "b").split("|")
    assert record[0] in ("ready", "queued")
    assert bench.client.hget("p:run:r:out", "k/b") == "of SIGKILL"
    assert bench.engine.working.hand_in([dead], "w", process=1) == ["waiting"]


def test_a_process_that_has_not_gone_on_dies_in_the_try_of_its_message(bench):
    bench.start(task("a"))
    dead = End(bench.take(), "dead")
    assert bench.engine.working.hand_in([dead], "w", process=1) == ["ok"]
    assert bench.client.hget("p:run:r:out", "k/a") == "nobody knows how"


def test_a_message_ends_what_its_process_had_not_heard_of(bench):
    bench.start(task("a"), task("b", "a"), task("c"))
    held, other = bench.take(), bench.pop()
    run_on(bench, held if held.task == "a" else other)
    assert bench.client.exists("p:holds")
    bench.engine.working.claim(*vars(other).values(), "w", process=1)
    assert not bench.client.exists("p:holds")


def test_an_error_of_its_own_run_does_not_hide_what_it_has_gone_on_with(bench):
    """The release fails after the claim: the run is set aside, and the other's task goes on."""
    bench.start(*map(task, "abcdfghijklm"), run="bad")
    bench.start(task("e"), run="good")
    held = bench.take()
    bench.client.delete("p:q:python")
    bench.client.set("p:q:python", "not a list")
    answers, (following, *_) = go_on(bench, held)
    assert answers == ["broken"]
    assert following.held.run == "good"
    assert state(bench, "e", "good") == "running"


def test_a_run_whose_data_are_damaged_harms_no_other_run(bench):
    bench.start(task("a"), run="good")
    held = bench.take()
    bench.start(task("b"), task("c"), task("d"), task("e"), run="bad")
    bench.client.delete("p:run:bad:specs")
    bench.client.set("p:run:bad:specs", "not a hash")
    assert run_on(bench, held) is None
    assert bench.engine.reading.run_state("good") == "success"
    assert bench.engine.reading.run_head("bad")["reason"] == "broken"
