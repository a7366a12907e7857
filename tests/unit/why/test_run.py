"""Why a run is not further: what matters most comes first, also of a run of long ago."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pydag_dist import Client, Dag
from pydag_dist.engine import Deferral
from pydag_dist.history import History, batch_of
from pydag_dist.why import why_run
from tests.unit.cli.test_commands import pydag_cli

URL = "redis://broker.example:6379/0"


def call(task_id, *upstream, **more):
    params = {"callable": "etl:step"}
    return {
        "task_id": task_id,
        "operator": "python.call",
        "params": params,
        "dependencies": list(upstream),
    } | more


@pytest.fixture
def client(connection):
    return Client(URL)


def submit(client, *tasks, **fields):
    return client.submit(Dag.parse({"dag_id": "d", "tasks": list(tasks), **fields}), run_id="r")


def test_a_run_that_nobody_plans(client):
    run = submit(client, call("a"))
    assert run.why().startswith(
        "run r waits for a coordinator to plan its run, which was submitted"
    )
    assert "`pydag coordinator`" in run.why()
    assert [reason.task for reason in run.reasons()] == [None]


def test_a_late_run_is_said_to_be_late(client, installation):
    tasks = {"dag_id": "d", "expected_within": 60, "tasks": [call("a")]}
    run = client.submit(Dag.parse(tasks), run_id="r", logical_date="2026-01-31T06:00:00Z")
    assert run.snapshot().expected_at == datetime(2026, 1, 31, 6, 1, tzinfo=UTC).timestamp()
    late = "; it is late: its end was expected at 2026-01-31 "
    assert late in run.why()
    assert "late      its end was expected at 2026-01-31 " in pydag_cli("status", "r").stdout
    assert " queued, late " in pydag_cli("runs").stdout
    installation.work_off("r")
    assert late in run.why()
    assert "late" not in pydag_cli("runs").stdout


def test_a_run_that_is_in_time_is_not(client):
    submit(client, call("a"), expected_within=3600)
    assert "late" not in pydag_cli("status", "r").stdout + pydag_cli("why", "r").stdout


def test_a_run_that_could_not_be_planned(client, installation):
    run = submit(client, call("a"))
    installation.engine.planning.plan_refuse("r", "no such expansion")
    assert run.why().endswith("could not be planned: no such expansion")
    assert run.tasks["a"].state == "none"
    run.resume()
    run.cancel()
    assert run.tasks["a"].state == "cancelled"


def test_what_failed_and_what_nobody_can_run_come_first(client, installation):
    alike = [call(f"more_{i}") for i in range(9)]
    run = submit(
        client,
        call("bad"),
        call("busy"),
        call("job"),
        *alike,
        call("last", "bad", trigger_rule="all_done"),
        call("end", "busy"),
    )
    installation.plan("r")
    held = {one.task: one for one in (installation.claim() for _ in range(12))}
    installation.end(held["bad"], "failed", error="Traceback (most\nValueError: no luck")
    installation.engine.working.defer(held["job"], Deferral("g", 60.0, '{"state": "PENDING"}'))
    refused = [one for name, one in held.items() if name.startswith("more_")]
    installation.engine.working.refuse(
        refused, "worker@host", "module:etl", "module etl is not allowed"
    )
    lines = run.why().splitlines()
    assert lines[0].startswith("run r is running for ")
    assert lines[0].endswith(": 1 of 14 tasks have ended")
    assert lines[1].startswith("bad failed at ")
    assert "no live worker of queue python can run it" in lines[2]
    assert lines[-1] == "1 task waits for its upstream tasks"
    told = run.reasons()
    kinds = [reason.state for reason in told[1:]]
    assert kinds.index("deferred") < kinds.index("running") < kinds.index("none")
    # Of many that are alike one tells of all.
    assert sum("module etl is not allowed" in reason.why for reason in told) == 1
    assert sum(reason.why.endswith(" more tasks are ready") for reason in told) == 1


def test_what_has_ended_meanwhile_keeps_nobody_waiting(client, installation):
    run = submit(client, call("a"), call("b"))
    installation.plan("r")
    seen = run.snapshot()
    installation.end(installation.claim())
    told = why_run(client.engine.reading, "r", seen)
    assert [(reason.task, reason.state) for reason in told if reason.task] == [("b", "queued")]


def test_the_reasons_as_json(client, installation):
    submit(client, call("a"))
    installation.plan("r")
    installation.end(installation.claim(), "failed", error="no luck")
    told = json.loads(pydag_cli("why", "r", "--json").stdout)
    assert told["run_id"] == "r"
    assert [(reason["task"], reason["state"]) for reason in told["reasons"]] == [
        (None, "failed"),
        ("a", "failed"),
    ]
    assert told["reasons"][0]["why"].endswith(": 1 of 1 tasks failed")
    told = json.loads(pydag_cli("why", "d@last", "a", "--json").stdout)
    assert [(reason["task"], reason["state"]) for reason in told["reasons"]] == [("a", "failed")]
    assert pydag_cli("why", "r").stdout.splitlines()[1].endswith("worker@host: no luck")


@pytest.fixture
def past(connection, monkeypatch, tmp_path):
    """A history with a run whose Redis has forgotten it."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    dag = {
        "dag_id": "d",
        "tasks": [
            call("a"),
            call("b", "a"),
            call("x", "a", expand={"over": "tasks.a.result"}),
            call("never"),
        ],
    }
    head = {
        "dag_id": "d",
        "submitted_at": "1000000",
        "started_at": "1000000",
        "total": "3",
        "timeout": "0",
        "rounds": "2",
        "spent": "60000000",
        "round_at": "90000000",
    }
    end = {"ready_at": "1", "started_at": "91000000", "ended_at": "92000000", "worker": "w@h"}
    tasks = [
        ("a", "failed", {"error": "no luck", **end}),
        ("b", "upstream_failed", {}),
        ("x.0", "success", end),
    ]
    entries = [
        (f"{n}-0", {"kind": "task", "run": "old", "task": t, "try": "1", "state": s, **more})
        for n, (t, s, more) in enumerate(tasks)
    ]
    entries.append(("9-0", {"kind": "run", "run": "old", "state": "failed", "at": "99000000"}))
    with History(f"sqlite:///{tmp_path / 'history.sqlite'}") as history:
        history.open()
        history.write(batch_of(entries, {"old": head}, {"old": json.dumps(dag)}))


@pytest.mark.usefixtures("past")
def test_a_run_of_long_ago_is_explained(connection):
    result = pydag_cli("why", "ol")
    assert result.exception is None, repr(result.exception)
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("run old failed at 1970-01-01 ")
    assert lines[0].endswith(" after 1 min 9 s: 1 of 5 tasks failed")
    assert lines[1].endswith("after 1 s on w@h: no luck")
    assert pydag_cli("why", "d@last", "b").stdout == "b does not run because a failed: no luck\n"
    assert pydag_cli("why", "old", "x.0").stdout.startswith("x.0 succeeded at ")
    assert pydag_cli("why", "old", "never").stdout == "never is none, as far as the history knows\n"
    result = pydag_cli("why", "old", "nosuch")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: run old has no task 'nosuch': `pydag status old` lists its tasks\n",
    )


@pytest.mark.usefixtures("past")
def test_its_status_says_what_its_rounds_took(connection):
    shown = pydag_cli("status", "old").stdout.splitlines()
    assert shown[1].endswith("3/5 tasks  1:09 min  round 2")
    assert shown[-1] == "a, try 1: no luck"
    told = json.loads(pydag_cli("status", "d@1970-01-01", "--json").stdout)
    assert (told["run_id"], told["rounds"], told["took"]) == ("old", 2, 69)
    assert told["tasks"]["never"]["state"] == "none"
