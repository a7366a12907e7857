"""A run that failed goes on with a corrected file and with marks, by the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pydag_dist.client.run import Run
from pydag_dist.history import History
from tests.support.cluster import ROOT, Cluster, dag


def pydag(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "PYDAG_REDIS_URL": cluster.url,
        "PYDAG_KEY_PREFIX": cluster.prefix,
        "PYDAG_HOME": str(cluster.home),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "pydag_dist", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def states(run: Run) -> dict[str, tuple[str, int]]:
    return {name: (task.state, task.try_number) for name, task in run.tasks.items()}


def test_a_run_goes_on_with_a_corrected_file(busy_cluster: Cluster, tmp_path: Path) -> None:
    note = busy_cluster.task
    kept = note("extract", "note")
    alarm = note("alarm", "note", after=["load"]) | {"trigger_rule": "all_done"}
    old = dag([kept, note("load", "note", after=["extract"], fail=True), alarm])
    new = dag([kept, note("load", "note", after=["extract"], ms=1), alarm])
    run = busy_cluster.client.submit(old)
    busy_cluster.wait_ended(run)
    assert states(run) == {
        "extract": ("success", 1),
        "load": ("failed", 1),
        "alarm": ("success", 1),
    }
    file = tmp_path / "new.json"
    file.write_text(new.to_json())

    dry = pydag(busy_cluster, "resume", run.id, "--with", str(file), "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, ""), dry
    assert [line.split() for line in dry.stderr.splitlines()] == [
        ["runs", "again", "why"],
        ["load", "changed:", "params"],
        ["alarm", "downstream", "of", "load"],
        ["2", "of", "3", "tasks", "run,", "1", "are", "kept"],
    ]
    assert run.state == "failed"
    done = pydag(busy_cluster, "resume", run.id, "--with", str(file), "--wait", "--timeout", "60")
    assert done.returncode == 0, done
    assert done.stderr.startswith(dry.stderr)
    assert states(run) == {
        "extract": ("success", 1),
        "load": ("success", 2),
        "alarm": ("success", 2),
    }
    busy_cluster.wait_written()
    with History(f"sqlite:///{busy_cluster.home}/history.sqlite") as history:
        past = history.past(run.id)
        assert past is not None
        assert past.dag == new.to_json()
    begun = pydag(busy_cluster, "submit", str(file), "--from", "load", "--wait", "--timeout", "60")
    assert begun.returncode == 0, begun
    run = busy_cluster.client.by_id(begun.stdout.split()[0])
    assert states(run) == dict.fromkeys(("extract", "load", "alarm"), ("success", 1))
    busy_cluster.wait_written()
    with History(f"sqlite:///{busy_cluster.home}/history.sqlite") as history:
        past = history.past(run.id)
        assert past is not None
        assert {each.task_id: each.reason for each in past.tries}["extract"] == "taken"
        assert history.snapshot(run.id) is not None


def test_a_mark_stops_what_runs_and_a_resume_goes_on_from_one(
    busy_cluster: Cluster, tmp_path: Path
) -> None:
    gate = str(tmp_path / "never")
    tasks = [
        busy_cluster.task("stuck", "hold", gate=gate),
        busy_cluster.task("load", "note", after=["stuck"], fail=True),
        busy_cluster.task("report", "note", after=["load"]),
    ]
    run = busy_cluster.submit(tasks)
    busy_cluster.wait_lines("start", run, 1)
    marked = pydag(busy_cluster, "mark", run.id, "stuck", "success", "--result", '{"rows": 1}')
    assert (marked.returncode, marked.stdout, marked.stderr) == (0, "", "")
    busy_cluster.wait_ended(run)
    assert run.tasks["stuck"].result == {"rows": 1}
    assert states(run) == {
        "stuck": ("success", 1),
        "load": ("failed", 1),
        "report": ("upstream_failed", 1),
    }
    assert busy_cluster.journal.tasks("end", run.id) == []
    said = pydag(busy_cluster, "why", run.id, "stuck").stdout
    assert said.startswith("stuck was marked success by ")
    refused = pydag(busy_cluster, "mark", run.id, "nobody", "failed")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)

    assert pydag(busy_cluster, "mark", run.id, "load", "success").returncode == 0
    assert pydag(busy_cluster, "resume", run.id, "--wait", "--timeout", "60").returncode == 0
    assert states(run) == {
        "stuck": ("success", 1),
        "load": ("success", 1),
        "report": ("success", 1),
    }
