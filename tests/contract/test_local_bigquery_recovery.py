"""A job's effect is there exactly once, whatever happens to the service or the connection."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery
from requests.exceptions import RequestException

from tests.support import wait_until
from tests.support.local_bigquery import LocalBigQuery

pytestmark = pytest.mark.slow

KILLS = 6


@pytest.fixture
def service(tmp_path: Path):
    with LocalBigQuery(tmp_path) as service:
        yield service


@pytest.fixture
def client(service: LocalBigQuery) -> bigquery.Client:
    client = service.client()
    client.create_dataset("ds")
    return client


def insert_until_there(client: bigquery.Client, sql: str, job_id: str) -> bigquery.QueryJob:
    """What an operator does: insert with a fixed id; a conflict means that it is there."""
    while True:
        try:
            return client.query(sql, job_id=job_id, job_retry=None, retry=None, timeout=5)
        except Conflict:
            return client.get_job(job_id)
        except (OSError, GoogleAPICallError):
            time.sleep(0.02)


def busy(n: int) -> str:
    """A query that multiplies n * n numbers."""
    numbers = f"UNNEST(GENERATE_ARRAY(1, {n}))"
    return f"SELECT COUNTIF(MOD(a * b, 7) = 1) FROM {numbers} a, {numbers} b"


def count(client: bigquery.Client, table: str) -> int:
    (row,) = client.query_and_wait(f"SELECT COUNT(*) FROM {table}")
    return row[0]


def test_a_repeated_job_id_is_a_conflict_also_after_a_kill(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    client.query("INSERT ds.t VALUES (1)", job_id="once", job_retry=None).result()
    service.kill()
    service.start()
    client = service.client()
    with pytest.raises(Conflict) as raised:
        client.query("INSERT ds.t VALUES (1)", job_id="once", job_retry=None)
    assert raised.value.errors[0]["reason"] == "duplicate"
    assert raised.value.errors[0]["message"] == "Already Exists: Job local-project:US.once"
    job = client.get_job("once")
    assert (job.state, job.num_dml_affected_rows) == ("DONE", 1)
    assert count(client, "ds.t") == 1


def test_a_lost_answer_is_answered_by_a_conflict(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    service.fault(method="jobs.insert", job_id="^lost$", drop="after")
    with pytest.raises(RequestException):
        client.query("INSERT ds.t VALUES (1)", job_id="lost", job_retry=None, retry=None)
    job = insert_until_there(client, "INSERT ds.t VALUES (1)", "lost")
    job.result()
    assert count(client, "ds.t") == 1
    assert [entry["id"] for entry in service.journal()].count("lost") == 1


def test_a_job_that_ran_when_the_service_was_killed_runs_again(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    slow = "INSERT ds.t VALUES (1)"
    service.fault(method="run", job_id="^slow$", delay=600)  # until the service is killed
    client.query(slow, job_id="slow", job_retry=None)
    hours = f"INSERT ds.t {busy(100_000)}"
    client.query(hours, job_id="hours", job_retry=None)
    for job_id in ("slow", "hours"):
        wait_until(lambda j=job_id: client.get_job(j).state == "RUNNING", f"{job_id} runs")
    service.kill()
    assert "slow" not in Path(service.data, "journal.jsonl").read_text()
    service.start()
    client = service.client()
    with pytest.raises(Conflict):
        client.query(slow, job_id="slow", job_retry=None)
    job = client.get_job("slow")
    job.result()
    wait_until(lambda: client.get_job("hours").state == "RUNNING", "it runs again")
    client.cancel_job("hours")
    wait_until(lambda: client.get_job("hours").done(), "it ends")
    assert count(client, "ds.t") == job.num_dml_affected_rows == 1
    assert [entry["id"] for entry in service.journal()].count("slow") == 1


def test_kills_at_random_moments_neither_lose_nor_double_an_insert(service, client):
    """Four clients insert until the last kill, so that each kill meets jobs under way."""
    client.query_and_wait("CREATE TABLE ds.t (name STRING)")
    names = map("job-{}".format, itertools.count())
    done: list[str] = []
    over = threading.Event()

    def work() -> None:
        own = service.client()
        while not over.is_set():
            name = next(names)
            sql = f"INSERT ds.t VALUES ('{name}')"
            while insert_until_there(own, sql, name).state != "DONE":
                time.sleep(0.01)
            done.append(name)

    chance = random.Random(7)
    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work) for _ in range(4)]
        try:
            for _ in range(KILLS):
                before = len(done)
                wait_until(lambda before=before: len(done) > before, "jobs are done again")
                time.sleep(chance.uniform(0, 0.1))  # where in the next ones, not a wait
                service.kill()
                service.start()
        finally:
            over.set()
        for each in working:
            each.result()
    rows = Counter(row[0] for row in service.client().query_and_wait("SELECT name FROM ds.t"))
    assert rows == dict.fromkeys(done, 1)
    ran = Counter(entry["id"] for entry in service.journal() if entry["id"].startswith("job-"))
    assert ran == dict.fromkeys(done, 1)


def test_a_killed_script_goes_on_after_its_last_finished_statement(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    client.query_and_wait("CREATE TABLE ds.size AS SELECT 100000 AS n")
    numbers = "UNNEST(GENERATE_ARRAY(1, n))"
    heavy = f"SELECT COUNTIF(MOD(a * b, 7) = 1) FROM ds.size, {numbers} a, {numbers} b"
    script = f"INSERT ds.t VALUES (1); {heavy}; INSERT ds.t VALUES (2);"
    job = client.query(script, job_id="script", job_retry=None)
    wait_until(
        lambda: [child.state for child in client.list_jobs(parent_job=job)] == ["RUNNING", "DONE"],
        "the second statement runs",
    )
    client.query_and_wait("UPDATE ds.size SET n = 10 WHERE TRUE")  # when it runs again
    service.kill()
    service.start()
    client = service.client()
    job = client.get_job("script")
    job.result()
    assert sorted(row[0] for row in client.list_rows("ds.t")) == [1, 2]
    assert (job.statement_type, job.num_child_jobs) == ("SCRIPT", 3)
    kinds = Counter(e["statement_type"] for e in service.journal() if e["parent"] == "script")
    assert kinds == {"INSERT": 2, "SELECT": 1}


def test_sigterm_ends_with_status_0_and_a_running_job_runs_again(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    service.fault(method="run", job_id="^waits$", delay=60)
    client.query("INSERT ds.t VALUES (1)", job_id="waits", job_retry=None)
    hours = f"INSERT ds.t {busy(100_000)}"
    client.query(hours, job_id="busy", job_retry=None)
    wait_until(lambda: client.get_job("busy").state == "RUNNING", "the job runs")
    assert service.stop() == 0
    service.start()
    client = service.client()
    client.get_job("waits").result()
    job = client.get_job("busy")
    assert job.state in {"RUNNING", "PENDING", "DONE"}
    client.cancel_job("busy")
    wait_until(lambda: client.get_job("busy").done(), "the job ends")
    assert count(client, "ds.t") == 1 + (client.get_job("busy").error_result is None)


def test_what_was_written_is_there_after_a_kill(service, client):
    client.query_and_wait(
        "CREATE TABLE ds.t PARTITION BY d AS SELECT 1 AS a, DATE '2024-02-29' AS d"
    )
    client.query_and_wait("CREATE VIEW ds.v AS SELECT a FROM `local-project.ds.t`")
    job = client.query("SELECT a, d FROM ds.t")
    job.result()
    service.kill()
    service.start()
    client = service.client()
    assert client.get_table("ds.t").time_partitioning.field == "d"
    assert [row["a"] for row in client.query_and_wait("SELECT * FROM ds.v")] == [1]
    # The rows of a query outlive the service, too.
    assert [row["a"] for row in client.get_job(job.job_id).result()] == [1]


def test_a_cancelled_job_has_no_effect(service, client):
    client.query_and_wait("CREATE TABLE ds.t (a INT64)")
    hours = f"INSERT ds.t {busy(100_000)}"
    client.query(hours, job_id="busy", job_retry=None)
    wait_until(lambda: client.get_job("busy").state == "RUNNING", "the job runs")
    client.cancel_job("busy")
    job = client.get_job("busy")
    wait_until(job.done, "the job ends")
    assert job.error_result["reason"] == "stopped"
    assert count(client, "ds.t") == 0
    client.cancel_job("busy")  # once more is no error
    with pytest.raises(NotFound):
        client.cancel_job("nowhere")


def test_a_failed_job_keeps_its_id(service, client):
    with pytest.raises(BadRequest):
        client.query("SELECT 1/0", job_id="bad", job_retry=None).result()
    with pytest.raises(Conflict):
        client.query("SELECT 1", job_id="bad", job_retry=None)
    assert client.get_job("bad").error_result["reason"] == "invalidQuery"
