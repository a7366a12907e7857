"""The examples that work with Google's services, on a real worker and local services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Bucket

from pydag_dist import Dag
from tests.cluster import ROOT, Cluster
from tests.local_bigquery import LocalBigQuery
from tests.local_google import LocalDataproc, cloud_storage, storage_client
from tests.support import wait_until

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


def test_the_files_of_a_day(cluster: Cluster, bucket: Bucket, warehouse: Any) -> None:
    for name, text in (("a", "s1,1.5\ns2,2\n"), ("b", "s1,3\n"), ("c", "s3,4\n")):
        bucket.blob(f"inbox/{DAY}/{name}.csv").upload_from_string(text, content_type="text/csv")
    results = run(cluster, "files/inbox.json", "gcs", "bigquery")
    assert results["arrived"]["count"] == 3
    assert results["whole"]["sources"] == 3
    assert results["load"]["rows"] == 4
    assert results["empty"] == {"deleted": 3, "missing": 0}
    assert [blob.name for blob in bucket.list_blobs()] == [
        *(f"kept/{DAY}/{name}.csv" for name in "abc"),
        f"whole/{DAY}.csv",
    ]
    client, _ = warehouse
    rows = client.query_and_wait("SELECT sensor, SUM(value) FROM datasettest.readings GROUP BY 1")
    assert sorted(tuple(row) for row in rows) == [("s1", 4.5), ("s2", 2.0), ("s3", 4.0)]


def test_spark_without_a_cluster(
    cluster: Cluster,
    bucket: Bucket,
    warehouse: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, bigquery_url = warehouse
    bucket.blob("jobs/totals.py").upload_from_filename(str(EXAMPLES / "batch" / "totals.py"))
    for name, text in (("a", "shop,amount\nn,1\ns,2\n"), ("b", "shop,amount\nn,10\n")):
        bucket.blob(f"sales/{DAY}/{name}.csv").upload_from_string(text)
    gcs_url = bucket.client._connection.API_BASE_URL
    service = LocalDataproc(tmp_path, gcs_url, bigquery_url=bigquery_url, with_spark=True)
    try:
        service.start()
        monkeypatch.setenv("DATAPROC_EMULATOR_HOST", service.address)
        results = run(cluster, "batch/totals.json", "dataproc", "bigquery")
    finally:
        service.close()
    assert results["load"]["rows"] == 2
    assert [line["id"] for line in service.journal()] == [results["sum"]["batch_id"]]
    rows = client.query_and_wait("SELECT shop, amount FROM datasettest.totals")
    assert sorted(tuple(row) for row in rows) == [("n", 11), ("s", 2)]


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
    tasks = lambda: cluster.engine.snapshot(submitted.id).tasks  # noqa: E731
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
