"""Operators of BigQuery and Cloud Storage on a bad network: they do what docs/workers.md says.

Of the faults some pass, and the task succeeds with one job; others are a refusal before anything
runs, and the task fails at once with the words of the service.
"""

from __future__ import annotations

import json
import time
import uuid

import pytest
import requests

from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.local_google import cloud_storage, storage_client
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.operators import Asked, Pending, find

TABLE = f"{PROJECT}.net.people"
OPERATORS = {
    "bigquery.query": {"sql": "CREATE OR REPLACE TABLE net.made AS SELECT 1 AS n"},
    "bigquery.check": {"sql": "SELECT 1 = 1"},
    "bigquery.load": {
        "source_uris": ["gs://in/people.csv"],
        "destination": f"{PROJECT}.net.loaded",
        "autodetect": True,
        "write_disposition": "WRITE_TRUNCATE",
    },
    "bigquery.extract": {"source": TABLE, "destination_uris": ["gs://in/out.csv"]},
    "bigquery.copy": {
        "sources": [TABLE],
        "destination": f"{PROJECT}.net.copied",
        "write_disposition": "WRITE_TRUNCATE",
    },
}
PASSES = {
    "5xx at submit": {"method": "jobs.insert", "status": 503, "reason": "backendError"},
    "429 at submit": {"method": "jobs.insert", "status": 429, "reason": "rateLimitExceeded"},
    "403 of a rate": {"method": "jobs.insert", "status": 403, "reason": "rateLimitExceeded"},
    "lost answer": {"method": "jobs.insert", "drop": "after"},
    "lost request": {"method": "jobs.insert", "drop": "before"},
    "5xx at poll": {"method": "jobs.get", "status": 500, "reason": "internalError"},
    "404 at poll": {"method": "jobs.get", "status": 404, "reason": "notFound"},
    "409 at poll": {"method": "jobs.get", "status": 409, "reason": "duplicate"},
    "412 at poll": {"method": "jobs.get", "status": 412, "reason": "conditionNotMet"},
    "slow answer": {"method": "jobs.get", "delay": 0.3},
}
REFUSED = {
    "no rights": ({"status": 403, "reason": "accessDenied"}, "accessDenied: .*jobUser"),
    "quota": ({"status": 403, "reason": "quotaExceeded"}, "quotaExceeded: .*troubleshoot-quotas"),
    "no such place": ({"status": 404, "reason": "notFound"}, "notFound: "),
    "a bad request": ({"status": 400, "reason": "invalid"}, "invalid: "),
}


@pytest.fixture(scope="module")
def service(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("net")
        client.query_and_wait(f"CREATE TABLE `{TABLE}` AS SELECT 1 AS id, 'ann' AS name")
    local_bigquery.put("gs://in/people.csv", "id,name\n1,ann\n2,bob\n")
    return local_bigquery


@pytest.fixture(autouse=True)
def _environment(service, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
    yield
    service.call("DELETE", "/-/faults")


def task_of(operator, name, log=None):
    task_id = f"{operator}-{name}".replace(" ", "-").replace(".", "-")
    settings = {"project": PROJECT}
    return context(
        OPERATORS[operator], operator=operator, task_id=task_id, log=log, settings=settings
    )


def ran(service, job_id):
    return [job["state"] for job in service.journal() if job["id"] == job_id]


@pytest.mark.parametrize("fault", PASSES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_what_passes_is_waited_for_and_the_job_runs_once(service, operator, fault):
    task = task_of(operator, fault)
    job_id = find(operator).handle(task)["job_id"]
    service.fault(job_id=job_id, **PASSES[fault])
    assert find(operator).execute(task)["job_id"] == job_id
    assert ran(service, job_id) == ["done"]
    assert service.call("GET", "/-/faults") == {"faults": []}  # it was met


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_refusal_before_anything_runs_fails_at_once(service, operator, fault):
    log = Log()
    task = task_of(operator, fault, log)
    job_id = find(operator).handle(task)["job_id"]
    what, said = REFUSED[fault]
    service.fault(method="jobs.insert", job_id=job_id, **what)
    with pytest.raises(TaskFailed, match=said) as failed:
        find(operator).execute(task)
    assert not failed.value.final  # a quota passes, and rights may be given
    assert not any("trying again" in line for line in log.lines)
    assert ran(service, job_id) == []


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_job_that_somebody_else_cancels_fails_the_try_and_says_so(service, operator):
    task = task_of(operator, "cancelled")
    found = find(operator)
    job_id = found.handle(task)["job_id"]
    service.fault(method="run", job_id=job_id, delay=300)
    handle = found.submit(task)
    with service.client() as client:
        client.cancel_job(job_id, location=handle["location"])
    asked = Asked(task, handle)
    while isinstance(answer := found.answer(asked), Pending):
        time.sleep(0.02)
    assert isinstance(answer, TaskFailed)
    assert "stopped: Job execution was cancelled" in str(answer)
    assert ran(service, job_id) == ["failed"]


STORED = {
    # What each operator makes of the objects in/a and in/b, and by which calls.
    "gcs.copy": (
        {"source": "gs://{0}/in/", "destination": "gs://{0}/out/"},
        "POST",
        ["in/a", "in/b", "out/a", "out/b"],
    ),
    "gcs.move": ({"source": "gs://{0}/in/a", "destination": "gs://{0}/c"}, "POST", ["c", "in/b"]),
    "gcs.delete": ({"uris": ["gs://{0}/in/a"]}, "DELETE", ["in/b"]),
    "gcs.compose": (
        {"sources": ["gs://{0}/in/"], "destination": "gs://{0}/all"},
        "POST",
        ["all", "in/a", "in/b"],
    ),
    "gcs.upload": (
        {"text": "c", "destination": "gs://{0}/c"},
        "POST",
        ["c", "in/a", "in/b"],
    ),
    "gcs.wait_object": ({"object": "gs://{0}/in/a"}, "GET", ["in/a", "in/b"]),
}
STORAGE_FAULTS = {
    "5xx": {"status": 503},
    "429": {"status": 429, "reason": "rateLimitExceeded"},
    "a lost answer": {"status": 503, "after": True},
    "slow, then 5xx": {"status": 500, "delay": 0.2},
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    with cloud_storage(tmp_path_factory.mktemp("storage")) as url:
        yield url


@pytest.mark.parametrize("fault", STORAGE_FAULTS)
@pytest.mark.parametrize("operator", STORED)
def test_objects_are_as_they_should_be_whatever_was_lost(storage, monkeypatch, operator, fault):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    bucket = storage_client(storage).create_bucket(f"b-{uuid.uuid4()}")
    for name in ("in/a", "in/b"):
        bucket.blob(name).upload_from_string(name)
    params, method, expected = STORED[operator]
    text = json.dumps(params).replace("{0}", bucket.name)
    order = {"method": method, **STORAGE_FAULTS[fault]}
    requests.post(f"{storage}/-/faults", json=order, timeout=10).raise_for_status()
    find(operator).execute(context(json.loads(text), operator=operator))
    assert requests.get(f"{storage}/-/faults", timeout=10).json() == {"faults": []}  # it was met
    assert [blob.name for blob in bucket.list_blobs()] == expected
