"""Cached tasks on real processes: only what changed runs, as the services' journals have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from pydag_dist import Dag
from pydag_dist.engine import RunSnapshot
from tests.faults.dies_at import MOMENTS
from tests.support.cluster import ROOT, Cluster
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import cloud_storage, storage_client

DAILY = Dag.load(ROOT / "examples" / "cached" / "daily.json")
MB = 2**20


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with cloud_storage(tmp_path) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        bucket = storage_client(url).create_bucket("project-pydag")
        bucket.blob("daily/prices.csv").upload_from_string("pen,2\ncup,5\n")
        bucket.blob("daily/sales-1.csv").upload_from_string("pen,10\n")
        yield bucket


@pytest.fixture
def warehouse(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalBigQuery]:
    with LocalBigQuery(tmp_path) as service:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        service.client("local-project").create_dataset("datasettest")
        yield service


def run(cluster: Cluster) -> RunSnapshot:
    submitted = cluster.client.submit(DAILY)
    snapshot = cluster.wait_ended(submitted)
    assert snapshot.state == "success", snapshot
    cluster.assert_nothing_left([submitted])
    return snapshot


def ran(snapshot: RunSnapshot) -> set[str]:
    return {name for name, task in snapshot.tasks.items() if task.cached_from is None}


def test_a_second_run_runs_what_has_changed(
    cluster: Cluster, bucket: Bucket, warehouse: LocalBigQuery
) -> None:
    cluster.coordinator()
    cluster.worker("w1", slots=2, queues=("bigquery", "gcs"))

    first = run(cluster)
    assert ran(first) == set(DAILY.tasks)
    assert first.bytes_billed == 30 * MB  # three tables are read by queries
    jobs = len(warehouse.journal())
    assert jobs == 5

    second = run(cluster)
    assert {task.cached_from for task in second.tasks.values()} == {first.run_id}
    assert len(warehouse.journal()) == jobs
    results = {name: task.result for name, task in first.tasks.items()}
    for name, task in second.tasks.items():
        cached = results[name] | {"cached_from": first.run_id}
        assert task.result == (cached | {"bytes_billed": 0} if "bytes_billed" in cached else cached)
    assert second.bytes_billed == 0
    [line] = [line.line for line in cluster.client.run(second.run_id).logs("publish")]
    assert line == f"nothing that it reads or writes has changed since run {first.run_id}"

    bucket.blob("daily/prices.csv").upload_from_string("pen,3\n")
    third = run(cluster)
    assert ran(third) == {"prices", "turnover", "publish", "keep"}
    assert bucket.blob("kept/turnover.csv").download_as_text() == "item,turnover\npen,30.0\n"
    assert len(warehouse.journal()) == jobs + 3
    assert third.bytes_billed == 20 * MB

    fourth = run(cluster)
    assert {name: task.cached_from for name, task in fourth.tasks.items()} == {
        name: third.run_id if name in ran(third) else first.run_id for name in DAILY.tasks
    }
    assert len(warehouse.journal()) == jobs + 3

    cluster.wait_written()
    with cluster.history() as history:
        for known in (first, third, fourth):
            past = history.snapshot(known.run_id)
            assert past is not None
            assert past.bytes_billed == known.bytes_billed
            assert ran(past) == ran(known)


def test_a_job_that_a_poll_found_ended_is_kept(
    cluster: Cluster, bucket: Bucket, warehouse: LocalBigQuery
) -> None:
    """Deferred, a try's result is kept by whoever polls it, params with templates and all."""
    cluster.coordinator()
    cluster.worker("w1", slots=1, queues=("bigquery",))
    warehouse.fault(method="run", delay=7)
    task = {
        "task_id": "t",
        "operator": "bigquery.query",
        "params": {
            "sql": "SELECT {{ params.number }} AS id",
            "destination": "local-project.datasettest.{{ params.table }}",
        },
        "cache": "inputs",
    }
    dag = Dag.parse({"dag_id": "deferred", "params": {"number": 7, "table": "t"}, "tasks": [task]})
    first = cluster.client.submit(dag)
    assert cluster.wait_ended(first).state == "success"
    assert "deferred" in {event.state for event in first.events()}
    second = cluster.wait_ended(cluster.client.submit(dag))
    assert second.tasks["t"].cached_from == first.id
    other = cluster.wait_ended(cluster.client.submit(dag, {"number": 8, "table": "u"}))
    assert other.tasks["t"].cached_from is None


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment != "while it waits"])
def test_what_a_killed_worker_began_is_kept_by_the_next(
    cluster: Cluster, bucket: Bucket, warehouse: LocalBigQuery, moment: str
) -> None:
    """The try's own job, found again, is no change of what the task writes."""
    cluster.coordinator()
    deaths = cluster.directory / "deaths"
    deaths.mkdir()
    (deaths / "sales").write_text("x")
    (deaths / "pieces").write_text("xx")
    env = {"PYDAG_TEST_DIE_AT": moment, "PYDAG_TEST_DEATHS": str(deaths)}
    part = cluster.celery_worker(
        "-Q", "bigquery,gcs", "-I", "tests.faults.dies_at", wait=False, **env
    )
    cluster.wait_registered(part, "bigquery")
    first = run(cluster)
    assert {(deaths / name).read_text() for name in ("sales", "pieces")} == {""}
    assert ran(first) == set(DAILY.tasks)
    assert len(warehouse.journal()) == 5
    second = run(cluster)
    assert {task.cached_from for task in second.tasks.values()} == {first.run_id}
    assert len(warehouse.journal()) == 5
