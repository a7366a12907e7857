"""The examples that work with Google's services, on a real worker and local services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Bucket

from pydag_dist import Dag
from tests.support import wait_until
from tests.support.cluster import ROOT, Cluster
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import cloud_storage, storage_client

EXAMPLES = ROOT / "examples"
DAY = "2026-01-31"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with cloud_storage(tmp_path) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield storage_client(url).create_bucket("project-pydag")


@pytest.fixture
def warehouse(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with LocalBigQuery(tmp_path) as service, service.client("local-project") as client:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        client.create_dataset("datasettest")
        yield client, service.url


def run(cluster: Cluster, file: str, *queues: str) -> dict[str, Any]:
    """The results of the example's tasks, all of which must have succeeded."""
    cluster.coordinator()
    cluster.worker("w1", slots=2, queues=queues)
    submitted = cluster.client.submit(
        Dag.load(EXAMPLES / file), logical_date=f"{DAY}T00:00:00+00:00"
    )
    snapshot = cluster.wait_ended(submitted, timeout=150)
    assert snapshot.state == "success"
    cluster.assert_nothing_left([submitted])
    return {name: one.result for name, one in snapshot.tasks.items()}


def test_checks_and_one_that_may_fail(cluster: Cluster, warehouse: Any) -> None:
    client, _ = warehouse
    cluster.coordinator()
    cluster.worker("w1", slots=2, queues=["bigquery"])
    submitted = cluster.client.submit(Dag.load(EXAMPLES / "quality/checks.json"))
    snapshot = cluster.wait_ended(submitted, timeout=150)
    assert snapshot.state == "success"
    failed = {name: one.error for name, one in snapshot.tasks.items() if one.state == "failed"}
    assert set(failed) == {"even"}
    assert "sites_are_big" in str(failed["even"])
    assert "sites_are_alike" not in str(failed["even"])
    rows = client.query_and_wait("SELECT run, row_count FROM datasettest.checked")
    assert [tuple(row) for row in rows] == [(submitted.id, 300)]


def test_sensors_wait_side_by_side_for_what_comes_later(
    cluster: Cluster, bucket: Bucket, warehouse: Any
) -> None:
    client, _ = warehouse
    cluster.coordinator()
    cluster.worker("w1", slots=2, queues=["gcs", "bigquery"])
    dag = Dag.load(EXAMPLES / "sensors/arrivals.json")
    submitted = cluster.client.submit(dag, logical_date=f"{DAY}T00:00:00+00:00")
    # Both wait, though the run may have one active task only.
    tasks = lambda: cluster.engine.reading.snapshot(submitted.id).tasks  # noqa: E731
    wait_until(
        lambda: {tasks()[name].state for name in ("file", "table") if tasks()} == {"deferred"},
        "both sensors wait",
    )
    client.query_and_wait("CREATE TABLE datasettest.stations AS SELECT 7 AS station, 'Ulm' AS name")
    bucket.blob(f"arrivals/{DAY}.csv").upload_from_string("ICE 591,7\n", content_type="text/csv")
    assert cluster.wait_ended(submitted, timeout=150).state == "success"
    rows = client.query_and_wait("SELECT train, name FROM datasettest.arrivals")
    assert [tuple(row) for row in rows] == [("ICE 591", "Ulm")]


@pytest.mark.parametrize("orders", [0, 2])
def test_a_branch_on_what_a_query_found(cluster: Cluster, warehouse: Any, orders: int) -> None:
    client, _ = warehouse
    client.query_and_wait("CREATE TABLE datasettest.inbox (id INT64, amount INT64, day DATE)")
    client.query_and_wait("CREATE TABLE datasettest.known_orders (id INT64, amount INT64)")
    for table in ("days", "quiet_days"):
        client.query_and_wait(f"CREATE TABLE datasettest.{table} (day DATE)")
    for order in range(orders):
        client.query_and_wait(f"INSERT datasettest.inbox VALUES ({order}, 5, DATE '{DAY}')")
    run(cluster, "branches/orders.json", "bigquery", "python")

    def count(table: str) -> int:
        (row,) = client.query_and_wait(f"SELECT COUNT(*) FROM datasettest.{table}")
        return int(row[0])

    tables = ("known_orders", "quiet_days", "days")
    assert [count(table) for table in tables] == [orders, int(orders == 0), 1]
