"""What the README says about one's own DAG holds when it is typed."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.documents import all_blocks


def test_the_dag_of_the_readme_is_right(up):
    assert up.run("validate", "sales.json").returncode == 0
    graph = up.run("graph", "sales.json")
    assert graph.returncode == 0
    assert "make_table" in graph.stdout


def test_the_dag_of_the_readme_runs(up, terminal):
    result = up.run("submit", "sales.json", "--wait", **terminal)
    assert result.returncode == 0, result.stderr
    logs = up.run("logs", result.stdout.strip(), "report", **terminal)
    assert "done: datasettest.shops" in logs.stdout


def test_the_python_of_the_readme_runs(up, terminal):
    [code] = [block.text for block in all_blocks("python") if block.page.name == "README.md"]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=up.home.parent,
        env=dict(os.environ) | terminal,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "{'table': 't'}" in result.stdout, result.stderr
    assert "done: t" in result.stdout
