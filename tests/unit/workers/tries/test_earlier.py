"""What becomes of the jobs of earlier tries before a new one starts its own."""

from __future__ import annotations

from functools import partial

import pytest

from pydag_dist.engine import Claim, Held
from tests.unit.workers.support import Log, context
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators import Asked, Done, Pending, RemoteOperator, Wait
from workers.tries import earlier
from workers.tries.outcome import cancelled

SPEC = {"params": {}}


class Jobs(RemoteOperator):
    """Jobs by the number of their try; `cancel` stops those that run, unless they are deaf."""

    def __init__(self, **jobs):
        self.jobs = {int(name[1:]): state for name, state in jobs.items()}
        self.cancelled: list[int] = []
        self.errors: list[Exception] = []

    def handle(self, context):
        return {"try": context.try_number}

    def submit(self, context):
        return self.handle(context)

    def poll(self, _context, handle):
        if self.jobs[handle["try"]] == "done":
            return Done(f"of try {handle['try']}")
        raise TaskFailed("stopped")

    def cancel(self, context, handle):
        if self.errors:
            raise self.errors.pop(0)
        assert context.try_number == handle["try"]
        self.cancelled.append(handle["try"])
        if self.jobs.get(handle["try"]) == "runs":
            self.jobs[handle["try"]] = "stopped"

    def look(self, context, handle):
        state = self.jobs.get(handle["try"])
        if state is None:
            return None
        if state == "deaf":
            return Pending("RUNNING")
        return self.answer(Asked(context, handle))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(earlier, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(earlier, "kept_wait", lambda _held: None)


def settled(jobs, try_number, settled=0, *, log=None, operator="acme.x", spec=SPEC):
    held = Held("run", "t", try_number, "push")
    task = context(operator=operator, try_number=try_number, log=log)
    return earlier.end_earlier_jobs(held, Claim("run", spec, settled), task, jobs)


def test_a_first_try_costs_nothing():
    jobs = Jobs(t1="runs")
    assert settled(jobs, 1) is None
    assert jobs.cancelled == []


def test_a_job_that_runs_is_stopped():
    jobs = Jobs(t1="runs")
    assert settled(jobs, 2) is None
    assert jobs.jobs == {1: "stopped"}


def test_tries_are_looked_at_until_one_that_had_a_job():
    """A try that found no end for the one before it never started a job of its own."""
    jobs = Jobs(t1="runs", t2="runs")
    assert settled(jobs, 5) is None
    assert jobs.cancelled == [4, 3, 2]
    assert jobs.jobs == {1: "runs", 2: "stopped"}


def test_a_job_that_has_succeeded_is_the_success_of_its_task():
    log = Log()
    assert settled(Jobs(t1="done"), 2, log=log) == Done("of try 1")
    assert log.lines == ["the job of try 1 has succeeded: its result is taken"]


def test_what_succeeded_and_is_to_run_again_runs_again():
    """As after `resume --from`."""
    jobs = Jobs(t1="done", t2="done")
    assert settled(jobs, 3, settled=2) is None
    assert jobs.cancelled == [2]
    jobs = Jobs(t1="done", t2="runs")
    assert settled(jobs, 3, settled=2) is None
    assert jobs.jobs[2] == "stopped"


def test_a_sensor_starts_nothing_that_could_run():
    jobs = Jobs(t1="runs")
    assert settled(jobs, 2, operator="acme.wait_for") is None
    assert jobs.cancelled == []


def test_what_is_unknown_is_asked_again():
    jobs = Jobs(t1="runs")
    jobs.errors = [RemoteStateUnknown("401", lasting=True), RemoteStateUnknown("no answer")]
    log = Log()
    assert settled(jobs, 2, log=log) is None
    assert log.lines == ["401; asking again", "no answer; asking again"]
    assert jobs.jobs == {1: "stopped"}


def test_an_operator_that_raises_says_nothing_of_the_job(monkeypatch):
    monkeypatch.setattr(earlier, "_ASK_FOR", -1.0)
    for error in (TaskFailed("not now"), KeyError("mine")):
        jobs = Jobs(t1="runs")
        jobs.errors = [error]
        with pytest.raises(RemoteStateUnknown):
            settled(jobs, 2)


@pytest.mark.parametrize("state", ["deaf", "unknown"])
def test_a_new_try_does_not_begin_beside_an_earlier_one(monkeypatch, state):
    monkeypatch.setattr(earlier, "_ASK_FOR", -1.0)
    jobs = Jobs(t1=state)
    if state == "unknown":
        jobs.errors = [RemoteStateUnknown("403", lasting=True)]
    with pytest.raises(RemoteStateUnknown):
        settled(jobs, 2)


def test_a_try_that_was_deferred_is_found_by_what_was_kept_of_it(monkeypatch):
    """Its params may have come from results that are others by now."""
    kept = {2: Wait({"try": 1, "region": "r1"}, 1.0, params={"region": "r1"}, try_number=2)}
    monkeypatch.setattr(earlier, "kept_wait", lambda held: kept.get(held.try_number))

    class Regional(Jobs):
        def settle(self, context, handle):
            assert (context.params, handle["region"]) == ({"region": "r1"}, "r1")
            self.cancelled.append(context.try_number)
            return TaskFailed("stopped")

    jobs = Regional()
    assert settled(jobs, 3) is None
    assert jobs.cancelled == [2]


def test_cancelling_a_try_sees_to_those_before_it(monkeypatch):
    """It may have been stopped while it did so."""
    jobs = Jobs(t1="runs")
    monkeypatch.setattr("workers.operators.find", lambda _name: jobs)
    task = context(operator="acme.x", try_number=2)
    before = partial(
        earlier.end_earlier_jobs, Held("run", "t", 2, "push"), Claim("run", SPEC), task
    )
    assert cancelled(task, before=before).outcome == "stopped"
    assert jobs.cancelled == [1, 2]
    jobs.errors = [RemoteStateUnknown("403", lasting=True)]
    monkeypatch.setattr(earlier, "_ASK_FOR", -1.0)
    monkeypatch.setattr("workers.tries.outcome.CANCEL_SECONDS", -1.0)
    assert cancelled(task, before=before).outcome == "dead"


def test_params_are_those_of_the_earlier_try():
    template = {"params": {}, "logical_date": "2026-11-22T18:00:00+00:00", "tasks": []}
    spec = {"params": {"region": "r{{ try_number }}"}, "template": template, "dag_id": "d"}

    class Regional(Jobs):
        def handle(self, context):
            return super().handle(context) | {"region": context.params["region"]}

        def cancel(self, context, handle):
            super().cancel(context, handle)
            self.region = handle["region"]

    jobs = Regional(t1="runs")
    settled(jobs, 2, spec=spec)
    assert jobs.region == "r1"


@pytest.mark.parametrize(
    ("state", "outcome"), [("done", "success"), ("runs", "stopped"), ("deaf", "stopped")]
)
def test_a_cancelled_try_whose_job_had_succeeded_is_a_success(monkeypatch, state, outcome):
    monkeypatch.setattr("workers.operators.find", lambda _name: Jobs(t1=state))
    ended = cancelled(context(operator="acme.x"))
    assert ended.outcome == outcome
    assert ended.result == ('"of try 1"' if state == "done" else "")
