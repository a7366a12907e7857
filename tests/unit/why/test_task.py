"""The sentence that `pydag why` says, for each situation that a task can be in."""

from __future__ import annotations

import time

import pytest

from pydag_dist.engine import Refusal
from pydag_dist.engine.protocol import RECORD_FIELDS, TASK_STATES
from pydag_dist.why import task
from pydag_dist.why.facts import Facts
from pydag_dist.why.task import explain

NOW = 1_700_000_000.0  # 22:13:20 UTC


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def micros(at):
    return f"{at * 1e6:.0f}"


def record(state="none", **fields):
    values = dict.fromkeys(RECORD_FIELDS, "") | {"try": "1", "last_try": "1", "rule": "all_success"}
    return values | {"state": state} | fields


RUN = {
    "state": "running",
    "processors": "0",
    "timeout": "0",
    "submitted_at": micros(NOW - 90),
}


def situation(task, *, upstream=None, run=None, records=None, slots=4, **fields):
    """Of the task `load`, whose own record is `task`."""
    return Facts(
        task="load",
        now=NOW,
        run=RUN | (run or {}),
        upstream={"load": [], **(upstream or {})},
        records={"load": task, **(records or {})} if task else {},
        queue="bigquery",
        slots=slots,
        **fields,
    )


def ended(state, **fields):
    times = {"started_at": micros(NOW - 70), "ended_at": micros(NOW - 10)}
    return record(state, worker="w1@host", **times | fields)


def waiting_for(*states):
    names = [f"t{i}" for i in range(len(states))]
    records = {name: record(state) for name, state in zip(names, states, strict=True)}
    return situation(record(), upstream={"load": names}, records=records)


SENTENCES = {
    "one upstream task": (
        waiting_for("running", "success"),
        "load waits for 1 upstream task: t0 (running)",
    ),
    "some upstream tasks, those under way first": (
        waiting_for("none", "success", "up_for_retry"),
        "load waits for 2 upstream tasks: t2 (up_for_retry) and t0 (none)",
    ),
    "many upstream tasks": (
        waiting_for("none", "none", "running", "ready", "none"),
        "load waits for 5 upstream tasks: t2 (running), t3 (ready), t0 (none) and 2 more",
    ),
    "upstream is done, but not everybody was told": (
        waiting_for("success"),
        (
            "load is about to be decided: its upstream tasks have ended, and the engine is "
            "still telling all their downstream tasks"
        ),
    ),
    "processors": (
        situation(record("ready"), run={"processors": "2"}, active=2),
        "load is ready and waits for its run's processors: 2 of 2 are active",
    ),
    "a slot": (
        situation(record("ready"), run={"processors": "3"}, active=2, ahead=5, sharing=3),
        (
            "load is ready and waits for a slot on queue bigquery (4 slots): 5 ready tasks of "
            "its run are ahead of it, and 2 other runs share the queue"
        ),
    ),
    "a slot, alone": (
        situation(record("ready"), slots=1, ahead=1, sharing=1),
        (
            "load is ready and waits for a slot on queue bigquery (1 slot): 1 ready task of its"
            " run is ahead of it, and no other runs share the queue"
        ),
    ),
    "a worker": (
        situation(record("ready"), run={"processors": "2"}, active=2, slots=0),
        (
            "load waits for a worker: none listens to its queue bigquery; start one with `pydag"
            " worker -Q bigquery`"
        ),
    ),
    "a worker, its message sent already": (
        situation(record("queued"), slots=0, messages=3),
        (
            "load waits for a worker: none listens to its queue bigquery; start one with `pydag"
            " worker -Q bigquery`"
        ),
    ),
    "the next slot": (
        situation(record("queued"), messages=7),
        (
            "load is queued and waits for the next free slot on queue bigquery (4 slots), where "
            "7 messages wait, its own among them"
        ),
    ),
    "the next slot, alone": (
        situation(record("queued"), messages=1),
        (
            "load is queued and waits for the next free slot on queue bigquery (4 slots), where "
            "its message is the next"
        ),
    ),
    "taken, not begun": (
        situation(record("queued")),
        (
            "load is being started: a worker took its message from queue bigquery; should that "
            "worker have died, the message is sent again within seconds"
        ),
    ),
    "running": (
        situation(record("running", worker="w1@host", started_at=micros(NOW - 75))),
        "load is running on w1@host since 22:12:05, for 1 min 15 s",
    ),
    "running since yesterday, third try": (
        situation(
            record(
                "running",
                worker="w1@host",
                started_at=micros(NOW - 86400),
                **{"try": "3", "last_try": "5"},
            )
        ),
        "load is running on w1@host since 2023-11-13 22:13:20, for 24 h 0 min (try 3 of 5)",
    ),
    "running, worker silent": (
        situation(
            record("running", worker="w1@host", started_at=micros(NOW - 20)), lease_until=NOW - 3
        ),
        (
            "load is running on w1@host since 22:13:00, for 20 s, but that worker's lease ran "
            "out 3 s ago: it goes to another worker unless this one is heard of"
        ),
    ),
    "a retry": (
        situation(
            record("up_for_retry", **{"try": "1", "last_try": "3"}),
            retry_at=NOW + 40,
            errors={"load": "no such table: t\nTraceback"},
        ),
        "load waits for try 2, which starts in 40 s, at 22:14:00: try 1 failed: no such table: t",
    ),
    "a retry that is due": (
        situation(record("up_for_retry", **{"try": "1", "last_try": "3"})),
        "load waits for try 2, which starts now: try 1 failed",
    ),
    "a coordinator": (
        situation(None, run={"state": "queued"}),
        (
            "load waits for a coordinator to plan its run, which was submitted 1 min 30 s ago: "
            "if this lasts, start one with `pydag coordinator`, of the version that submitted it"
        ),
    ),
    "a coordinator at work": (
        situation(None, run={"state": "queued", "planner": "1-1"}),
        "load waits for a coordinator that is planning its run",
    ),
    "a run that can't be planned": (
        situation(None, run={"state": "failed", "error": "no such operator"}),
        "load never ran: its run could not be planned: no such operator",
    ),
    "cancelled before planning": (
        situation(None, run={"state": "cancelled", "reason": "cancel"}),
        "load never ran: its run was cancelled before a coordinator had planned it",
    ),
    "its turn to be cancelled": (
        situation(record("ready"), run={"state": "cancelling"}),
        "load is about to be cancelled with its run",
    ),
    "being cancelled": (
        situation(
            record("cancelling", token="1-1", reason="cancel", worker="w1@host"),
            run={"state": "cancelling"},
        ),
        "load is being cancelled with its run: w1@host still holds it and was told to stop",
    ),
    "being revoked": (
        situation(record("cancelling", token="1-1", reason="cancel", worker="w1@host")),
        (
            "load is being cancelled because it was revoked: w1@host still holds it and was told "
            "to stop"
        ),
    ),
    "revoked": (
        situation(ended("cancelled")),
        (
            "load was cancelled at 22:13:10 after 1 min 0 s on w1@host: it was revoked, as Flower "
            "can do"
        ),
    ),
    "timed out": (
        situation(record("cancelling", token="1-1", reason="timeout", worker="w1@host")),
        "load is being cancelled because it timed out: w1@host still holds it and was told to stop",
    ),
    "its remote job being cancelled": (
        situation(record("cancelling", reason="cancel"), run={"state": "cancelling"}),
        (
            "load is being cancelled with its run: it waits for a worker of queue bigquery to "
            "end its remote job"
        ),
    ),
    "its remote job, nobody to cancel it": (
        situation(record("cancelling", reason="cancel"), run={"state": "cancelling"}, slots=0),
        (
            "load is being cancelled with its run, and waits for a worker: none listens to its "
            "queue bigquery; start one with `pydag worker -Q bigquery` to cancel its remote job"
        ),
    ),
    "success": (
        situation(ended("success")),
        "load succeeded at 22:13:10 after 1 min 0 s on w1@host",
    ),
    "success of a task that took 12 ms": (
        situation(ended("success", started_at=micros(NOW - 10.012))),
        "load succeeded at 22:13:10 after 12 ms on w1@host",
    ),
    "success of a task that took no time": (
        situation(ended("success", started_at=micros(NOW - 10))),
        "load succeeded at 22:13:10 after less than 1 ms on w1@host",
    ),
    "failure": (
        situation(ended("failed", last_try="2", **{"try": "2"}), errors={"load": "out of space"}),
        "load failed at 22:13:10 after 1 min 0 s on w1@host (try 2 of 2): out of space",
    ),
    "cancelled while it ran": (
        situation(ended("cancelled"), run={"state": "cancelled", "reason": "cancel"}),
        "load was cancelled at 22:13:10 after 1 min 0 s on w1@host: its run was cancelled",
    ),
    "cancelled before it started": (
        situation(
            record("cancelled", ended_at=micros(NOW)),
            run={"state": "failed", "reason": "timeout", "timeout": "90"},
        ),
        "load was cancelled before it started: its run took longer than its timeout of 1 min 30 s",
    ),
    "upstream failed": (
        situation(
            record("upstream_failed"),
            upstream={"load": ["a", "b"], "a": [], "b": []},
            records={"a": record("success"), "b": record("failed")},
            errors={"b": "no such table"},
        ),
        "load does not run because b failed: no such table",
    ),
    "something far upstream was cancelled": (
        situation(
            record("upstream_failed"),
            upstream={"load": ["a", "b"], "a": ["x"], "b": ["c"], "c": [], "x": []},
            records={
                "a": record("success"),
                "b": record("upstream_failed"),
                "c": record("cancelled"),
                "x": record("failed"),  # which did not stop a, by a's rule
            },
        ),
        "load does not run because c (upstream of b) was cancelled",
    ),
    "too few upstream tasks succeeded": (
        situation(
            record("upstream_failed", rule="one_success"),
            upstream={"load": ["a", "b"], "a": [], "b": []},
            records={"a": record("skipped"), "b": record("upstream_failed")},
        ),
        (
            "load does not run by its trigger rule one_success: upstream of load are a "
            "(skipped) and b (upstream_failed)"
        ),
    ),
    "not chosen by a branch": (
        situation(
            record("skipped"),
            upstream={"load": ["a", "choose"], "a": [], "choose": []},
            records={"a": record("skipped"), "choose": record("success")},
            skips={"choose": ["x", "load"]},
        ),
        "load was skipped because the branch choose did not choose it",
    ),
    "upstream not chosen by a branch": (
        situation(
            record("skipped"),
            upstream={"load": ["a"], "a": ["b"], "b": ["choose"], "choose": []},
            records={
                "a": record("skipped"),
                "b": record("skipped"),
                "choose": record("success"),
            },
            skips={"choose": ["b"]},
        ),
        "load was skipped because the branch choose did not choose b upstream of it",
    ),
    "skipped by its rule": (
        situation(
            record("skipped", rule="one_failed"),
            upstream={"load": ["a", "b"], "a": [], "b": []},
            records={"a": record("success"), "b": record("skipped")},
        ),
        (
            "load was skipped by its trigger rule one_failed: upstream of load are a (success) "
            "and b (skipped)"
        ),
    ),
    "skipped with one that was by its rule": (
        situation(
            record("skipped"),
            upstream={"load": ["a"], "a": ["b"], "b": []},
            records={"a": record("skipped", rule="one_failed"), "b": record("success")},
        ),
        (
            "load was skipped with a upstream of it, by that one's trigger rule one_failed: "
            "upstream of a is b (success)"
        ),
    ),
    "deferred": (
        situation(record("deferred", started_at=micros(NOW - 70)), poll_at=NOW + 4),
        (
            "load waits for its remote job since 22:12:10, for 1 min 10 s, and holds no slot; "
            "it is asked for in 4 s"
        ),
    ),
    "deferred, to be polled": (
        situation(record("deferred", started_at=micros(NOW - 5), last_try="3")),
        (
            "load waits for its remote job since 22:13:15, for 5 s (try 1 of 3), and holds no "
            "slot; the next free slot on queue bigquery asks for it"
        ),
    ),
    "deferred, nobody knows": (
        situation(
            record("deferred", started_at=micros(NOW - 5)),
            poll_at=NOW + 4,
            heard="notFound: Not found: Job p:US.j (BigQuery job p:US.j)",
        ),
        (
            "load waits for its remote job since 22:13:15, for 5 s (last heard: notFound: Not "
            "found: Job p:US.j (BigQuery job p:US.j)), and holds no slot; it is asked for in 4 s"
        ),
    ),
    "deferred, polled": (
        situation(record("deferred", started_at=micros(NOW - 5), token="7", worker="w1@host")),
        (
            "load waits for its remote job since 22:13:15, for 5 s, and holds no slot; "
            "w1@host is asking for it"
        ),
    ),
    "deferred, without a worker": (
        situation(record("deferred", started_at=micros(NOW - 5)), poll_at=NOW + 4, slots=0),
        (
            "load waits for its remote job since 22:13:15, for 5 s, and holds no slot; "
            "nobody asks for it, since no worker listens to its queue bigquery"
        ),
    ),
    "becoming many": (
        situation(record("expanding"), expansion=(900, 500, 2)),
        "load is becoming 900 tasks, load.0 to load.899; 500 are there",
    ),
    "many": (
        situation(record("expanding"), expansion=(3, 3, 2)),
        "load became 3 tasks, load.0 to load.2, of which 2 have ended",
    ),
    "one of many": (
        situation(record("expanding"), expansion=(1, 1, 0)),
        "load became 1 task, load.0, of which 0 have ended",
    ),
}


@pytest.mark.parametrize("what", SENTENCES)
def test_why(what):
    asked, sentence = SENTENCES[what]
    assert explain(asked) == sentence


def test_every_state_has_a_sentence():
    assert set(task._SENTENCES) == set(TASK_STATES)


def test_workers_that_refuse_for_one_reason_are_named_together():
    refusals = [Refusal(f"w{i}@h", "module:etl", "no etl" if i < 2 else "no key") for i in range(5)]
    sentence = explain(situation(record("ready"), refusals=refusals))
    assert (
        "w0@h and w1@h gave it back (no etl), w2@h gave it back (no key) and 2 more did" in sentence
    )
