"""BigQuery's operators on a real worker: the example, a budget, and sensors that take no slot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.local_bigquery import PROJECT, LocalBigQuery


@pytest.fixture
def bigquery(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """BigQuery, and a coordinator and a worker of two slots."""
    with LocalBigQuery(tmp_path) as service:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        monkeypatch.setenv("PYDAG_WORKER_PROJECT", PROJECT)
        cluster.coordinator()
        cluster.worker("w1", slots=2, queues=["bigquery"])
        yield service


def test_a_budget_stops_a_run(cluster: Cluster, bigquery: LocalBigQuery) -> None:
    client = bigquery.client()
    client.create_dataset("budget")
    client.query_and_wait("CREATE TABLE budget.t AS SELECT 1 AS id")
    query = {"operator": "bigquery.query", "params": {"sql": "SELECT * FROM budget.t"}}
    tasks = [
        {"task_id": f"q{n}", **query, "dependencies": [f"q{n - 1}"] * (n > 0)} for n in range(4)
    ]
    run = cluster.submit(tasks, budget_bytes=25 * 2**20)  # each bills 10 MB
    snapshot = cluster.wait_ended(run)
    assert snapshot.state == "failed"
    assert {name: task.state for name, task in snapshot.tasks.items()} == {
        "q0": "success", "q1": "success", "q2": "failed", "q3": "upstream_failed",
    }  # fmt: skip
    error = snapshot.tasks["q2"].error
    assert error is not None
    assert "its run has billed or started 20,971,520, and this query would bill 10,485,760" in error
    assert len([job for job in bigquery.journal() if job["id"].startswith("pydag-")]) == 2
    cluster.assert_nothing_left([run])


def test_sensors_wait_without_a_slot(cluster: Cluster, bigquery: LocalBigQuery) -> None:
    client = bigquery.client()
    client.create_dataset("waited")
    tables = [f"{PROJECT}.waited.t{number}" for number in range(40)]
    sensors = cluster.submit(
        [
            {"task_id": f"w{number}", "operator": "bigquery.wait_table", "params": {"table": name}}
            for number, name in enumerate(tables)
        ],
        processors=1,  # sensors don't count
    )

    def states() -> dict[str, int]:
        return cluster.engine.reading.snapshot(sensors.id).counts

    wait_until(lambda: states() == {"deferred": 40}, "all sensors are deferred")
    # Another DAG's tasks make what they wait for, with the slots that nobody holds.
    make = "; ".join(f"CREATE TABLE `{name}` AS SELECT 1 AS id" for name in tables)
    query = {"task_id": "make", "operator": "bigquery.query", "params": {"sql": make}}
    assert cluster.wait_ended(cluster.submit([query])).state == "success"
    snapshot = cluster.wait_ended(sensors)
    assert snapshot.state == "success"
    assert [snapshot.tasks[f"w{n}"].result["table"] for n in range(40)] == tables
    cluster.assert_nothing_left([sensors])
