"""Cancel, resume and why, by the client and by the command line, on an in-memory Redis."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.coordinator.planner import plan
from pydag_dist.errors import EngineError, InvalidDag, RunFailed, UnknownRun

CALL = {"operator": "python.call", "params": {"callable": "etl:step"}}
NOBODY = "nightly-20240501t020000-0123456789abcdef"


@pytest.fixture
def client(connection):
    return Client("redis://broker.example:6379/0")


def dag(**fields):
    tasks = [
        {"task_id": "first", **CALL},
        {"task_id": "second", **CALL, "dependencies": ["first"]},
    ]
    return Dag.parse({"dag_id": "nightly", "tasks": tasks, **fields})


@pytest.fixture
def started(client, installation):
    """A run whose first task runs; the task as its worker holds it."""
    run = client.submit(dag())
    installation.plan(run.id)
    return run, installation.claim()


def go_on(installation, run):
    """What a coordinator and a worker do with a resumed run."""
    engine = installation.engine
    engine.working.renew(installation.worker, 1000, [installation.queue])
    assert plan(engine, run.id, Dag.parse(engine.reading.submitted_dag(run.id)))
    while engine.reading.run_state(run.id) == "running":
        installation.end(installation.claim())


def pydag_cli(*arguments):
    return CliRunner().invoke(pydag, arguments)


# The client


def test_a_dags_timeout_is_its_runs(client, installation):
    run = client.submit(dag(timeout=90.5))
    head = installation.connection.hgetall(installation.engine.store.run_key(run.id))
    assert float(head["timeout"]) == 90.5


def test_a_run_that_was_not_planned_is_cancelled_at_once(client):
    run = client.submit(dag())
    assert run.cancel() == "cancelled"
    with pytest.raises(RunFailed, match=r"was cancelled, before it was planned$"):
        run.wait()


def test_cancelling_lasts_until_what_runs_has_stopped(started, installation):
    run, first = started
    assert run.cancel() == "cancelling"
    assert {name: task.state for name, task in run.tasks.items()} == {
        "first": "cancelling",
        "second": "cancelled",
    }
    installation.end(first, "stopped")
    assert run.state == run.cancel() == "cancelled"
    with pytest.raises(RunFailed, match=r"was cancelled; of its 2 tasks: 2 cancelled$"):
        run.wait()


def test_a_cancelled_run_that_redis_lost_is_not_submitted_again(started, connection):
    run, _ = started
    run.cancel()
    connection.flushall()
    with pytest.raises(UnknownRun, match=run.id):
        run.wait()


def test_a_run_past_its_timeout_says_so(started, installation):
    run, first = started
    engine = installation.engine
    engine.store.redis.zadd(engine.store.key("timers"), {f"timeout/{run.id}": 0})
    engine.store.redis.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    assert engine.tick()
    installation.end(first, "stopped")
    with pytest.raises(RunFailed, match="failed: it reached its timeout; of its 2 tasks: 2 canc"):
        run.wait()


def test_resume_keeps_what_succeeded(started, installation):
    run, first = started
    installation.end(first)
    installation.end(installation.claim(), "failed", error="no such table")
    run.resume()
    assert run.state == "queued"
    go_on(installation, run)
    assert run.wait(timeout=0) == "success"
    assert {name: task.try_number for name, task in run.tasks.items()} == {"first": 1, "second": 2}
    assert run.tasks["second"].error is None


def test_resume_from_a_task_runs_it_and_its_downstream_again(started, installation):
    run, first = started
    installation.end(first)
    installation.end(installation.claim())
    run.resume("first")
    go_on(installation, run)
    assert {name: task.try_number for name, task in run.tasks.items()} == {"first": 2, "second": 2}


def test_a_run_that_goes_on_can_not_resume(started):
    run, _ = started
    with pytest.raises(EngineError, match="is running: only a run that has ended can resume"):
        run.resume()


def test_a_retried_failure_fails_nothing(client, installation):
    run = client.submit(dag(retries=1))
    installation.plan(run.id)
    installation.end(installation.claim(), "failed", error="no such table")
    assert run.state == "running"
    assert run.tasks["first"].state == "up_for_retry"
    assert "waits for try 2, which starts in " in run.why("first")
    assert run.why("first").endswith(": try 1 failed: no such table")


@pytest.mark.parametrize("ask", ["cancel", "resume", "why"])
def test_a_run_that_nobody_submitted_is_unknown(client, ask):
    run = client.run(NOBODY)
    with pytest.raises(UnknownRun, match=NOBODY):
        run.why("first") if ask == "why" else getattr(run, ask)()


# The command line


def test_cancel_prints_the_state(started):
    run, _ = started
    result = pydag_cli("cancel", run.id)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "cancelling\n", "")


def test_cancel_waits_for_the_last_task(started, installation, monkeypatch):
    run, first = started
    cancel = type(installation.engine.steering).cancel

    def cancel_and_stop(steering, run_id, by):
        state = cancel(steering, run_id, by)
        installation.end(first, "stopped")
        return state

    monkeypatch.setattr(type(installation.engine.steering), "cancel", cancel_and_stop)
    result = pydag_cli("cancel", run.id, "--wait")
    assert result.exit_code == 0
    assert "first: cancelled" in result.stderr


def test_cancel_gives_up_waiting(started):
    run, _ = started
    result = pydag_cli("cancel", run.id, "--wait", "--timeout", "0.01")
    assert result.exit_code == 3
    assert "is cancelling after 0.01 s" in result.stderr


@pytest.mark.parametrize("options", [(), ("--wait",)])
def test_cancel_of_a_run_that_succeeded(client, installation, options):
    run = client.submit(dag())
    installation.work_off(run.id)
    result = pydag_cli("cancel", run.id, *options)
    assert (result.exit_code, result.stdout) == (1, "success\n")
    assert result.stderr == f"Error: run {run.id} had ended before: success\n"


def test_resume_says_which_dag_it_uses_and_submits(started, installation):
    run, first = started
    installation.end(first, "failed", error="no such table")
    result = pydag_cli("resume", run.id)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "with the DAG as it is stored; --with FILE goes on with a corrected one\n"
    )
    assert run.state == "queued"


@pytest.mark.parametrize(("outcome", "code"), [("success", 0), ("failed", 1)])
def test_resume_waits_for_the_end(started, installation, monkeypatch, outcome, code):
    run, first = started
    installation.end(first, "failed", error="no such table")
    resume = type(installation.engine.steering).resume

    def resume_and_execute(steering, run_id, from_task, by):
        engine = installation.engine
        resume(steering, run_id, from_task, by)
        assert plan(engine, run_id, dag())
        while engine.reading.run_state(run_id) == "running":
            installation.end(installation.claim(), outcome, error="still not there")

    monkeypatch.setattr(type(installation.engine.steering), "resume", resume_and_execute)
    result = pydag_cli("resume", run.id, "--from", "first", "--wait")
    assert result.exit_code == code
    assert ("first (try 2): still not there" in result.stderr) is (outcome == "failed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resume", "RUN"), "is running: only a run that has ended can resume"),
        (("why", "RUN", "frist"), "has no task 'frist': `pydag status"),
        (("why", NOBODY, "first"), f"Redis has no run {NOBODY}"),
        (("cancel", NOBODY), f"Redis has no run {NOBODY}"),
        (("resume", NOBODY, "--from", "first"), f"Redis has no run {NOBODY}"),
    ],
)
def test_what_can_not_be_done_is_one_paragraph(started, arguments, message):
    run, _ = started
    result = pydag_cli(*(run.id if word == "RUN" else word for word in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_why_prints_a_sentence(started):
    run, _ = started
    result = pydag_cli("why", run.id, "second")
    assert (result.exit_code, result.stdout) == (
        0,
        "second waits for 1 upstream task: first (running)\n",
    )


def test_status_tells_why_a_run_was_stopped(started):
    run, _ = started
    run.cancel()
    assert json.loads(pydag_cli("status", run.id, "--json").stdout)["reason"] == "cancel"


def test_a_list_that_a_task_expands_over_is_looked_for_before_the_run_is_sent(client):
    each = {"task_id": "each", **CALL, "expand": {"over": "params.files"}}
    dag = Dag.parse({"dag_id": "nightly", "tasks": [each]})
    with pytest.raises(InvalidDag, match=r"expand\.over: params\.files is not there"):
        client.submit(dag)
    with pytest.raises(InvalidDag, match="must be a list, not 3"):
        client.submit(dag, params={"files": 3})
    assert client.runs() == []
    assert client.submit(dag, params={"files": ["a"]}).state == "queued"


def test_the_log_of_an_expanded_task_is_that_of_its_children(client, installation):
    each = {"task_id": "each", **CALL, "expand": {"over": ["a", "b"]}}
    dag = Dag.parse({"dag_id": "nightly", "tasks": [each, {"task_id": "other", **CALL}]})
    run = client.submit(dag)
    plan_it = Dag.parse(installation.engine.reading.submitted_dag(run.id))
    installation.engine.working.renew(installation.worker, 1000, [installation.queue])
    assert plan(installation.engine, run.id, plan_it)
    for _ in range(3):
        held = installation.claim()
        installation.log(held, f"of {held.task}")
    assert {line.line for line in run.logs("each")} == {"of each.0", "of each.1"}
    assert [line.line for line in run.logs("each.1")] == ["of each.1"]
