"""Answers of BigQuery and of a token service that say nothing of a job, over the wire.

No job runs twice, and none beside another one of its task.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from google.cloud import bigquery
from google.oauth2 import service_account

from pydag_dist.engine import Claim, Held
from pydag_dist.local.keyfile import write_key_file
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.unit.workers.support import Log, context
from workers.contract.answer import as_unknown
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.operators import Asked, Done, Pending, Wait, find
from workers.tries import earlier

DATASET = f"{PROJECT}.unknown"
REFUSED = [(404, "notFound"), (401, "authError"), (403, "accessDenied")]
PAGE = "<html><title>502 Bad Gateway</title></html>"
ROWS = [(1, "ann"), (2, "bob")]


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("unknown")
        local_bigquery.put("gs://in/people.csv", "1,ann\n2,bob\n")
        yield client


@pytest.fixture(autouse=True)
def _environment(local_bigquery: LocalBigQuery, client, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery.url)
    monkeypatch.setattr(earlier, "kept_wait", lambda _held: None)  # no try was deferred
    yield
    local_bigquery.call("DELETE", "/-/faults")


@pytest.fixture
def table(request) -> str:
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    return f"{DATASET}.{name}"


def load(table: str, try_number: int = 1, log: Log | None = None, **params):
    """A load that appends, of a task that is called as its table."""
    params = {
        "source_uris": ["gs://in/people.csv"],
        "destination": table,
        "table_schema": [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}],
        "write_disposition": "WRITE_APPEND",
        **params,
    }
    fields = {
        "task_id": table.rpartition(".")[2],
        "try_number": try_number,
        "operator": "bigquery.load",
    }
    return context(params, log=log, settings={"project": PROJECT}, **fields)


def execute(task):
    """As a worker does."""
    operator = find(task.operator)
    held = Held(task.run_id, task.task_id, task.try_number, "push")
    claim = Claim("run", {"params": task.params})
    done = earlier.end_earlier_jobs(held, claim, task, operator)
    return done.result if done else operator.execute(task)


def poll_until_done(task, handle):
    """As workers poll a deferred try."""
    operator, wait = find(task.operator), Wait(handle, 0.0)
    while not isinstance(answer := operator.answer(Asked(task, handle)), Done):
        if isinstance(answer, Exception):
            wait.is_unknown(task, as_unknown(task, answer))
    return answer.result


def rows(client, table):
    return sorted(tuple(row) for row in client.list_rows(table))


def jobs_of(service, task):
    """The jobs of a task that ran, first come first."""
    mine = [job for job in service.journal() if f"-{task.task_id}-" in job["id"]]
    return sorted(mine, key=lambda job: job["started"])


@pytest.mark.parametrize(("status", "reason"), REFUSED)
def test_a_job_that_was_accepted_is_asked_for_again(local_bigquery, client, table, status, reason):
    log, task = Log(), load(table)
    job_id = find(task.operator).handle(task)["job_id"]
    local_bigquery.fault(method="jobs.get", job_id=job_id, status=status, reason=reason, count=2)
    assert execute(load(table, log=log))["rows"] == 2
    assert [job["state"] for job in jobs_of(local_bigquery, task)] == ["done"]
    assert rows(client, table) == ROWS
    # A client without credentials can't get new ones, as the library wants after a 401.
    said = f"{reason}: a fault that was ordered|Anonymous credentials"
    assert any(re.search(said, line) for line in log.lines)


def test_before_it_was_accepted_a_refusal_is_a_failure(local_bigquery, table):
    local_bigquery.fault(method="jobs.insert", status=403, reason="accessDenied")
    with pytest.raises(TaskFailed, match=r"accessDenied: .*roles/bigquery\.jobUser"):
        execute(load(table))


def test_a_conflict_about_a_job_that_nobody_finds_is_not_a_failure(
    local_bigquery, client, table, monkeypatch
):
    monkeypatch.setattr("workers.operators.bigquery.job._FIND_AFTER_CONFLICT", 0.5)
    task = load(table)
    operator = find(task.operator)
    operator.submit(task)
    local_bigquery.fault(method="jobs.get", status=404, reason="notFound", count=20)
    handle = operator.submit(task)
    assert handle["created"] is None
    local_bigquery.call("DELETE", "/-/faults")
    assert poll_until_done(task, handle)["rows"] == 2
    assert rows(client, table) == ROWS


@pytest.mark.parametrize(("status", "reason"), REFUSED)
def test_the_job_of_the_try_before_is_stopped_before_another_one_starts(
    local_bigquery, client, table, status, reason
):
    first, second = load(table), load(table, try_number=2)
    operator = find(first.operator)
    handle = operator.handle(first)
    local_bigquery.fault(method="run", job_id=handle["job_id"], delay=300)
    operator.submit(first)
    for method in ("jobs.cancel", "jobs.get"):
        local_bigquery.fault(method=method, job_id=handle["job_id"], status=status, reason=reason)
    execute(second)
    stopped, done = jobs_of(local_bigquery, first)
    assert (stopped["id"], stopped["state"], done["state"]) == (handle["job_id"], "failed", "done")
    assert stopped["ended"] <= done["started"]
    assert rows(client, table) == ROWS


def test_a_job_that_had_succeeded_though_its_try_failed_is_not_run_again(
    local_bigquery, client, table
):
    log, first = Log(), load(table)
    done = execute(first)
    assert execute(load(table, 2, log)) == done
    assert execute(load(table, 3, log)) == done  # of a try that had no job of its own
    assert len(jobs_of(local_bigquery, first)) == 1
    assert rows(client, table) == ROWS
    assert "the job of try 1 has succeeded: its result is taken" in log.lines


def test_a_job_that_failed_makes_room_for_the_next_try(local_bigquery, client, table):
    first = load(table)
    job_id = find(first.operator).handle(first)["job_id"]
    local_bigquery.fault(method="run", job_id=job_id, reason="backendError")
    with pytest.raises(TaskFailed, match="backendError"):
        execute(first)
    execute(load(table, try_number=2))
    assert [job["state"] for job in jobs_of(local_bigquery, first)] == ["failed", "done"]
    assert rows(client, table) == ROWS


def test_a_check_looks_again_instead_of_taking_what_was_found(local_bigquery, client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 0 AS n")

    def check(try_number):
        fields = {"task_id": table.rpartition(".")[2], "try_number": try_number}
        params = {"sql": f"SELECT n > 0 AS filled FROM `{table}`"}
        return context(params, operator="bigquery.check", settings={"project": PROJECT}, **fields)

    with pytest.raises(TaskFailed, match="filled is False"):
        execute(check(1))
    client.query_and_wait(f"UPDATE `{table}` SET n = 1 WHERE TRUE")
    assert execute(check(2))["row"] == {"filled": True}


def test_an_earlier_try_of_which_nobody_can_tell_holds_the_next_one_back(
    local_bigquery, client, table, monkeypatch
):
    monkeypatch.setattr(earlier, "_ASK_FOR", 0.0)
    first = load(table)
    execute(first)
    local_bigquery.fault(method="jobs.cancel", status=403, reason="accessDenied")
    with pytest.raises(RemoteStateUnknown, match="accessDenied"):
        execute(load(table, try_number=2))
    assert len(jobs_of(local_bigquery, first)) == 1


def test_a_sensor_that_was_answered_once_takes_no_refusal_for_the_end(
    local_bigquery, client, table
):
    fields = {"task_id": "sensor", "operator": "bigquery.wait_table"}
    task = context({"table": table}, settings={"project": PROJECT}, **fields)
    sensor = find(task.operator)
    local_bigquery.fault(method="tables.get", status=403, reason="accessDenied")
    with pytest.raises(TaskFailed, match="accessDenied"):
        sensor.poll(task, sensor.submit(task))
    handle = sensor.submit(task)
    assert isinstance(sensor.poll(task, handle), Pending)
    for status, reason in REFUSED[1:]:
        local_bigquery.fault(method="tables.get", status=status, reason=reason)
        with pytest.raises(RemoteStateUnknown, match=f"{reason}|Anonymous credentials"):
            sensor.poll(task, handle)
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    assert isinstance(sensor.poll(task, handle), Done)


# -- tokens -------------------------------------------------------------------------------------


class Tokens:
    """A token service: it answers with these, one after the other, and then as it should."""

    def __init__(self):
        self.answers: list[tuple[int, str]] = []
        self.asked = 0


@contextmanager
def token_service() -> Iterator[tuple[str, Tokens]]:
    tokens = Tokens()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            tokens.asked += 1
            good = {"access_token": "t", "token_type": "Bearer", "expires_in": 0}
            status, body = tokens.answers.pop(0) if tokens.answers else (200, json.dumps(good))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token", tokens
        server.shutdown()


@pytest.fixture
def tokens(local_bigquery, monkeypatch, tmp_path):
    """The worker's client gets a new token for each call."""
    with token_service() as (url, tokens):
        write_key_file(tmp_path / "key.json", PROJECT, url)
        found = service_account.Credentials.from_service_account_file(tmp_path / "key.json")
        client = bigquery.Client(
            project=PROJECT,
            credentials=found.with_scopes(["https://www.googleapis.com/auth/bigquery"]),
            client_options={"api_endpoint": local_bigquery.url},
        )
        monkeypatch.setattr(clients, "bigquery_client", lambda _access: client)
        monkeypatch.setattr(clients, "_forget_clients", lambda: None)
        yield tokens
        client.close()


REVOKED = (400, '{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')


@pytest.mark.parametrize("answer", [(502, PAGE), (500, '{"error": "server_error"}'), REVOKED])
def test_no_token_says_nothing_of_a_job_that_was_accepted(
    local_bigquery, client, table, tokens, answer
):
    log, task = Log(), load(table)
    operator = find(task.operator)
    handle = operator.submit(task)
    assert tokens.asked >= 1
    tokens.answers = [answer] * 2
    assert poll_until_done(load(table, log=log), handle)["job_id"] == handle["job_id"]
    assert tokens.answers == []
    assert len(jobs_of(local_bigquery, task)) == 1
    assert rows(client, table) == ROWS


def test_no_token_before_a_job_was_accepted(local_bigquery, client, table, tokens):
    tokens.answers = [(502, PAGE)] * 2
    assert execute(load(table))["rows"] == 2
    tokens.answers = [REVOKED]
    with pytest.raises(TaskFailed, match=r"Invalid JWT Signature.*: the key or the login was rev"):
        find("bigquery.load").execute(load(f"{table}_2"))
    assert rows(client, table) == ROWS


def test_no_token_for_a_sensor(table, tokens):
    task = context({"table": table}, settings={"project": PROJECT}, operator="bigquery.wait_table")
    sensor = find(task.operator)
    tokens.answers = [(502, PAGE)]
    handle = sensor.submit(task)
    assert isinstance(sensor.poll(task, handle), Pending)
    tokens.answers = [REVOKED]
    with pytest.raises(RemoteStateUnknown, match="the key or the login was revoked"):
        sensor.poll(task, handle)


def test_a_try_that_is_executed_again_is_not_failed_by_a_refusal(client, table, tokens):
    """Its job may be there, whatever the insert is told."""
    find("bigquery.load").submit(load(table))
    tokens.answers = [REVOKED]
    again = replace(load(table), is_repeated=True)
    with pytest.raises(RemoteStateUnknown, match="the key or the login was revoked"):
        execute(again)
    assert execute(again)["rows"] == 2
    assert rows(client, table) == ROWS
