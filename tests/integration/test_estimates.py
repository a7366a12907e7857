"""An estimate that a worker makes: it has the credentials, and whoever asks has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pydag_dist import Dag
from pydag_dist.engine.celery import estimates
from tests.support.cluster import Cluster
from tests.support.local_bigquery import PROJECT, LocalBigQuery

DATE = "2026-01-31T00:00:00+00:00"


@pytest.fixture
def local_bigquery(tmp_path: Path) -> Iterator[LocalBigQuery]:
    with LocalBigQuery(tmp_path) as service:
        yield service


def test_a_worker_answers_and_goes_on_with_tasks(
    cluster: Cluster, local_bigquery: LocalBigQuery
) -> None:
    cluster.coordinator()
    env = {"BIGQUERY_EMULATOR_HOST": local_bigquery.url, "PYDAG_WORKER_PROJECT": PROJECT}
    worker = cluster.worker(slots=1, queues=["bigquery"], **env)
    with Dag("d") as dag:
        dag.task("right", "bigquery.query", params={"sql": "SELECT {{ params.n }}"})
        dag.task("wrong", "bigquery.query", params={"sql": "SELEC 1"})
    for _ in range(2):
        found = estimates.ask(cluster.engine.store, dag.to_json(), {"n": 7}, DATE)
        assert (found["dag_id"], found["bytes"]) == ("d", 0)
        assert [found["tasks"][name]["wrong"] for name in ("right", "wrong")] == [False, True]
    with Dag("e") as other:
        other.task("a", "bigquery.query", params={"sql": "SELECT 1"})
    cluster.client.submit(other).wait(timeout=60)
    assert cluster.store.keys(f"{cluster.prefix}:estimate:*") == []
    assert "Traceback" not in worker.text()
