"""`pydag stats` and `pydag history`."""

from __future__ import annotations

import json
import time

import pytest

from pydag_dist.cli.commands.upkeep import history as upkeep
from pydag_dist.history import History
from pydag_dist.log_store import open_log_store
from pydag_dist.settings import load_settings
from tests.contract.test_history_upkeep import ended, write
from tests.unit.cli.test_commands import pydag_cli

DAY = 86_400
OLD = ((time.time() - 1_767_225_600) / DAY) - 400  # days from 2026-01-01: 400 days ago


@pytest.fixture
def history(connection, monkeypatch, tmp_path):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    with History(f"sqlite:///{tmp_path / 'history.sqlite'}") as history:
        history.open()
        write(history, ended("old", OLD, billed=2**40), ended("new", OLD + 399, billed=2**41))
        yield history


@pytest.mark.usefixtures("history")
def test_stats_say_what_runs_took_and_cost():
    lines = pydag_cli("stats").stdout.splitlines()
    assert lines[0].split()[:4] == ["dag", "runs", "success", "failed"]
    assert lines[1].split()[:3] == ["d", "1", "100.0%"]
    assert lines[1].endswith("1:00 min  1:00 min  2.2 TB  12.50")
    assert pydag_cli("stats", "--since", "500d").stdout.split()[-1] == "18.75"
    found = json.loads(pydag_cli("stats", "d", "--price", "1", "--json").stdout)
    assert found["by"] == "task"
    assert [(one["name"], one["price"]) for one in found["stats"]] == [("a", 2.0), ("b", 0.0)]
    found = json.loads(pydag_cli("stats", "--by", "run", "--since", "500d", "--json").stdout)
    assert [one["name"] for one in found["stats"]] == ["new", "old"]
    result = pydag_cli("stats", "none")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There are no runs of that DAG" in result.stderr


def test_a_price_of_ones_own_counts(history, monkeypatch):
    monkeypatch.setenv("PYDAG_BIGQUERY_PRICE", "8")
    assert pydag_cli("stats").stdout.split()[-1] == "16.00"
    assert "(USD 16.00)" in pydag_cli("status", "new").stdout


def test_old_runs_are_deleted_with_their_logs(history, monkeypatch):
    monkeypatch.setattr(upkeep, "PROGRESS", -1.0)
    store = open_log_store(load_settings())
    part = {"w": "w", "n": "0", "o": "0", "lines": "[]"}
    for run_id in ("old", "new"):
        store.write(run_id, "a", 1, [part])
    result = pydag_cli("history", "prune", "--older-than", "365d", "--dry-run")
    assert result.stdout.startswith("1 run ended before 20")
    assert history.has("old")
    result = pydag_cli("history", "prune", "--older-than", "365d")
    assert result.stderr == "0 of 1 run deleted\n"
    assert result.stdout == "deleted 1 run and 2 tries\n"
    assert [run.run_id for run in history.runs()] == ["new"]
    assert store.read("old", [("a", 1)]) == {}
    assert store.read("new", [("a", 1)]) != {}
    assert "is no number of days" in pydag_cli("history", "prune", "--older-than", "1y").stderr


def test_a_backup_goes_on_in_another_place(history, monkeypatch, tmp_path):
    file = tmp_path / "backup.sqlite"
    assert pydag_cli("history", "backup", str(file)).stdout == f"{file} has 2 runs\n"
    again = pydag_cli("history", "backup", str(file))
    assert (again.exit_code, "is there already: name a new file" in again.stderr) == (2, True)
    nowhere = pydag_cli("history", "backup", str(tmp_path / "no" / "where"))
    assert nowhere.exit_code == 2
    assert nowhere.stderr.count("\n") == 1
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "another"))
    assert "there is no history in" in pydag_cli("stats").stderr
    assert "there is no history in" in pydag_cli("history", "prune", "--older-than", "9d").stderr
    (wrong := tmp_path / "other.py").write_text("print('not a database at all')\n" * 9)
    assert f"{wrong} is no backup of a" in pydag_cli("history", "restore", str(wrong)).stderr
    assert " has 2 runs" in pydag_cli("history", "restore", str(file)).stdout
    assert pydag_cli("stats", "--since", "500d").stdout.split()[-1] == "18.75"
    assert "has runs already" in pydag_cli("history", "restore", str(file)).stderr


@pytest.mark.usefixtures("history")
def test_rows_are_exported(tmp_path):
    lines = pydag_cli("history", "export", "runs", "--since", "30d").stdout.splitlines()
    assert [json.loads(line)["run_id"] for line in lines] == ["new"]
    file = tmp_path / "tries.csv"
    pydag_cli("history", "export", "tries", "--format", "csv", "--output", str(file))
    head, *rows = file.read_text().splitlines()
    assert head.startswith("run_id,task_id,try_number,state,")
    assert len(rows) == 4


def test_what_needs_the_database_does_not_go_by_rest(monkeypatch):
    monkeypatch.setenv("PYDAG_URL", "https://pydag.example")
    result = pydag_cli("stats")
    assert result.exit_code == 2
    assert "set PYDAG_DATABASE_URL" in result.stderr
