"""When the local BigQuery answers whoever asks for a job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pydag_emulators.bigquery.app import create_app
from pydag_emulators.bigquery.rest import jobs
from tests.support.store_file import make_store_file

_JOBS = "/bigquery/v2/projects/p/jobs"
_QUERY = {"configuration": {"query": {"query": "SELECT 1", "useLegacySql": False}}}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "data").mkdir()
    make_store_file(tmp_path / "data" / "bigquery.duckdb")
    app = create_app(tmp_path / "data", tmp_path / "gcs")
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def _start_job(client: TestClient, *, seconds: float) -> str:
    client.post("/-/faults", json={"method": "run", "delay": seconds}).raise_for_status()
    job: dict[str, Any] = client.post(_JOBS, json=_QUERY).raise_for_status().json()
    assert job["status"]["state"] != "DONE"
    return f"{_JOBS}/{job['jobReference']['jobId']}"


def test_the_first_question_for_a_job_is_answered_at_its_end(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_NEW_SECONDS", 60)
    job = _start_job(client, seconds=0.2)
    assert client.get(job).json()["status"]["state"] == "DONE"


def test_of_a_job_that_is_not_new_a_question_is_answered_at_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_NEW_SECONDS", 0)
    job = _start_job(client, seconds=60)
    assert client.get(job).json()["status"]["state"] == "RUNNING"
