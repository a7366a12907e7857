"""What becomes of deferred tries that are polled, told to an engine that only remembers it."""

from __future__ import annotations

import json
import os
import re
from typing import ClassVar

import fakeredis
import pytest
from celery.exceptions import Ignore

from pydag_dist.dag import limits
from pydag_dist.engine import Claim, Deferral, Due, Held
from tests.unit.workers.support import context
from workers import operators, time_limit
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators import Done, Pending, RemoteOperator, Wait
from workers.settings import WorkerSettings
from workers.tries import deferral, polls
from workers.tries.hand import Hand, end_of_hand

HELD = Held("run", "t", 1, "push")


class Engine:
    """Hands out what is due, and remembers what it is told."""

    def __init__(self):
        self.working = self.store = self  # its roles
        self.redis = fakeredis.FakeRedis(decode_responses=True)
        self.log_calls = 0
        self.logged: dict[str, list[str]] = {}
        self.due: list[Due] = []
        self.released: dict[str, tuple] = {}
        self.deferred: dict[str, list[Deferral]] = {}
        self.known = {"up": {"rows": 3}}
        self.handle = ""

    def claim_polls(self, *claim):
        self.claim = claim
        return self.due

    def run_on(self, ends, *, queue, worker, process):
        assert (queue, worker, process) == ("bigquery", "w1@host", os.getpid())
        for end in ends:
            if end.deferral:
                self.deferred.setdefault(end.held.task, []).append(end.deferral)
            else:
                told = (end.outcome, end.result, end.error, end.skips, end.expand)
                self.released[end.held.task] = told
        return ["ok"] * len(ends), []

    def write_logs(self, parts, _retention):
        self.log_calls += 1
        for held, part in parts:
            lines = [line[2] for line in json.loads(part.lines)]
            self.logged.setdefault(held.task, []).extend(lines)
        return ["ok"] * len(parts)

    def deferred_handle(self, _run, _task):
        return self.handle

    def refuse(self, *refused):
        self.refused = refused
        return ["ok"]

    def results(self, _run, tasks):
        return {task: self.known[task] for task in tasks}


class Scripted(RemoteOperator):
    """Its jobs are as the params say."""

    answers: ClassVar[dict[str, object]] = {
        "done": Done({"rows": 7}),
        "pending": Pending("RUNNING"),
        "failed": TaskFailed("the job failed"),
        "unknown": RemoteStateUnknown("no answer"),
        "lasting": RemoteStateUnknown("NOT_FOUND", lasting=True),
        "bug": KeyError("mine"),
        "big": Done("x" * 70_000),
        "list": Done([1, 2, 3]),
    }

    def handle(self, _context):
        return {}

    def submit(self, _context):
        return {}

    def poll(self, context, handle):
        handle["seen"] = handle.get("seen", 0) + 1
        answer = self.answers[context.params["is"]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, _context, _handle):
        """Nothing to do."""


@pytest.fixture
def engine(monkeypatch):
    engine = Engine()
    monkeypatch.setattr("workers.process._engine_of", lambda _pid: engine)
    monkeypatch.setattr("workers.tries.context.worker_settings", WorkerSettings)
    find = operators.find
    monkeypatch.setattr(
        operators, "find", lambda name: Scripted() if name == "acme.x" else find(name)
    )
    return engine


def due(engine, *states, **spec):
    for state in states:
        given = {
            "dag_id": "d",
            "operator": "acme.x",
            "script": None,
            "params": {"is": state},
            "script_cache": False,
            "expire_cache": 0,
            **spec,
        }
        wait = {"handle": {}, "interval": 2.0, "state": ""}
        engine.due.append(Due(Held("run", state, 1, "push"), given, json.dumps(wait)))


def poll():
    hand = Hand("bigquery", "w1@host")
    try:
        polls.poll(hand, "acme.x:GCP", "push")
        hand.refill()
    finally:
        end_of_hand()


def waits(engine, task):
    """What was told to be kept of a try until its next poll."""
    return json.loads(engine.deferred[task][-1].handle)


def lines(engine, task):
    return engine.logged[task]


def test_what_has_ended_is_released_and_the_rest_given_back_in_one_call(engine):
    due(engine, "pending", "done", "failed", "unknown")
    poll()
    assert engine.working.claim == ("bigquery", "acme.x:GCP", "push", "w1@host")
    assert engine.released == {
        "done": ("success", '{"rows": 7}', "", (), {}),
        "failed": ("failed", "", "the job failed", (), {}),
    }
    assert [*engine.deferred] == ["pending", "unknown"]
    (pending,), (unknown,) = engine.deferred.values()
    assert {pending.group, unknown.group} == {"acme.x:GCP"}
    assert (pending.delay, unknown.delay) == (2.0, 2.0)
    assert json.loads(pending.handle) == {
        "handle": {"seen": 1},
        "interval": 3.0,
        "state": "RUNNING",
        "unknown_since": None,
        "params": None,
        "try_number": 0,
        "unknowns": 0,
    }
    assert json.loads(unknown.handle)["interval"] == 2.0
    assert lines(engine, "pending") == ["RUNNING"]
    assert lines(engine, "failed") == ["the job failed"]
    assert lines(engine, "unknown") == ["no answer"]
    assert engine.log_calls == 1


def test_an_unexpected_error_says_nothing_of_the_job(engine):
    due(engine, "bug", "done")
    poll()
    assert list(engine.released) == ["done"]
    state = "acme.x can't tell how its job is: KeyError: 'mine'"
    assert waits(engine, "bug")["state"] == state
    assert lines(engine, "bug")[-1] == state
    assert "Traceback (most recent call last):" in lines(engine, "bug")


@pytest.mark.parametrize("answer", ["lasting", "bug"])
def test_a_job_that_nobody_can_tell_of_for_long_ends_its_task_with_its_try(
    engine, monkeypatch, answer
):
    due(engine, answer)
    poll()
    handle = json.dumps(waits(engine, answer))
    monkeypatch.setattr("workers.contract.wait.LOST_AFTER", 0.0)
    monkeypatch.setattr("workers.contract.wait.LOST_ANSWERS", 2)
    engine.due = [Due(engine.due[0].held, engine.due[0].spec, handle)]
    poll()
    outcome, _, error, *_ = engine.released[answer]
    assert outcome == "lost"
    assert error.startswith("nobody knows how its remote job is: for 0 minutes the answer was: ")
    assert "`pydag resume run`" in error


def test_an_answer_of_the_service_begins_the_time_anew_and_a_passing_error_has_no_end(
    engine, monkeypatch
):
    due(engine, "lasting", "unknown")
    poll()
    wait = waits(engine, "lasting")
    assert wait["unknown_since"] is not None
    monkeypatch.setattr("workers.contract.wait.LOST_AFTER", 0.0)
    spec = engine.due[0].spec | {"params": {"is": "pending"}}
    engine.due = [Due(HELD, spec, json.dumps(wait)), engine.due[1]]
    poll()
    pending, unknown = waits(engine, "t"), waits(engine, "unknown")
    assert (pending["state"], pending["unknown_since"]) == ("RUNNING", None)
    assert unknown["unknown_since"] is None
    assert engine.released == {}


def test_a_result_that_is_too_big_fails_the_try(engine):
    due(engine, "big")
    poll()
    outcome, result, error, *_ = engine.released["big"]
    assert (outcome, result) == ("final", "")
    assert error.startswith("acme.x returned 70,002 bytes of JSON, and at most 65,536")


def test_a_list_says_into_how_many_it_expands(engine):
    due(engine, "list", expanded_by={"each": []})
    poll()
    assert engine.released["list"] == ("success", "[1, 2, 3]", "", (), {"each": 3})


TEMPLATED = {
    "params": {"is": "{{ tasks.up.result.no }}"},
    "template": {"params": {}, "logical_date": "2026-11-22T18:00:00+00:00", "tasks": ["up"]},
}


def test_a_poll_renders_nothing_but_has_the_params_of_its_try(engine, monkeypatch):
    monkeypatch.setattr("workers.tries.context.rendered", None)
    due(engine, "pending", **TEMPLATED)
    wait = json.loads(engine.due[0].handle) | {"params": {"is": "done"}}
    engine.due = [Due(HELD, engine.due[0].spec, json.dumps(wait))]
    poll()
    assert engine.released["t"][0] == "success"


def test_a_handle_that_cannot_be_read_harms_its_own_try_only(engine):
    due(engine, "done", "pending")
    for broken in ("", "{}", "[]", '{"handle": {}, "interval": 1, "unheard": 2}'):
        engine.due.append(Due(Held("run", broken, 1, "push"), engine.due[0].spec, broken))
    poll()
    outcome, _, error, *_ = engine.released["[]"]
    assert outcome == "dead"
    assert error.startswith("the handle of its remote job can't be read")
    assert len(engine.released) == 1 + 4
    assert engine.released["done"][0] == "success"
    assert [*engine.deferred] == ["pending"]


def test_a_try_that_breaks_the_polling_of_many_harms_no_other(engine, monkeypatch):
    def poll_many(self, asked):
        for one in asked:
            yield one, self.poll(one.context, one.handle)

    monkeypatch.setattr(Scripted, "poll_many", poll_many)
    due(engine, "pending", "bug", "done")
    poll()
    assert {task: ended[0] for task, ended in engine.released.items()} == {"done": "success"}
    assert [*engine.deferred] == ["pending", "bug"]


def test_what_polls_need_of_params_has_a_limit(engine):
    assert deferral.params_to_keep(context({"a": 1}, operator="acme.x")) == {"a": 1}
    assert deferral.params_to_keep(context({"a": 1})) is None
    with pytest.raises(TaskFailed, match=r"become 50,\d+ bytes, and at most 50,000 are kept"):
        deferral.params_to_keep(context({"a": "x" * 50_000}, operator="acme.x"))


def test_a_deferred_try_is_cancelled_by_its_handle_and_renders_nothing(engine, monkeypatch):
    stopped = []
    monkeypatch.setattr(Scripted, "cancel", lambda _, c, handle: stopped.append((c.params, handle)))
    monkeypatch.setattr("workers.tries.context.rendered", None)
    kept = {"handle": {"job": 7}, "interval": 1.0, "params": {"is": "done"}, "try_number": 1}
    engine.handle = json.dumps(kept)
    task = context(TEMPLATED["params"], operator="acme.x")
    assert deferral.cancel(HELD, Claim("cancel", TEMPLATED), task).outcome == "stopped"
    assert stopped == [({"is": "done"}, {"job": 7})]


@pytest.mark.parametrize("handle", ["", '{"handle": {"job": 7}, "interval": 1, "try_number": 2}'])
def test_a_try_that_was_not_deferred_is_cancelled_by_what_its_params_say(
    engine, monkeypatch, handle
):
    stopped = []
    monkeypatch.setattr(Scripted, "cancel", lambda _, c, handle: stopped.append((c.params, handle)))
    engine.handle = handle
    templated = TEMPLATED | {"params": {"is": "{{ tasks.up.result.rows }}"}, "dag_id": "d"}
    task = context(templated["params"], operator="acme.x")
    assert deferral.cancel(HELD, Claim("cancel", templated), task).outcome == "stopped"
    assert stopped == [({"is": 3}, {})]


def test_those_for_whom_there_was_no_time_are_polled_soon(engine, monkeypatch):
    monkeypatch.setattr(polls, "_TIME", 0.0)
    due(engine, "pending", "done")
    poll()
    assert engine.released == {}
    assert [given.delay for (given,) in engine.deferred.values()] == [1.0, 1.0]
    assert waits(engine, "pending")["interval"] == 2.0
    assert not time_limit.is_out()


def test_what_this_worker_has_no_operator_for_is_given_back(engine):
    due(engine, "done", operator="acme.unknown")
    poll()
    assert engine.released == {}
    assert engine.deferred == {}
    held, _worker, need, reason = engine.refused
    assert [one.task for one in held] == ["done"]
    assert need.startswith("polls:")
    assert "no operator 'acme.unknown' on this worker" in reason


def test_what_redis_would_not_keep_of_a_job_ends_its_own_try_only(engine, monkeypatch):
    monkeypatch.setattr(limits, "HANDLE_BYTES", 200)
    due(engine, "pending", "unknown")
    grown = json.dumps(json.loads(engine.due[0].handle) | {"handle": {"read": "x" * 200}})
    engine.due[0] = Due(engine.due[0].held, engine.due[0].spec, grown)
    poll()
    outcome, _, error, *_ = engine.released["pending"]
    assert outcome == "lost"
    assert re.match(r"what is kept of its remote job has \d+ bytes, and at most 200 are", error)
    assert [*engine.deferred] == ["unknown"]


def test_a_copy_of_a_poll_is_ignored(engine):
    with pytest.raises(Ignore, match=r"polls of acme\.x:GCP: nothing is due"):
        poll()


def test_a_group_has_only_characters_that_the_engine_takes(engine):
    wait = Wait({"connection": "my conn/é"}, 0.1, "RUNNING")
    task = context(operator="acme.x")
    given = deferral.deferred(task, wait).deferral
    assert given.group == "acme.x:my-conn--"
    assert given.delay == 0.5  # even if it asked more often while it waited in its slot
