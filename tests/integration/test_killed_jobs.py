"""BigQuery's jobs when the worker's child is killed, at any moment: each job once, rows once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.dies_at import MOMENTS
from tests.support import wait_until
from tests.support.cluster import Cluster, Part
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.local_google import cloud_storage, storage_client

pytestmark = pytest.mark.short_lease

DATASET = f"{PROJECT}.killed"
PEOPLE = [(1, "ann"), (2, "bob"), (3, "eve")]


@pytest.fixture
def bigquery(tmp_path: Path) -> Iterator[LocalBigQuery]:
    """BigQuery with a table, and a bucket with files."""
    with cloud_storage(tmp_path) as url, LocalBigQuery(tmp_path) as service:
        bucket = storage_client(url).create_bucket("people")
        for name, text in (("a", "1,ann\n2,bob\n"), ("b", "3,eve\n")):
            bucket.blob(f"in/{name}.csv").upload_from_string(text)
        with service.client() as client:
            client.create_dataset("killed")
            client.query_and_wait(f"CREATE TABLE {DATASET}.known AS SELECT 1 AS id")
            yield service


def worker(cluster: Cluster, bigquery: LocalBigQuery, moment: str, **deaths: str) -> Part:
    """A worker whose children die at that moment, for each task as often as it has characters."""
    directory = cluster.directory / "deaths"
    directory.mkdir()
    for task, times in deaths.items():
        (directory / task).write_text(times)
    env = {
        "BIGQUERY_EMULATOR_HOST": bigquery.url,
        "PYDAG_WORKER_PROJECT": PROJECT,
        "PYDAG_TEST_DIE_AT": moment,
        "PYDAG_TEST_DEATHS": str(directory),
    }
    options = ("-Q", "bigquery", "-I", "tests.faults.dies_at")
    part = cluster.celery_worker(*options, wait=False, **env)
    cluster.wait_registered(part, "bigquery")
    return part


def task(task_id: str, **params: Any) -> dict[str, Any]:
    retries = {"retries": 2, "retry_delay": 0.1}
    return {"task_id": task_id, "operator": f"bigquery.{task_id}", "params": params, **retries}


LOAD = task(
    "load",
    source_uris=["gs://people/in/*.csv"],
    destination=f"{DATASET}.people",
    autodetect=True,
    write_disposition="WRITE_APPEND",
)
QUERY = task("query", sql=f"INSERT INTO {DATASET}.known VALUES (2)")
EXTRACT = task("extract", source=f"{DATASET}.known", destination_uris=["gs://people/out/*.csv"])


def rows(bigquery: LocalBigQuery, table: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in bigquery.client().list_rows(f"{DATASET}.{table}"))


def jobs(bigquery: LocalBigQuery) -> dict[str, str]:
    """The jobs of tasks that really ran."""
    ran = [job for job in bigquery.journal() if job["id"].startswith("pydag-")]
    assert len({job["id"] for job in ran}) == len(ran)
    return {job["id"]: job["state"] for job in ran}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_runs_once_whenever_its_worker_is_killed(
    cluster: Cluster, bigquery: LocalBigQuery, moment: str
) -> None:
    waits = moment == "while it waits"
    bigquery.fault(method="run", delay=10 if waits else 1, count=3)  # so that they are waited for
    cluster.coordinator()
    # A poll that died is noticed after two leases, 12 s: the job is done then.
    worker(cluster, bigquery, moment, load="x" if waits else "xx", query="x", extract="x")
    run = cluster.submit([LOAD, QUERY, EXTRACT])
    snapshot = cluster.wait_ended(run, timeout=150)
    assert snapshot.state == "success"
    deaths = {path.name: path.read_text() for path in (cluster.directory / "deaths").iterdir()}
    assert deaths == {"load": "", "query": "", "extract": ""}
    assert {name: one.try_number for name, one in snapshot.tasks.items()} == dict.fromkeys(
        deaths, 1
    )
    ids = {one.result["job_id"] for one in snapshot.tasks.values()}
    assert jobs(bigquery) == dict.fromkeys(ids, "done")
    assert rows(bigquery, "people") == PEOPLE
    assert rows(bigquery, "known") == [(1,), (2,)]
    assert (bigquery.gcs_root / "people/out/000000000000.csv").read_text().startswith("id\n1\n")
    cluster.assert_nothing_left([run])


def test_a_load_that_kills_each_worker_fails_without_a_second_job(
    cluster: Cluster, bigquery: LocalBigQuery
) -> None:
    cluster.coordinator()
    worker(cluster, bigquery, "after the submit", load="xxx")
    run = cluster.submit([LOAD])
    failed = cluster.wait_ended(run).tasks["load"]
    assert (failed.state, failed.try_number) == ("failed", 1)
    assert failed.error is not None
    assert failed.error.startswith("poison: 3 times the worker process died")
    wait_until(lambda: jobs(bigquery), "the job has ended")
    assert rows(bigquery, "people") == PEOPLE
    assert len(jobs(bigquery)) == 1
    cluster.assert_nothing_left([run])
