"""The command line: exit codes, what goes to stdout and stderr, and no traceback ever."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag

GOOD = {
    "dag": {
        "dag_id": "nightly",
        "tasks": [
            {"task_id": "first", "operator": "python.call", "params": {"callable": "etl:a"}},
            {
                "task_id": "second",
                "operator": "python.call",
                "params": {"callable": "etl:b"},
                "dependencies": ["first"],
            },
        ],
    }
}


@pytest.fixture
def dag_file(tmp_path):
    path = tmp_path / "dag.json"
    path.write_text(json.dumps(GOOD))
    return str(path)


@pytest.fixture
def broken_file(tmp_path):
    path = tmp_path / "broken.json"
    tasks = [{"task_id": "a", "operator": "python.cal"}, {"task_id": "b", "dependencies": ["c"]}]
    path.write_text(json.dumps({"dag": {"dag_id": "broken", "tasks": tasks}}))
    return str(path)


def pydag_cli(*arguments):
    return CliRunner().invoke(pydag, arguments)


@pytest.mark.parametrize("name", sorted(pydag.commands))
def test_each_command_teaches_with_an_example(name):
    result = pydag_cli(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"pydag {name}" in result.output


def test_validate_says_what_is_right(dag_file):
    result = pydag_cli("validate", dag_file)
    assert result.exit_code == 0
    assert "nightly with 2 tasks is right" in result.stdout


def test_validate_names_every_problem_on_its_own_line(dag_file, broken_file):
    result = pydag_cli("validate", broken_file, dag_file)
    assert result.exit_code == 2
    assert "nightly with 2 tasks is right" in result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(broken_file) for line in lines)
    assert any("python.cal" in line for line in lines)


def test_validate_of_a_file_that_is_not_there():
    result = pydag_cli("validate", "nowhere.json")
    assert result.exit_code == 2
    assert "nowhere.json" in result.stderr


def scheduled(tmp_path, **fields):
    path = tmp_path / "scheduled.json"
    path.write_text(json.dumps({"dag": {**GOOD["dag"], **fields}}))
    return str(path)


def test_schedule_prints_due_times_in_the_dags_zone(tmp_path):
    file = scheduled(tmp_path, schedule_interval="30 2 * * *", timezone="Europe/Berlin")
    result = pydag_cli("schedule", file, "-n", "3", "--from", "2026-03-28")
    assert (result.exit_code, result.stdout.split()) == (
        0,
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
    )
    result = pydag_cli("schedule", file, "--from", "2026-03-28T01:30:00Z", "-n", "1", "--json")
    assert json.loads(result.stdout) == {
        "dag_id": "nightly",
        "due": [
            {
                "logical_date": "2026-03-28T02:30:00+01:00",
                "data_interval_start": "2026-03-27T02:30:00+01:00",
                "data_interval_end": "2026-03-28T02:30:00+01:00",
            }
        ],
    }


def test_schedule_begins_now(tmp_path):
    begin = datetime.now(UTC)
    found = pydag_cli("schedule", scheduled(tmp_path, schedule_interval=1.5)).stdout.split()
    assert len(found) == 10
    assert begin <= datetime.fromisoformat(found[0]) <= datetime.now(UTC) + timedelta(seconds=1.5)


def test_schedule_knows_published_dags(installation, tmp_path):
    file = scheduled(tmp_path, schedule_interval="@daily", timezone="Asia/Tokyo")
    Client().publish(Dag.load(file))
    arguments = ("-n", "2", "--from", "2026-03-28T01:00")
    published = pydag_cli("schedule", "nightly", *arguments)
    assert published.stdout == pydag_cli("schedule", file, *arguments).stdout
    assert published.stdout.split()[0] == "2026-03-29T00:00:00+09:00"
    result = pydag_cli("schedule", "nightli")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nightli" in result.stderr
    result = pydag_cli("schedule", "missing.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "missing.json: can't be read" in result.stderr


def test_schedule_says_that_a_dag_is_not_due_again(tmp_path, dag_file):
    file = scheduled(tmp_path, schedule_interval="@daily", end_date="2026-01-31")
    result = pydag_cli("schedule", file, "--from", "2026-01-31")
    assert (result.exit_code, result.stdout) == (0, "2026-01-31T00:00:00+00:00\n")
    assert result.stderr == "DAG nightly is not due again.\n"
    result = pydag_cli("schedule", dag_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "DAG nightly has no schedule_interval" in result.stderr
    result = pydag_cli("schedule", file, "--from", "tomorrow")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--from must be a day or a time" in result.stderr


def test_graph_draws_the_dag(dag_file):
    result = pydag_cli("graph", dag_file)
    assert result.exit_code == 0
    assert "first" in result.stdout
    assert "second" in result.stdout


def test_schema_is_json():
    result = pydag_cli("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["$schema"]


def test_submit_prints_the_run_id(installation, dag_file):
    result = pydag_cli("submit", dag_file)
    assert result.exit_code == 0
    assert installation.engine.reading.run_state(result.stdout.strip()) == "queued"


def test_submit_as_json(installation, dag_file):
    result = pydag_cli("submit", dag_file, "--json")
    assert installation.engine.reading.run_state(json.loads(result.stdout)["run_id"]) == "queued"


def test_submit_hands_on_parameters(installation, tmp_path):
    dag_file = str(tmp_path / "dag.json")
    declared = {"params": {"day": "", "limit": 1}}
    Path(dag_file).write_text(json.dumps({"dag": GOOD["dag"] | declared}))
    result = pydag_cli("submit", dag_file, "--param", "day=2024-05-01", "--param", "limit=10")
    head = installation.connection.hgetall(installation.engine.store.run_key(result.stdout.strip()))
    assert json.loads(head["params"]) == {"day": "2024-05-01", "limit": 10}


def test_submit_refuses_a_param_that_the_dag_does_not_have(dag_file):
    result = pydag_cli("submit", dag_file, "--param", "dya=2024-05-01")
    assert result.exit_code == 2
    assert "DAG nightly has no param dya (it has: none)" in result.stderr
    assert result.stdout == ""


def test_submit_warns_of_what_no_live_worker_can_run(installation, dag_file):
    result = pydag_cli("submit", dag_file)
    assert result.exit_code == 0
    assert "Warning: tasks first, second: no live worker can run them: none" in result.stderr
    assert installation.engine.reading.run_state(result.stdout.strip()) == "queued"
    told = pydag_cli("validate", "--live", dag_file)
    assert told.exit_code == 0
    assert told.stderr == result.stderr


def test_workers_lists_workers_and_coordinators(installation):
    engine = installation.engine
    info = {"host": "h", "slots": 2, "queues": ["python"], "imports": ["etl"], "version": "1.0"}
    engine.membership.register("workers", "w@h", "a", json.dumps(info), busy=1)
    engine.membership.register(
        "coordinators", "c-1", "b", json.dumps({"host": "h", "writes_history": True})
    )
    shown = pydag_cli("workers").stdout
    assert [line.split() for line in shown.splitlines() if line.startswith("w@h")] == [
        ["w@h", "h", "1/2", "python", "etl", "1.0"]
    ]
    assert "writes it" in shown
    told = json.loads(pydag_cli("workers", "--json").stdout)
    assert told["workers"][0]["info"] == info
    assert told["coordinators"][0]["name"] == "c-1"


def test_submit_hands_on_the_logical_date(installation, dag_file):
    result = pydag_cli("submit", dag_file, "--logical-date", "2026-01-31T06:00+02:00")
    _, logical_date = installation.engine.reading.run_params(result.stdout.strip())
    assert logical_date == "2026-01-31T04:00:00+00:00"


def test_submit_refuses_what_is_no_date(connection, dag_file):
    result = pydag_cli("submit", dag_file, "--logical-date", "31.1.2026")
    assert result.exit_code == 2
    assert "logical date '31.1.2026': must be ISO 8601" in result.stderr
    assert connection.keys() == []


def test_submit_refuses_a_parameter_without_a_value(dag_file):
    result = pydag_cli("submit", dag_file, "--param", "day")
    assert result.exit_code == 2
    assert "'day' is not NAME=VALUE" in result.stderr


def test_submit_of_a_broken_dag_names_every_problem(connection, broken_file):
    result = pydag_cli("submit", broken_file)
    assert result.exit_code == 2
    assert "python.cal" in result.stderr
    assert connection.keys() == []


def ended_by(monkeypatch, installation, outcome):
    """Let every submitted run be executed at once, each task ending that way."""
    submit = type(installation.engine.steering).submit

    def submit_and_execute(steering, run_id, *arguments, **options):
        answer = submit(steering, run_id, *arguments, **options)
        installation.plan(run_id)
        while installation.engine.reading.run_state(run_id) == "running":
            installation.end(installation.claim(), outcome, error="no such table")
        return answer

    monkeypatch.setattr(type(installation.engine.steering), "submit", submit_and_execute)


def test_waiting_for_a_run_that_succeeds(monkeypatch, installation, dag_file):
    ended_by(monkeypatch, installation, "success")
    result = pydag_cli("submit", dag_file, "--wait")
    assert result.exit_code == 0
    assert installation.engine.reading.run_state(result.stdout.strip()) == "success"
    assert "second: success" in result.stderr


def test_waiting_for_a_run_that_fails(monkeypatch, installation, dag_file):
    ended_by(monkeypatch, installation, "failed")
    result = pydag_cli("submit", dag_file, "--wait")
    assert result.exit_code == 1
    assert "first (try 1): no such table" in result.stderr


def test_waiting_with_json_prints_the_final_status(monkeypatch, installation, dag_file):
    ended_by(monkeypatch, installation, "failed")
    result = pydag_cli("submit", dag_file, "--wait", "--json")
    assert result.exit_code == 1
    status = json.loads(result.stdout)
    assert status["state"] == "failed"
    assert status["tasks"]["second"]["state"] == "upstream_failed"


def test_waiting_too_long(installation, dag_file):
    result = pydag_cli("submit", dag_file, "--wait", "--timeout", "0.01")
    assert result.exit_code == 3
    assert "and goes on" in result.stderr
    assert installation.engine.reading.run_state(result.stdout.strip()) == "queued"


def test_ctrl_c_while_waiting_ends_the_waiting_only(monkeypatch, installation, dag_file):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pydag_dist.cli.display.progress.watch", interrupted)
    result = pydag_cli("submit", dag_file, "--wait")
    assert result.exit_code == 130
    run_id = result.stdout.strip()
    assert f"pydag watch {run_id}" in result.stderr
    assert f"pydag cancel {run_id}" in result.stderr
    assert installation.engine.reading.run_state(run_id) == "queued"


def test_status_shows_the_tasks(installation, dag_file):
    run_id = pydag_cli("submit", dag_file).stdout.strip()
    installation.work_off(run_id)
    result = pydag_cli("status", run_id)
    assert result.exit_code == 0
    assert "2/2 tasks" in result.stdout
    assert "second" in result.stdout


def test_status_says_who_failed_by_hand(installation, dag_file):
    run_id = pydag_cli("submit", dag_file).stdout.strip()
    installation.plan(run_id)
    assert pydag_cli("mark", run_id, "first", "failed").exit_code == 0
    assert "first, try 1: it was marked failed by hand" in pydag_cli("status", run_id).stdout


def test_status_as_json_has_what_is_promised(installation, dag_file):
    run_id = pydag_cli("submit", dag_file).stdout.strip()
    installation.work_off(run_id)
    status = json.loads(pydag_cli("status", run_id, "--json").stdout)
    assert (status["run_id"], status["dag_id"], status["state"]) == (run_id, "nightly", "success")
    assert set(status["tasks"]["first"]) == {
        "state",
        "try_number",
        "ready_at",
        "queued_at",
        "started_at",
        "ended_at",
        "worker",
        "result",
        "error",
        "refused",
        "bytes_billed",
        "cached_from",
        "children",
    }


@pytest.mark.usefixtures("connection")
def test_status_of_an_unknown_run():
    result = pydag_cli("status", "nightly-1")
    assert result.exit_code == 2
    assert "nightly-1" in result.stderr
    assert result.stderr.count("\n") == 1


def test_runs_lists_them(installation, dag_file):
    run_id = pydag_cli("submit", dag_file).stdout.strip()
    installation.work_off(run_id)
    listed = json.loads(pydag_cli("runs", "--json").stdout)["runs"]
    assert [(run["run_id"], run["state"]) for run in listed] == [(run_id, "success")]
    assert "2/2" in pydag_cli("runs").stdout


def test_logs_prints_the_lines(installation, dag_file):
    run_id = pydag_cli("submit", dag_file).stdout.strip()
    installation.plan(run_id)
    installation.log(installation.claim(), "hello", "world")
    result = pydag_cli("logs", run_id, "first")
    assert result.stdout.splitlines() == [
        "1970-01-01T00:16:40.000Z first#1 INFO    hello",
        "1970-01-01T00:16:41.000Z first#1 INFO    world",
    ]


def test_no_redis_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PYDAG_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    result = pydag_cli("runs")
    assert result.exit_code == 2
    assert "No Redis answers at redis://:***@127.0.0.1:1/0" in result.stderr
    assert "pydag up" in result.stderr
    assert "secret" not in result.stderr


def test_a_wrong_setting_is_one_sentence(monkeypatch):
    monkeypatch.setenv("PYDAG_RETENTION", "soon")
    result = pydag_cli("runs")
    assert result.exit_code == 2
    assert "PYDAG_RETENTION" in result.stderr


def test_env_without_a_running_stack(monkeypatch, tmp_path):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    result = pydag_cli("env")
    assert result.exit_code == 2
    assert "pydag up" in result.stderr
    assert result.stdout == ""


@pytest.fixture
def executed(monkeypatch):
    """The command lines that the process would have become."""
    commands = []
    monkeypatch.setattr(os, "execv", lambda path, command: commands.append((path, command)))
    return commands


def test_worker_becomes_a_celery_worker(executed, monkeypatch):
    monkeypatch.setenv("PYDAG_WORKER_FURTHER_IMPORTS", "")
    monkeypatch.setenv("PYDAG_WORKER_QUEUES", "")
    modules = ("--import", "etl.steps", "--import", "billing")
    result = pydag_cli("worker", "-c", "3", "-Q", "a,b", "-n", "w1", *modules)
    assert result.exit_code == 0
    [(path, command)] = executed
    assert path == sys.executable
    assert command[1:7] == ["-P", "-m", "workers", "-A", "workers", "worker"]
    options = set(command[7:])
    assert {"--concurrency=3", "--queues=a,b", "--hostname=w1@%h"} <= options
    assert {"--task-events", "--pool=prefork", "--without-gossip", "--without-mingle"} <= options
    assert os.environ["PYDAG_WORKER_FURTHER_IMPORTS"] == "etl.steps,billing"
    assert os.environ["PYDAG_WORKER_QUEUES"] == "a,b"


def test_worker_leaves_celerys_defaults_alone(executed):
    pydag_cli("worker")
    [(_, command)] = executed
    assert not [o for o in command if o.startswith(("--concurrency", "--queues"))]


def test_each_worker_has_a_name_of_its_own(executed):
    for _ in range(2):
        pydag_cli("worker")
    names = {o for _, command in executed for o in command if o.startswith("--hostname=worker-")}
    assert len(names) == 2


def test_a_queue_that_is_nearly_a_family_is_told(executed):
    result = pydag_cli("worker", "-Q", "pyton,etl")
    assert result.exit_code == 0
    assert "queue pyton: is python meant?" in result.stderr
    assert "etl" not in result.stderr


@pytest.mark.parametrize("wrong", [("-Q", ""), ("-Q", "gcs, python"), ("-c", "1001")])
def test_worker_refuses_what_no_worker_can_be(executed, wrong):
    assert (pydag_cli("worker", *wrong).exit_code, executed) == (2, [])


def test_flower_hands_on_its_own_options(executed):
    result = pydag_cli("flower", "--port", "8080", "--basic-auth=me:secret")
    assert result.exit_code == 0
    [(_, command)] = executed
    assert command[6:] == ["flower", "--address=127.0.0.1", "--port=8080", "--basic-auth=me:secret"]


def test_flower_that_is_not_installed(executed, monkeypatch):
    monkeypatch.setattr("pydag_dist.cli.commands.processes.find_spec", lambda _: None)
    result = pydag_cli("flower")
    assert result.exit_code == 2
    assert "pip install 'pydag-dist[flower]'" in result.stderr
    assert executed == []


def test_params_are_rendered_without_a_run(tmp_path):
    file = tmp_path / "d.json"
    args = ["{{ params.n }}", "{{ ds }}", "{{ tasks.a.result | first }}"]
    task = {"operator": "python.call", "params": {"callable": "m:f"}}
    other = {"operator": "python.call", "params": {"callable": "m:f", "args": args}}
    other |= {"task_id": "b", "dependencies": ["a"]}
    dag = {"dag_id": "d", "params": {"n": 1}, "tasks": [{"task_id": "a", **task}, other]}
    file.write_text(json.dumps(dag))

    def typed(*arguments):
        return CliRunner().invoke(pydag, ["render", str(file), *arguments])

    given = ["--param", "n=2", "--logical-date", "2026-01-31", "--result", 'a=["ü"]']
    assert json.loads(typed("b", *given).stdout)["args"] == [2, "2026-01-31", "ü"]
    assert "needs the result of a" in typed("b").stderr
    assert "has no task c" in typed("c").stderr
