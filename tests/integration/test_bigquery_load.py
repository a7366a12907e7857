"""A load that appends, its worker's child killed right after BigQuery took the job: rows once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, Part
from tests.local_bigquery import PROJECT, LocalBigQuery
from tests.local_google import cloud_storage, storage_client
from tests.support import wait_until

TABLE = f"{PROJECT}.killed.people"


@pytest.fixture
def bigquery(tmp_path: Path) -> Iterator[LocalBigQuery]:
    """BigQuery with an empty dataset, and a bucket with files."""
    with cloud_storage(tmp_path) as url, LocalBigQuery(tmp_path) as service:
        bucket = storage_client(url).create_bucket("people")
        for name, text in (("a", "1,ann\n2,bob\n"), ("b", "3,eve\n")):
            bucket.blob(f"in/{name}.csv").upload_from_string(text)
        with service.client() as client:
            client.create_dataset("killed")
            yield service


@pytest.fixture
def deaths(tmp_path: Path) -> Path:
    """A file of so many characters as children die."""
    return tmp_path / "deaths"


def load(**fields: Any) -> dict[str, Any]:
    params = {
        "source_uris": ["gs://people/in/*.csv"],
        "destination": TABLE,
        "autodetect": True,
        "write_disposition": "WRITE_APPEND",
        "project": PROJECT,
    }
    return {"task_id": "load", "operator": "bigquery.load", "params": params, **fields}


def worker(cluster: Cluster, bigquery: LocalBigQuery, deaths: Path) -> Part:
    """A worker whose children die right after they submitted a job."""
    env = {"BIGQUERY_EMULATOR_HOST": bigquery.url, "PYDAG_TEST_DEATHS": str(deaths)}
    options = ("-Q", "bigquery", "-I", "tests.dies_after_submit")
    part = cluster.celery_worker(*options, wait=False, **env)
    cluster.wait_registered(part, "bigquery")
    return part


def rows(bigquery: LocalBigQuery) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in bigquery.client().list_rows(TABLE))


PEOPLE = [(1, "ann"), (2, "bob"), (3, "eve")]


def test_an_append_whose_worker_is_killed_after_the_submit_appends_once(
    cluster: Cluster, bigquery: LocalBigQuery, deaths: Path
) -> None:
    deaths.write_text("xx")
    bigquery.fault(method="run", delay=2)  # still running when the second child asks
    cluster.coordinator()
    worker(cluster, bigquery, deaths)
    run = cluster.submit([load(retries=2, retry_delay=0.1)])
    snapshot = cluster.wait_ended(run)
    assert snapshot.state == "success"
    assert deaths.read_text() == ""
    assert rows(bigquery) == PEOPLE
    task = snapshot.tasks["load"]
    assert (task.try_number, task.result["rows"]) == (1, 3)
    assert [(job["id"], job["state"]) for job in bigquery.journal()] == [
        (task.result["job_id"], "done")
    ]
    cluster.assert_nothing_left([run])


def test_a_load_that_kills_each_worker_fails_without_a_second_job(
    cluster: Cluster, bigquery: LocalBigQuery, deaths: Path
) -> None:
    deaths.write_text("xxx")
    cluster.coordinator()
    worker(cluster, bigquery, deaths)
    run = cluster.submit([load(retries=2, retry_delay=0.1)])
    task = cluster.wait_ended(run).tasks["load"]
    assert (task.state, task.try_number) == ("failed", 1)
    assert task.error is not None
    assert task.error.startswith("poison: 3 times the worker process died")
    wait_until(bigquery.journal, "the job has ended")
    assert rows(bigquery) == PEOPLE
    assert len(bigquery.journal()) == 1
    cluster.assert_nothing_left([run])
