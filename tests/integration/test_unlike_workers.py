"""Workers of one queue that can't do the same."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.why import why_task
from tests.support import wait_until
from tests.support.cluster import ROOT, Cluster, Part, call
from tests.support.local_bigquery import PROJECT, LocalBigQuery


def start_worker(
    cluster: Cluster, name: str, *options: str, queue: str = "python", wait: bool = True, **env: str
) -> Part:
    command = ["-P", "-m", "pydag_dist", "worker", "-n", f"{name}@test", "-c", "2", "-Q", queue]
    part = cluster.start(name, [*command, "--log-level", "WARNING", *options], **env)
    if wait:
        cluster.wait_registered(part, queue)
    return part


def python_call(task_id: str, target: str, **fields: Any) -> dict[str, Any]:
    params = {"callable": target}
    return {"task_id": task_id, "operator": "python.call", "params": params, **fields}


def change(file: Path, text: str) -> None:
    """Write a version of a module, of another time than the last one."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    if file.stat().st_mtime_ns == before:
        os.utime(file, ns=(before + 1_000_000, before + 1_000_000))


def test_what_one_worker_cannot_run_the_other_does(cluster: Cluster) -> None:
    """One without --import, one with: nothing fails, and no try is used up."""
    cluster.coordinator()
    start_worker(cluster, "without")
    start_worker(cluster, "with", "--import", "tests.tasks.callables")
    run = cluster.submit([cluster.task(f"t{i}", "note", after=[]) for i in range(30)])
    snapshot = cluster.wait_ended(run)
    assert snapshot.counts == {"success": 30}
    assert {task.try_number for task in snapshot.tasks.values()} == {1}
    assert {task.worker for task in snapshot.tasks.values()} == {"with@test"}
    records = [cluster.record(run.id, f"t{i}") for i in range(30)]
    assert {(r["deaths"], r["losses"]) for r in records} == {("0", "0")}
    assert sorted(cluster.journal.tasks("ran")) == sorted(f"t{i}" for i in range(30))
    refusals = cluster.engine.reading.refusals("python")
    assert {(r.worker, r.need) for r in refusals} <= {
        ("without@test", "module:tests.tasks.callables")
    }
    cluster.assert_nothing_left([run])


def test_what_nobody_can_run_waits_and_says_who_refused(cluster: Cluster, tmp_path: Path) -> None:
    """Until a worker comes that can; a reason of the DAG's own fails at once."""
    cluster.coordinator()
    start_worker(cluster, "without")
    run = cluster.submit([cluster.task("t", "note")])

    def reason() -> str:
        told = why_task(cluster.engine.reading, run.id, "t")
        return told if "no live worker of queue python can run it" in told else ""

    told = wait_until(reason, "the refusal is told")
    assert "without@test" in told
    assert "which this worker may not call (allowed: none)" in told
    assert "start the worker with --import tests.tasks.callables" in told
    task = cluster.engine.reading.snapshot(run.id).tasks["t"]
    assert (task.state, task.try_number) == ("ready", 1)
    assert task.refused is not None
    assert task.refused.startswith("without@test: callable 'tests.tasks.callables:note'")
    start_worker(cluster, "with", "--import", "tests.tasks.callables")
    assert cluster.wait_ended(run).state == "success"
    absent = cluster.submit([call("t", "no_such_function")])
    ended = cluster.wait_ended(absent)
    assert ended.state == "failed"
    assert "module tests.tasks.callables has no function no_such_function" in str(
        ended.tasks["t"].error
    )


def test_a_changed_module_is_loaded_anew_and_a_broken_one_answers_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    helper, module = folder / "its_helper.py", folder / "etl_changing.py"
    change(helper, "VALUE = 1\n")
    change(module, "import its_helper\ndef value():\n    return its_helper.VALUE\n")
    cluster.coordinator()
    path = os.pathsep.join([str(ROOT), str(folder)])
    worker = start_worker(cluster, "w", "--import", "etl_changing", PYTHONPATH=path)

    def values(count: int = 6) -> set[Any]:
        tasks = [python_call(f"t{i}", "etl_changing:value") for i in range(count)]
        snapshot = cluster.wait_ended(cluster.submit(tasks))
        assert snapshot.state == "success"
        return {task.result for task in snapshot.tasks.values()}

    assert values() == {1}
    change(helper, "VALUE = 2\n")
    time.sleep(1.1)  # files are looked at once a second
    assert values() == {2}
    change(module, "import its_helper\ndef value(:\n")
    time.sleep(1.1)
    run = cluster.submit([python_call("t", "etl_changing:value")])
    told = wait_until(
        lambda: "SyntaxError" in (said := why_task(cluster.engine.reading, run.id, "t")) and said,
        "it is told",
    )
    assert "module etl_changing can't be loaded on this worker" in told
    change(module, "import its_helper\ndef value():\n    return its_helper.VALUE + 1\n")
    assert cluster.wait_ended(run).tasks["t"].result == 3
    assert cluster.record(run.id, "t")["try"] == "1"
    assert "its modules are loaded anew" in worker.text()


def test_two_workers_do_not_share_a_name(cluster: Cluster) -> None:
    """A second one is refused, and one that was killed gives its name up at once."""
    first = start_worker(cluster, "w")
    second = start_worker(cluster, "w", wait=False)
    assert second.wait() != 0
    assert "a worker named w@test is alive" in second.text()
    assert "give this one another name with -n NAME" in second.text()
    assert "Traceback" not in second.text()
    first.kill()
    start_worker(cluster, "w")
    assert list(cluster.engine.reading.members("workers")) == ["w@test"]
    unnamed = ["-P", "-m", "pydag_dist", "worker", "-c", "1", "-Q", "python"]
    for number in (1, 2):
        cluster.start(f"unnamed-{number}", unnamed)
    wait_until(lambda: len(cluster.engine.reading.members("workers")) == 3, "all have names")


def test_a_folder_of_the_users_own_hides_no_package(cluster: Cluster, tmp_path: Path) -> None:
    """It may be named as ours are; what is in the current directory can be called nevertheless."""
    here = tmp_path / "project"
    for name in ("workers", "pydag_dist", "celery"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (here / "etl_here.py").write_text("def f():\n    return 'here'\n")
    cluster.coordinator()
    before = Path.cwd()
    os.chdir(here)
    try:
        start_worker(cluster, "w", "--import", "etl_here")
    finally:
        os.chdir(before)
    run = cluster.submit([python_call("t", "etl_here:f")])
    assert cluster.wait_ended(run).tasks["t"].result == "here"


def test_a_module_that_is_not_there_is_told_at_the_start(cluster: Cluster) -> None:
    worker = start_worker(cluster, "w", "--import", "nosuchmod", wait=False)
    assert worker.wait() == 2
    assert "Error: module nosuchmod can't be imported: ModuleNotFoundError" in worker.text()
    assert "Traceback" not in worker.text()


def test_polls_and_cancels_go_to_a_worker_that_knows_the_connection(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalBigQuery(tmp_path) as bigquery:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.url)
        monkeypatch.setenv("PYDAG_WORKER_PROJECT", PROJECT)
        cluster.coordinator()
        start_worker(cluster, "without", queue="bigquery")
        lake = json.dumps({"LAKE": {"project": PROJECT}})
        start_worker(cluster, "with", queue="bigquery", PYDAG_WORKER_CONNECTIONS=lake)
        params = {"sql": "SELECT 1", "connection": "LAKE"}
        query = {"operator": "bigquery.query", "params": params}
        bigquery.fault(method="run", count=4, delay=8)
        ends = cluster.submit([query | {"task_id": f"q{i}"} for i in range(4)])
        snapshot = cluster.wait_ended(ends)
        assert snapshot.counts == {"success": 4}
        bigquery.fault(method="run", count=None, delay=300)
        stays = cluster.submit([query | {"task_id": f"q{i}"} for i in range(4)])
        wait_until(
            lambda: cluster.engine.reading.snapshot(stays.id).counts == {"deferred": 4},
            "all wait",
            60,
        )
        refused = {"polls:bigquery.query:LAKE", "connection:LAKE"}
        wait_until(
            lambda: {r.need for r in cluster.engine.reading.refusals("bigquery")} & refused,
            "it refuses",
        )
        cluster.engine.steering.cancel(stays.id)
        assert cluster.wait_ended(stays).counts == {"cancelled": 4}
        for run in (ends, stays):
            records = [cluster.record(run.id, f"q{i}") for i in range(4)]
            assert {(r["try"], r["deaths"], r["losses"]) for r in records} == {("1", "0", "0")}
        jobs = bigquery.journal()
        assert len({job["id"] for job in jobs}) == len(jobs) == 8
        cluster.assert_nothing_left([ends, stays])
