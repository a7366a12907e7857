"""Setups and teardowns: when a teardown runs, and what repeats both; on an in-memory Redis."""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.dag import Dag, draw
from pydag_dist.why import why_task
from tests.support.engine_bench import Bench, task

CREATE = task("create")
DELETE = task("delete", "join", teardown_of="create")
# `join` fails with the first of the jobs, while the other one may still run on what `create` made.
JOBS = [CREATE, task("job_1", "create"), task("job_2", "create"), task("join", "job_1", "job_2")]


@pytest.fixture
def bench():
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    made = Bench(client)
    made.slots(20)
    return made


def take(bench, *names):
    """The tries of all that has become ready, which are of these tasks."""
    held = {}
    while bench.client.llen("p:q:python"):
        one = bench.take()
        held[one.task] = one
    assert set(held) == set(names)
    return [held[name] for name in names]


def states(bench):
    return {name: one.state for name, one in bench.engine.reading.snapshot("r").tasks.items()}


def test_a_teardown_waits_for_all_between_and_runs_however_they_ended(bench):
    bench.start(*JOBS, DELETE)
    bench.end(*take(bench, "create"))
    job_1, job_2 = take(bench, "job_1", "job_2")
    bench.end(job_1, "failed")
    assert states(bench)["join"] == "upstream_failed"
    assert why_task(bench.engine.reading, "r", "delete") == (
        "delete waits for 1 upstream task: job_2 (running)"
    )
    take(bench)
    bench.end(job_2)
    bench.end(*take(bench, "delete"))
    assert bench.engine.reading.run_state("r") == "failed"


@pytest.mark.parametrize("reason", ["cancel", "timeout"])
def test_a_teardown_runs_when_its_run_is_stopped(bench, reason):
    bench.start(*JOBS, task("delete", "join", teardown_of="create", retries=1), timeout=3600)
    bench.end(*take(bench, "create"))
    job_1, job_2 = take(bench, "job_1", "job_2")
    bench.end(job_1)
    if reason == "cancel":
        assert bench.engine.steering.cancel("r") == "cancelling"
    else:
        bench.client.zadd("p:timers", {"timeout/r": 0})
        bench.tick()
    take(bench)
    assert why_task(bench.engine.reading, "r", "delete").startswith(
        "delete waits for 1 upstream task: job_2"
    )
    bench.end(job_2, "stopped")
    assert states(bench) == {
        "create": "success",
        "job_1": "success",
        "job_2": "cancelled",
        "join": "cancelled",
        "delete": "queued",
    }
    bench.end(*take(bench, "delete"), "failed")
    assert states(bench)["delete"] == "up_for_retry"
    bench.client.zadd("p:timers", {"retry/r/delete": 0})
    bench.tick()
    bench.end(*take(bench, "delete"))
    assert (
        bench.engine.reading.run_state("r") == {"cancel": "cancelled", "timeout": "failed"}[reason]
    )


def test_a_teardown_that_runs_is_not_cancelled_with_its_run(bench):
    bench.start(CREATE, task("delete", "create", teardown_of="create"), task("other"))
    create, other = take(bench, "create", "other")
    bench.end(create)
    [delete] = take(bench, "delete")
    bench.engine.steering.cancel("r")
    assert bench.engine.working.renew("w", 20, ["python"], [delete, other]) == ["yours", "cancel"]
    bench.end(other, "stopped")
    bench.end(delete)
    assert states(bench) == {"create": "success", "delete": "success", "other": "cancelled"}
    assert bench.engine.reading.run_state("r") == "cancelled"


def test_a_cancelled_run_does_without_a_teardown_that_is_marked(bench):
    bench.start(*JOBS, DELETE)
    bench.end(*take(bench, "create"))
    jobs = take(bench, "job_1", "job_2")
    bench.engine.steering.cancel("r")
    for held in jobs:
        bench.end(held, "stopped")
    take(bench, "delete")
    bench.engine.steering.mark("r", "delete", "skipped", "ana@host")
    assert bench.engine.reading.run_state("r") == "cancelling"
    bench.client.zadd("p:leases", {"r/delete": 0})
    bench.tick()
    assert states(bench)["delete"] == "skipped"
    assert bench.engine.reading.run_state("r") == "cancelled"


def test_it_has_nothing_to_do_if_its_setup_never_began(bench):
    bench.start(task("a"), task("create", "a"), task("job", "create"), task("b"))
    run = [task("a"), task("create", "a"), task("delete", "create", teardown_of="create")]
    bench.engine.steering.cancel("r")
    bench.start(*run, run="upstream_failed")
    bench.start(*run, run="never_began")
    bench.engine.steering.cancel("never_began")
    bench.end(next(h for h in all_held(bench) if h.run == "upstream_failed"), "failed")
    for name in ("upstream_failed", "never_began"):
        assert bench.engine.reading.snapshot(name).tasks["delete"].state == "skipped"
    assert bench.engine.reading.run_state("upstream_failed") == "failed"
    assert bench.engine.reading.run_state("never_began") == "cancelled"


def all_held(bench):
    while bench.client.llen("p:q:python"):
        held = bench.pop()
        if not isinstance(bench.engine.working.claim(*vars(held).values(), "w", process=1), str):
            yield held


def test_a_setup_that_failed_has_its_teardown(bench):
    bench.start(*JOBS, DELETE)
    bench.end(*take(bench, "create"), "failed")
    bench.end(*take(bench, "delete"))
    assert bench.engine.reading.run_state("r") == "failed"


@pytest.mark.parametrize(
    ("asked", "state"), [({}, "success"), ({"allow_failure": False}, "failed")]
)
def test_its_failure_does_not_fail_the_run_unless_asked(bench, asked, state):
    bench.start(CREATE, task("delete", "create", teardown_of="create", **asked))
    bench.end(*take(bench, "create"))
    bench.end(*take(bench, "delete"), "failed")
    assert bench.engine.reading.run_state("r") == state


def test_a_resume_of_something_between_repeats_both_and_keeps_the_rest(bench):
    last = task("last", "delete", trigger_rule="all_done")
    bench.start(*JOBS, DELETE, last)
    bench.end(*take(bench, "create"))
    job_1, job_2 = take(bench, "job_1", "job_2")
    bench.end(job_1, "failed")
    bench.end(job_2)
    bench.end(*take(bench, "delete"))
    bench.end(*take(bench, "last"))
    bench.engine.steering.resume("r")
    bench.plan()
    [create] = take(bench, "create")
    assert create.try_number == 2
    bench.end(create)
    bench.end(*take(bench, "job_1"))
    bench.end(*take(bench, "join"))
    bench.end(*take(bench, "delete"))
    bench.end(*take(bench, "last"))
    assert bench.engine.reading.run_state("r") == "success"
    assert bench.engine.reading.snapshot("r").tasks["job_2"].try_number == 1


def test_a_resume_after_all_between_succeeded_repeats_neither(bench):
    bench.start(*JOBS, DELETE, task("report", "join"))
    bench.end(*take(bench, "create"))
    for held in take(bench, "job_1", "job_2"):
        bench.end(held)
    bench.end(*take(bench, "join"))
    delete, report = take(bench, "delete", "report")
    bench.end(delete)
    bench.end(report, "failed")
    bench.engine.steering.resume("r")
    bench.plan()
    take(bench, "report")


def test_setups_within_setups_are_both_repeated(bench):
    tasks = [
        task("net"),
        task("create", "net"),
        task("job", "create"),
        task("delete", "job", teardown_of="create"),
        task("remove", "delete", teardown_of="net"),
    ]
    bench.start(*tasks)
    bench.end(*take(bench, "net"))
    bench.end(*take(bench, "create"))
    bench.end(*take(bench, "job"), "failed")
    bench.end(*take(bench, "delete"))
    bench.end(*take(bench, "remove"))
    bench.engine.steering.resume("r")
    bench.plan()
    for name in ("net", "create", "job", "delete", "remove"):
        bench.end(*take(bench, name))
    assert bench.engine.reading.run_state("r") == "success"


def test_a_branch_does_not_skip_a_teardown(bench):
    bench.start(CREATE, task("choose", "create"), task("delete", "choose", teardown_of="create"))
    bench.end(*take(bench, "create"))
    bench.end(*take(bench, "choose"), skips=["delete"])
    take(bench, "delete")


def test_it_is_drawn_and_keeps_its_fields():
    dag = Dag.parse({"dag_id": "d", "tasks": [*JOBS, DELETE]})
    assert draw.text(dag).splitlines()[-1].endswith("<- join  [teardown of create]")
    assert 't4["delete<br>teardown of create"]' in draw.mermaid(dag)
    assert dag.tasks["delete"].allow_failure
    assert Dag.parse(dag.to_json()) == dag
    strict = DELETE | {"allow_failure": False}
    asked = Dag.parse({"dag_id": "d", "tasks": [*JOBS, strict]})
    assert asked.to_dict()["tasks"][-1]["allow_failure"] is False
    assert not Dag.parse(asked.to_json()).tasks["delete"].allow_failure
