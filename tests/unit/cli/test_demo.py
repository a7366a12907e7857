"""The demo's options and verdict, and an embedded installation on a machine without Java."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from pydag_dist.cli import pydag
from pydag_dist.cli.commands import run_demo
from pydag_dist.local import stack
from pydag_dist.local.home import Home
from pydag_dist.local.ports import Ports
from pydag_dist.local.seed import Report, TableFacts

RIGHT = {"table_stg": TableFacts(10, 55), "mytable3": TableFacts(2, 7)}


@pytest.mark.parametrize(("right", "code"), [(True, 0), (False, 1)])
def test_the_command_tells_how_many_rows_and_ends_as_the_verdict_is(
    monkeypatch, tmp_path, right, code
):
    asked = []
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    monkeypatch.setattr(
        run_demo, "run_demo", lambda home, rows, _: asked.append((home.path, rows)) or right
    )
    assert CliRunner().invoke(pydag, ["demo", "--rows", "500"]).exit_code == code
    assert asked == [(tmp_path / "demo", 500)]


def test_the_right_tables_are_right(capsys):
    sample = [{"id": 3, "category": "cars", "lastdate": "2022-01-01"}]
    assert run_demo.show(Report(RIGHT, RIGHT, sample))
    shown = capsys.readouterr()
    assert "2022-01-01" in shown.out
    assert "exactly the rows" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("found", [TableFacts(3, 7), TableFacts(2, 8), None])
def test_a_wrong_table_is_named(capsys, found):
    tables = {"table_stg": RIGHT["table_stg"]} | ({"mytable3": found} if found else {})
    assert not run_demo.show(Report(tables, RIGHT, []))
    shown = capsys.readouterr()
    assert "Error: mytable3 " in shown.err
    assert "exactly the rows" not in shown.out


def test_without_java_only_dataproc_is_missing(monkeypatch, tmp_path):
    no_java = "import sys; sys.exit('no Java for ' + sys.argv[1])"
    monkeypatch.setattr(stack, "_FIND_JAVA", (sys.executable, "-c", no_java))
    problem = stack.Stack(Home(tmp_path), Ports()).java_problem
    assert problem == f"no Java for {tmp_path / 'dataproc'}"
