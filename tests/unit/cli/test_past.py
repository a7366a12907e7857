"""`pydag status`, `pydag logs` and `pydag runs` for runs that Redis has no longer."""

from __future__ import annotations

import json

import pytest

from pydag_dist.cli import run_lookup
from pydag_dist.history import LOST, History, HistoryReader, batch_of
from pydag_dist.log_store import open_log_store
from pydag_dist.settings import load_settings
from tests.unit.cli.test_commands import pydag_cli

HEAD = {"dag_id": "d", "submitted_at": "1000000", "total": "1"}
DAG = '{"dag_id": "d", "tasks": []}'


@pytest.fixture(params=[False, True], ids=["default", "named"])
def history(connection, monkeypatch, tmp_path, request):
    """A history of this Redis with the ended run `old`; by its URL, or where it is by default."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'history.sqlite'}"
    if request.param:
        url = f"sqlite:///{tmp_path / 'named.sqlite'}"
        monkeypatch.setenv("PYDAG_DATABASE_URL", url)
    connection.set("pydag:epoch", "e1")
    with History(url) as history:
        history.open()
        history.set_epoch("e1")
        head = {"kind": "run", "run": "old", "state": "success", "at": "3000000"}
        task = {
            "kind": "task",
            "run": "old",
            "task": "t",
            "try": "2",
            "state": "success",
            "at": "1",
        }
        entries = [("1-0", {**task, "result": "[1]"}), ("2-0", head)]
        history.write(batch_of(entries, {"old": HEAD}, {"old": DAG}))
        yield history


@pytest.mark.usefixtures("history")
def test_status_finds_a_run_in_the_history():
    status = json.loads(pydag_cli("status", "old", "--json").stdout)
    assert (status["dag_id"], status["state"], status["ended_at"]) == ("d", "success", 3.0)
    assert status["tasks"]["t"]["result"] == [1]
    result = pydag_cli("status", "other")
    assert result.exit_code == 2
    assert "there is no run other" in result.stderr


@pytest.mark.usefixtures("history")
def test_logs_of_a_run_of_the_history_are_those_of_the_log_store():
    lines = json.dumps([[1000.0, "INFO", "kept"]])
    store = open_log_store(load_settings())
    store.write("old", "t", 1, [{"w": "w", "n": "0", "o": "0", "lines": lines}])
    assert pydag_cli("logs", "old").stdout == "1970-01-01T00:16:40.000Z t#1 INFO    kept\n"
    assert pydag_cli("logs", "old", "t", "--grep", "other").stdout == ""
    result = pydag_cli("logs", "old", "none")
    assert (result.exit_code, "has no task 'none'" in result.stderr) == (2, True)


@pytest.mark.usefixtures("history")
def test_what_tasks_usually_take_is_not_known_of_a_history_that_is_lost_meanwhile(
    monkeypatch, caplog
):
    def lost(*_):
        raise LOST[1]("away")

    monkeypatch.setattr(HistoryReader, "durations", lost)
    assert run_lookup.usual_seconds("d") == {}
    assert "can't be read: away" in caplog.text


@pytest.mark.usefixtures("history")
def test_runs_lists_those_of_redis_and_then_those_of_the_history(installation):
    installation.engine.steering.submit("new", DAG, "d")
    installation.engine.steering.submit("old2", DAG, "d")
    listed = json.loads(pydag_cli("runs", "--json").stdout)["runs"]
    assert [run["run_id"] for run in listed] == ["old2", "new", "old"]
    assert listed[-1]["counts"] == {"total": 1, "ended": 1, "active": 0, "failed": 0}
    listed = json.loads(pydag_cli("runs", "--limit", "2", "--json").stdout)["runs"]
    assert [run["run_id"] for run in listed] == ["old2", "new"]


@pytest.mark.usefixtures("history")
def test_a_whole_id_of_the_history_is_no_beginning_of_another(installation):
    installation.engine.steering.submit("old-2", DAG, "d")
    assert json.loads(pydag_cli("status", "old", "--json").stdout)["run_id"] == "old"
    assert json.loads(pydag_cli("status", "old-", "--json").stdout)["run_id"] == "old-2"
    assert json.loads(pydag_cli("status", "ol", "--json").stdout)["run_id"] == "old-2"
    result = pydag_cli("cancel", "old")
    assert (result.exit_code, "Redis has no run old" in result.stderr) == (2, True)
    assert installation.engine.reading.run_state("old-2") == "queued"
    result = pydag_cli("cancel", "old-", "--json")
    assert json.loads(result.stdout) == {"run_id": "old-2", "state": "cancelled"}
    assert result.stderr == "run old-2\n"
    waited = pydag_cli("status", "old", "--wait")
    assert (waited.exit_code, waited.stdout.splitlines()[0]) == (0, "old")


def test_runs_leaves_out_another_installation_s(history):
    history.set_epoch("e2")
    assert json.loads(pydag_cli("runs", "--json").stdout)["runs"] == []


@pytest.mark.usefixtures("connection")
def test_a_history_that_cannot_be_read_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PYDAG_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere/history.sqlite")
    result = pydag_cli("status", "old")
    assert result.exit_code == 2
    assert "can't be read: unable to open database file" in result.stderr
    assert result.stderr.count("\n") == 1
