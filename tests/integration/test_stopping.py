"""Cancelled, timed out, revoked, tried again: on real workers, remote jobs included."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from pydag_dist.client import Run
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.settings import Settings
from tests.support import wait_until
from tests.support.cluster import Cluster, call
from tests.support.local_bigquery import LocalBigQuery

# Rows of a cross join that no machine counts in a minute.
ENDLESS = """
SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a
CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000000)) AS b WHERE MOD(a * b, 7) = 3
"""


def states(cluster: Cluster, run: Run) -> dict[str, str]:
    return {
        name: task.state for name, task in cluster.engine.reading.snapshot(run.id).tasks.items()
    }


def test_a_cancelled_run_stops_what_runs_and_starts_nothing_more(
    busy_cluster: Cluster, tmp_path: Path
) -> None:
    task = busy_cluster.task
    gate = str(tmp_path / "never")
    tasks = [task(f"t{i}", "hold", gate=gate) for i in range(10)]
    run = busy_cluster.submit([*tasks, task("after", "note", after=["t0"])])
    started = busy_cluster.wait_lines("start", run, 4)
    assert busy_cluster.engine.steering.cancel(run.id) == "cancelling"
    snapshot = busy_cluster.wait_ended(run)
    assert snapshot.state == "cancelled"
    assert {t.state for t in snapshot.tasks.values()} == {"cancelled"}
    assert busy_cluster.journal.lines("end", run.id) == []
    assert busy_cluster.journal.lines("start", run.id) == started
    # The same processes go on with other tasks.
    pids = {line.pid for line in started}
    other = busy_cluster.submit([task(f"t{i}", "note", ms=50) for i in range(16)])
    assert busy_cluster.wait_ended(other).state == "success"
    assert pids & {line.pid for line in busy_cluster.journal.lines("ran", other.id)}
    busy_cluster.assert_nothing_left([run, other])


def test_a_child_that_ignores_being_told_is_killed(busy_cluster: Cluster) -> None:
    run = busy_cluster.submit([busy_cluster.task("t", "stubborn")])
    busy_cluster.wait_lines("start", run, 1)
    busy_cluster.engine.steering.cancel(run.id)
    assert busy_cluster.wait_ended(run).state == "cancelled"
    assert states(busy_cluster, run) == {"t": "cancelled"}
    assert len(busy_cluster.journal.lines("start", run.id)) == 1
    busy_cluster.assert_nothing_left([run])


def test_a_try_over_its_timeout_fails_and_is_tried_again(
    busy_cluster: Cluster, tmp_path: Path
) -> None:
    slow = busy_cluster.task("slow", "hold", gate=str(tmp_path / "never"))
    slow |= {"timeout": 3, "retries": 1, "retry_delay": 0.1}
    run = busy_cluster.submit([slow, busy_cluster.task("after", "note", after=["slow"])])
    snapshot = busy_cluster.wait_ended(run)
    assert snapshot.state == "failed"
    assert (snapshot.tasks["slow"].state, snapshot.tasks["slow"].try_number) == ("failed", 2)
    assert snapshot.tasks["slow"].error == "timed out after 3 s"
    assert snapshot.tasks["after"].state == "upstream_failed"
    tries = [line.try_number for line in busy_cluster.journal.lines("start", run.id)]
    assert tries == [1, 2]
    busy_cluster.assert_nothing_left([run])


def test_a_run_over_its_timeout_fails(busy_cluster: Cluster, tmp_path: Path) -> None:
    hold = busy_cluster.task("hold", "hold", gate=str(tmp_path / "never"))
    run = busy_cluster.submit([hold], timeout=1)
    assert busy_cluster.wait_ended(run).state == "failed"
    assert states(busy_cluster, run) == {"hold": "cancelled"}
    busy_cluster.assert_nothing_left([run])


def test_failures_are_tried_again_until_one_succeeds(busy_cluster: Cluster) -> None:
    task = busy_cluster.task("t", "succeed_at", number=3)
    task |= {"retries": 5, "retry_delay": 0.1, "retry_backoff": True}
    run = busy_cluster.submit([task])
    snapshot = busy_cluster.wait_ended(run)
    assert (snapshot.state, snapshot.tasks["t"].try_number) == ("success", 3)
    assert (snapshot.tasks["t"].result, snapshot.tasks["t"].error) == (3, None)
    assert [line.try_number for line in busy_cluster.journal.lines("ran", run.id)] == [1, 2, 3]
    busy_cluster.assert_nothing_left([run])


def test_a_resumed_run_keeps_what_succeeded(busy_cluster: Cluster) -> None:
    task = busy_cluster.task
    tasks = [
        task("a", "note"),
        task("b", "succeed_at", number=2, after=["a"]),
        task("c", "note", after=["b"]),
    ]
    run = busy_cluster.submit(tasks)
    assert busy_cluster.wait_ended(run).state == "failed"
    busy_cluster.engine.steering.resume(run.id)
    assert busy_cluster.wait_ended(run).state == "success"
    assert busy_cluster.journal.tasks("ran", run.id) == ["a", "b", "b", "c"]
    busy_cluster.engine.steering.resume(run.id, "b")
    # The third try of b is not the one that succeeds.
    assert busy_cluster.wait_ended(run).state == "failed"
    assert states(busy_cluster, run) == {"a": "success", "b": "failed", "c": "upstream_failed"}
    busy_cluster.assert_nothing_left([run])


@pytest.mark.parametrize("running", [True, False], ids=["running", "waiting"])
def test_what_flower_revokes_is_cancelled(
    busy_cluster: Cluster, tmp_path: Path, running: bool
) -> None:
    from celery import Celery

    task = busy_cluster.task
    gate = tmp_path / "gate"
    run = busy_cluster.submit([task(f"t{i}", "hold", gate=str(gate)) for i in range(6)])
    started = {line.task for line in busy_cluster.wait_lines("start", run, 4)}
    queued = {name for name, state in states(busy_cluster, run).items() if state == "queued"}
    victim = min(started if running else queued)
    app = Celery("flower", set_as_current=False)
    app.config_from_object(
        celery_config(Settings(redis_url=busy_cluster.url, key_prefix=busy_cluster.prefix))
    )
    # As Flower's buttons do: terminate for one that runs, revoke for one that waits.
    app.control.revoke(f"{run.id}/{victim}/1", terminate=running, reply=True, timeout=60, limit=1)
    if running:
        wait_until(lambda: states(busy_cluster, run)[victim] == "cancelled", "it is cancelled")
    gate.touch()
    snapshot = busy_cluster.wait_ended(run)
    ends = {name: task.state for name, task in snapshot.tasks.items()}
    assert ends == dict.fromkeys(ends, "success") | {victim: "cancelled"}
    assert snapshot.state == "failed"
    busy_cluster.assert_nothing_left([run])


def test_the_kernel_tells_a_worker_s_processes_of_its_end(busy_cluster: Cluster) -> None:
    run = busy_cluster.submit([call("t", "signal_at_death_of_parent")])
    assert busy_cluster.wait_ended(run).tasks["t"].result == signal.SIGSTOP


@pytest.fixture
def local_bigquery(tmp_path: Path) -> Iterator[LocalBigQuery]:
    with LocalBigQuery(tmp_path) as service:
        yield service


def query() -> dict[str, Any]:
    return {"task_id": "q", "operator": "bigquery.query", "params": {"sql": ENDLESS}}


def jobs(client: bigquery.Client, state: str) -> Callable[[], list[Any]]:
    return lambda: list(client.list_jobs(state_filter=state))


@pytest.mark.short_lease
@pytest.mark.parametrize("worker_dies", [False, True], ids=["worker lives", "worker dies"])
def test_the_remote_job_of_a_cancelled_task_is_cancelled(
    cluster: Cluster,
    local_bigquery: LocalBigQuery,
    monkeypatch: pytest.MonkeyPatch,
    worker_dies: bool,
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery.url)
    monkeypatch.setenv("PYDAG_WORKER_PROJECT", "local-project")
    client = local_bigquery.client()
    cluster.coordinator()
    worker = cluster.worker("w1", queues=["bigquery"])
    run = cluster.submit([query()])
    (job,) = wait_until(jobs(client, "running"), "the query runs")
    if worker_dies:
        worker.kill()
        cluster.worker("w2", queues=["bigquery"], wait=False)
    cluster.engine.steering.cancel(run.id)
    snapshot = cluster.wait_ended(run)
    assert (snapshot.state, snapshot.tasks["q"].state) == ("cancelled", "cancelled")
    wait_until(jobs(client, "done"), "the query has ended")
    ended = client.get_job(job.job_id, location=job.location)
    assert ended.error_result["reason"] == "stopped"
    assert len(list(client.list_jobs())) == 1
    cluster.assert_nothing_left([run])
