"""Tasks that wait for remote jobs without a slot, on real workers and the local BigQuery."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.events import EventReceiver

from pydag_dist.client import Run
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.settings import Settings
from tests.faults.dies_with_its_worker import MOMENTS
from tests.support import wait_until
from tests.support.cluster import Cluster, Part
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.redis_server import RedisServer, server_binary

pytestmark = pytest.mark.short_lease

CELERY = ("-m", "celery", "-A", "workers", "worker", "-c", "2", "-l", "WARNING")
POLLED = re.compile(r"bigquery\.query:GCP: polled (\d+), of which (\d+) have ended")


@pytest.fixture
def bigquery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBigQuery]:
    with LocalBigQuery(tmp_path) as service:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        monkeypatch.setenv("PYDAG_WORKER_PROJECT", PROJECT)
        yield service


def query(task_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "operator": "bigquery.query",
        "params": {"sql": "SELECT 1"},
        **fields,
    }


def worker(cluster: Cluster, name: str = "w1", queue: str = "bigquery") -> Part:
    """A worker of two slots that tells in its log what it polled."""
    command = ["-m", "pydag_dist", "worker", "-n", f"{name}@test", "-c", "2", "-Q", queue]
    part = cluster.start(name, [*command, "--import", "tests.tasks.callables"])
    cluster.wait_registered(part, queue)
    return part


def wait_counts(cluster: Cluster, run: Run, **counts: int) -> None:
    wait_until(
        lambda: cluster.engine.reading.snapshot(run.id).counts == counts,
        f"{run.id} is {counts}",
        60,
    )


def ended(bigquery: LocalBigQuery) -> dict[str, str]:
    """The jobs that really ran, and how they ended."""
    ran = bigquery.journal()
    assert len({job["id"] for job in ran}) == len(ran)
    return {job["id"]: (job["error"] or {"reason": "done"})["reason"] for job in ran}


def test_many_remote_jobs_hold_no_slot(cluster: Cluster, bigquery: LocalBigQuery) -> None:
    """200 jobs and two slots: another run of the same queue comes and goes meanwhile."""
    bigquery.fault(method="run", count=None, delay=15)
    cluster.coordinator()
    part = worker(cluster)
    run = cluster.submit([query(f"q{i}") for i in range(200)])
    counts = lambda: cluster.engine.reading.snapshot(run.id).counts  # noqa: E731
    wait_until(lambda: counts().get("deferred", 0) >= 100, "many are deferred")
    tasks = [cluster.task(f"t{i}", "note") | {"queue": "bigquery"} for i in range(50)]
    quick = cluster.wait_ended(cluster.submit(tasks))
    assert quick.state == "success"
    assert counts()["deferred"] > 0
    snapshot = cluster.wait_ended(run)
    assert snapshot.state == "success"
    assert all(task.result["rows"] == 1 for task in snapshot.tasks.values())
    assert ended(bigquery) == {t.result["job_id"]: "done" for t in snapshot.tasks.values()}
    polls = [(int(asked), int(over)) for asked, over in POLLED.findall(part.text())]
    assert sum(over for _, over in polls) == 200
    assert len(polls) < sum(asked for asked, _ in polls) / 5
    cluster.assert_nothing_left([run])


def test_a_short_job_is_waited_for_where_it_was_started(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    cluster.coordinator()
    part = worker(cluster)
    run = cluster.submit([query("q")])
    assert cluster.wait_ended(run).state == "success"
    assert POLLED.findall(part.text()) == []
    assert "retry" not in part.text()
    cluster.assert_nothing_left([run])


def test_a_deferred_task_is_cancelled_with_its_job(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    """Told so by somebody, or by its timeout; nobody holds it, so a worker is asked to."""
    bigquery.fault(method="run", count=None, delay=300)
    cluster.coordinator()
    worker(cluster)
    cancelled = cluster.submit([query(f"q{i}") for i in range(5)])
    late = cluster.submit([query("late", timeout=8, retries=1, retry_delay=0.1)])
    wait_counts(cluster, cancelled, deferred=5)
    cluster.engine.steering.cancel(cancelled.id)
    snapshot = cluster.wait_ended(cancelled)
    assert (snapshot.state, snapshot.counts) == ("cancelled", {"cancelled": 5})
    assert list(ended(bigquery).values()) == ["stopped"] * 5  # before the run's end, not after
    failed = cluster.wait_ended(late).tasks["late"]
    assert (failed.state, failed.try_number) == ("failed", 2)
    assert failed.error == "timed out after 8 s"
    assert list(ended(bigquery).values()) == ["stopped"] * 7
    cluster.assert_nothing_left([cancelled, late])


def test_who_cancels_a_job_is_given_the_time_that_it_takes(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    """A child that runs something else would be killed after ten seconds."""
    bigquery.fault(method="run", count=None, delay=300)
    cluster.coordinator()
    worker(cluster)
    run = cluster.submit([query("q")])
    client = bigquery.client()
    wait_until(lambda: list(client.list_jobs(state_filter="running")), "the job runs")
    bigquery.fault(method="jobs.cancel", delay=20)
    cluster.engine.steering.cancel(run.id)
    assert cluster.wait_ended(run).state == "cancelled"
    assert cluster.record(run.id, "q")["deaths"] == "0"
    assert list(ended(bigquery).values()) == ["stopped"]
    cluster.assert_nothing_left([run])


def test_a_worker_that_dies_at_any_moment_leaves_one_job(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    """A worker for each moment, with a queue of its own; then one that takes them all over."""
    bigquery.fault(method="run", count=None, delay=8)
    cluster.coordinator()
    queues = {moment: moment.replace(" ", "-") for moment in MOMENTS}
    doomed = {
        moment: cluster.start(
            queue,
            [
                *CELERY,
                "-n",
                f"{queue}@test",
                "-Q",
                queue,
                "-I",
                "tests.faults.dies_with_its_worker",
            ],
            PYDAG_WORKER_QUEUES=queue,
            PYDAG_TEST_DIE_AT=moment,
        )
        for moment, queue in queues.items()
    }
    runs = {}
    for moment, queue in queues.items():
        cluster.wait_registered(doomed[moment], queue)
        runs[moment] = cluster.submit([query(f"q{i}", queue=queue) for i in range(4)])
    for part in doomed.values():
        assert part.wait(60) == -9
    substitute = ["-m", "pydag_dist", "worker", "-n", "substitute@test", "-c", "2"]
    part = cluster.start("substitute", [*substitute, "-Q", ",".join(queues.values())])
    snapshots = cluster.wait_all_ended(runs.values())
    assert [snapshot.state for snapshot in snapshots] == ["success"] * len(MOMENTS)
    assert {task.try_number for one in snapshots for task in one.tasks.values()} == {1}
    ids = {task.result["job_id"] for one in snapshots for task in one.tasks.values()}
    assert ended(bigquery) == dict.fromkeys(ids, "done")
    assert len(ids) == 4 * len(MOMENTS)
    assert part.text().count("Traceback") == 0
    cluster.assert_nothing_left(runs.values())


def test_flower_shows_what_is_deferred_and_no_polls(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    bigquery.fault(method="run", count=None, delay=8)
    cluster.coordinator()
    app = Celery("flower", set_as_current=False)
    app.config_from_object(
        celery_config(Settings(redis_url=cluster.url, key_prefix=cluster.prefix))
    )
    seen: dict[str, list[str]] = {}
    names: dict[str, str] = {}

    def on_event(event: dict[str, Any]) -> None:
        if "uuid" in event:
            seen.setdefault(event["uuid"], []).append(event["type"])
            names.setdefault(event["uuid"], event.get("name", ""))

    with app.connection_for_read() as connection:
        receiver = EventReceiver(connection, handlers={"*": on_event}, app=app)
        listener = threading.Thread(target=receiver.capture, kwargs={"limit": None})
        listener.start()
        try:
            worker(cluster)
            run = cluster.submit([query("q")])
            assert cluster.wait_ended(run).state == "success"
            mine = f"{run.id}/q/1"
            wait_until(lambda: "task-retried" in seen.get(mine, []), "the task is shown as RETRY")
            # What is shown of the first run is there before what is shown of a later one.
            later = f"{cluster.submit([query('q')]).id}/q/1"
            wait_until(lambda: "task-retried" in seen.get(later, []), "the next is shown, too")
        finally:
            receiver.should_stop = True
            listener.join(30)
    assert seen[mine] == ["task-received", "task-started", "task-retried"]
    assert names[mine] == "test.q"
    assert {name.partition(".")[0] for name in names.values()} == {"test"}


def test_what_one_worker_deferred_another_polls(cluster: Cluster, bigquery: LocalBigQuery) -> None:
    """The log of a try goes on where it was."""
    bigquery.fault(method="run", count=None, delay=300)
    cluster.coordinator()
    first = worker(cluster, "w1")
    run = cluster.submit([query(f"q{i}") for i in range(3)])

    def lines() -> list[str]:
        return [line.line for line in run.logs("q0")]

    wait_counts(cluster, run, deferred=3)
    first.kill()
    second = worker(cluster, "w2")
    wait_until(lambda: POLLED.findall(second.text()), "the second has polled")
    # The first may have been killed while it polled: what it polled has its turn later.
    wait_until(lambda: "BigQuery job RUNNING" in lines(), "q0 has been polled")
    bigquery.kill()
    bigquery.start()  # what was not over runs again, and now at once
    assert cluster.wait_ended(run).state == "success"
    assert lines()[0].startswith("started BigQuery job")
    assert lines()[-1].startswith("BigQuery job done")
    assert lines().count("BigQuery job RUNNING") == 1
    cluster.assert_nothing_left([run])


def test_redis_and_bigquery_may_be_killed_while_tasks_are_deferred(
    tmp_path: Path, bigquery: LocalBigQuery, lease: float
) -> None:
    bigquery.fault(method="run", count=None, delay=300)
    with (
        RedisServer(server_binary("valkey"), tmp_path / "redis") as server,
        Cluster(server.url, tmp_path, lease) as cluster,
    ):
        cluster.coordinator()
        part = worker(cluster)
        run = cluster.submit([query(f"q{i}") for i in range(20)])
        wait_counts(cluster, run, deferred=20)
        server.kill()
        wait_until(lambda: "Redis can't" in part.text(), "the worker has noticed")
        server.start()
        bigquery.kill()
        wait_until(lambda: "BigQuery jobs can't be listed" in part.text(), "polls get no answer")
        bigquery.start()  # what was not over runs again, and now at once
        snapshot = cluster.wait_ended(run)
        assert snapshot.state == "success"
        assert {task.try_number for task in snapshot.tasks.values()} == {1}
        ids = {task.result["job_id"] for task in snapshot.tasks.values()}
        assert ended(bigquery) == dict.fromkeys(ids, "done")
        cluster.assert_nothing_left([run])
