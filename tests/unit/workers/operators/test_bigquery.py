"""What Conflict, errors and results of BigQuery mean, against a client in memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    ServiceUnavailable,
)

from tests.unit.workers.support import Log, context
from workers import time_limit
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.operators import Done, Pending, find
from workers.operators.bigquery import job
from workers.operators.bigquery.query import query_parameters

CREATED = datetime(2026, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)


class Client:
    """BigQuery's jobs in memory."""

    project = "p"

    def __init__(self):
        self.jobs: dict[tuple[str, str], SimpleNamespace] = {}
        self.inserted: list[SimpleNamespace] = []
        self.raised: Exception | None = None

    def query(self, sql, *, job_config, job_id, project, location, **options):
        assert options["retry"] is None
        assert options["job_retry"] is None
        if self.raised:
            raise self.raised
        if (location, job_id) in self.jobs:
            raise Conflict(f"Already Exists: Job {project}:{location}.{job_id}")
        job = SimpleNamespace(
            job_id=job_id,
            location=location,
            created=CREATED,
            sql=sql,
            config=job_config,
            state="RUNNING",
            error_result=None,
            errors=None,
            statement_type="INSERT",
            num_dml_affected_rows=None,
            num_child_jobs=0,
            dml_stats=None,
            total_bytes_processed=10,
            total_bytes_billed=20,
            slot_millis=30,
            cache_hit=False,
            referenced_tables=(),
            ddl_target_table=None,
            destination=None,
            result=lambda **_options: SimpleNamespace(total_rows=7),
        )
        self.jobs[location, job_id] = job
        self.inserted.append(job)
        return job

    def get_job(self, job_id, *, project, location, retry, **_options):
        assert project == "p"
        get = self.jobs.get

        def found():
            if job := get((location, job_id)):
                return job
            raise NotFound("no job")

        return (retry or (lambda function: function))(found)()

    def cancel_job(self, job_id, *, location, **_options):
        self.get_job(job_id, project="p", location=location, retry=None).state = "DONE"

    def end(self, **fields):
        (job,) = self.inserted
        vars(job).update(state="DONE", **fields)


@pytest.fixture
def client(monkeypatch):
    client = Client()
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(clients, "bigquery_client", lambda _access: client)
    return client


query = find("bigquery.query")


def task(log=None, settings=None, **params):
    return context(
        {"sql": "INSERT INTO t SELECT 1", **params},
        operator="bigquery.query",
        log=log,
        settings={"project": "p", **(settings or {})},
    )


def test_a_job_runs_under_the_id_of_its_try(client):
    handle = query.submit(task())
    assert handle["location"] == "US"
    assert list(client.jobs) == [("US", handle["job_id"])]
    assert query.poll(task(), handle) == Pending("BigQuery job RUNNING")
    client.end(num_dml_affected_rows=3)
    assert query.poll(task(), handle) == Done(
        {
            "job_id": handle["job_id"],
            "project": "p",
            "location": "US",
            "link": (
                "https://console.cloud.google.com/bigquery"
                f"?project=p&j=bq:US:{handle['job_id']}&page=queryresults"
            ),
            "statement_type": "INSERT",
            "rows": 3,
            "bytes_processed": 10,
            "bytes_billed": 20,
            "slot_ms": 30,
            "cache_hit": False,
        }
    )


def test_the_handle_of_a_try_is_known_without_its_submission(client):
    submitted = query.submit(task())
    assert query.handle(task()) == submitted | {"created": None}
    assert submitted["created"] == CREATED.timestamp()


def test_the_rows_of_a_query_are_those_of_its_result(client):
    handle = query.submit(task())
    client.end(statement_type="SELECT")
    assert query.poll(task(), handle).result["rows"] == 7


def test_the_same_try_again_finds_its_job(client):
    log = Log()
    assert query.submit(task(log)) == query.submit(task(log))
    assert len(client.inserted) == 1
    assert log.lines[0].startswith("started BigQuery job p:US.pydag-t-1-nightly")
    assert log.lines[1].startswith("found BigQuery job p:US.pydag-t-1-nightly")


def test_a_conflict_about_something_else_is_no_job_of_ours(client, monkeypatch):
    monkeypatch.setattr(job, "_FIND_AFTER_CONFLICT", 0.0)
    client.raised = Conflict("Already Exists: Table p:d.t")
    with pytest.raises(TaskFailed, match=r"Already Exists: Table p:d\.t"):
        query.submit(task())


def test_a_jobs_own_conflict_fails_it(client):
    handle = query.submit(task())
    client.end(error_result={"reason": "duplicate", "message": "Already Exists: Table p:d.t"})
    with pytest.raises(
        TaskFailed,
        match=r"^duplicate: Already Exists: Table p:d\.t \(BigQuery job p:US\.pydag-.*\)$",
    ):
        query.poll(task(), handle)


def test_an_error_has_reason_location_and_message(client):
    client.raised = BadRequest(
        "400", errors=[{"reason": "invalidQuery", "location": "query", "message": "at [1:8]"}]
    )
    with pytest.raises(TaskFailed, match=r"invalidQuery at query: at \[1:8\]"):
        query.submit(task())


@pytest.mark.parametrize(
    ("params", "settings", "location"),
    [
        ({}, {}, "US"),
        ({}, {"location": "EU"}, "EU"),
        ({}, {"connections": {"GCP": {"location": "asia-east1"}}}, "asia-east1"),
        ({"location": "EU"}, {"connections": {"GCP": {"location": "asia-east1"}}}, "EU"),
    ],
)
def test_the_location_is_settled_before_the_insert(client, params, settings, location):
    assert query.submit(task(settings=settings, **params))["location"] == location
    assert next(iter(client.jobs))[0] == location


def test_the_params_become_the_jobs_configuration(client):
    query.submit(
        task(
            default_dataset="p.d",
            destination="p.d.t",
            write_disposition="WRITE_TRUNCATE",
            job_priority="BATCH",
            maximum_bytes_billed=1000,
            labels={"team": "a"},
            parameters={"year": 2022},
        )
    )
    config = client.inserted[0].config.to_api_repr()
    assert config["labels"]["team"] == "a"
    assert config["labels"]["pydag-task"] == "t"
    told = config["query"]
    assert told["defaultDataset"] == {"projectId": "p", "datasetId": "d"}
    assert told["destinationTable"] == {"projectId": "p", "datasetId": "d", "tableId": "t"}
    assert (told["writeDisposition"], told["priority"]) == ("WRITE_TRUNCATE", "BATCH")
    assert told["maximumBytesBilled"] == "1000"
    assert told["queryParameters"][0]["parameterValue"] == {"value": "2022"}


def test_cancel_waits_until_the_job_has_stopped(client, monkeypatch):
    handle = query.submit(task())
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            client.end()

    monkeypatch.setattr(client, "cancel_job", lambda *_, **__: None)
    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("workers.contract.wait.time", clock)
    log = Log()
    query.cancel(task(log), handle)
    assert len(waits) == 3
    assert log.lines == [f"BigQuery job p:US.{handle['job_id']} has stopped"]


def test_a_job_that_does_not_stop_in_time_is_left_alone(client, monkeypatch):
    handle = query.submit(task())
    monkeypatch.setattr(client, "cancel_job", lambda *_, **__: None)
    monkeypatch.setattr("workers.contract.wait.CANCEL_WITHIN", 0.0)
    log = Log()
    query.cancel(task(log), handle)
    assert "was told to stop 0 s ago, and runs" in log.lines[-1]


def test_cancel_finds_nothing_wrong_with_no_job(client):
    handle = query.submit(task())
    client.jobs.clear()
    query.cancel(task(), handle)


def test_waiting_asks_until_the_job_is_over(client, monkeypatch):
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 4:
            client.end(num_dml_affected_rows=1)

    monkeypatch.setattr("workers.contract.operator.time", SimpleNamespace(sleep=sleep))
    log = Log()
    assert query.execute(task(log))["rows"] == 1
    assert 0.8 <= waits[0] <= 1.2
    assert 2.7 <= waits[3] <= 4.05
    assert log.lines[1:] == [
        "BigQuery job RUNNING",
        "BigQuery job done: statement_type INSERT, rows 1, bytes_processed 10, slot_ms 30",
    ]


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (True, "BOOL", {"value": "true"}),
        (1, "INT64", {"value": "1"}),
        (1.5, "FLOAT64", {"value": 1.5}),
        ("a", "STRING", {"value": "a"}),
        ({"type": "date", "value": "2026-01-31"}, "DATE", {"value": "2026-01-31"}),
        ({"type": "STRING", "value": None}, "STRING", {"value": None}),
        ({"type": "BIGNUMERIC", "value": "1e30"}, "BIGNUMERIC", {"value": "1e30"}),
        ({"type": "JSON", "value": {"A": [1]}}, "JSON", {"value": '{"A": [1]}'}),
        ({"type": "JSON", "value": [1]}, "JSON", {"value": "[1]"}),
    ],
)
def test_a_json_value_has_a_bigquery_type(value, kind, shown):
    (parameter,) = query_parameters({"a": value})
    assert parameter.to_api_repr() == {
        "name": "a",
        "parameterType": {"type": kind},
        "parameterValue": shown,
    }


def test_lists_are_arrays_and_positions_have_no_names():
    one, other = query_parameters([["a", "b"], {"type": "DATE", "value": []}])
    assert one.to_api_repr()["parameterType"] == {"type": "ARRAY", "arrayType": {"type": "STRING"}}
    assert other.to_api_repr()["parameterType"]["arrayType"] == {"type": "DATE"}
    assert one.name is None


def test_structs_keep_the_names_of_their_fields():
    kind = "STRUCT<Id INT64, tags ARRAY<string>, at struct<d DATE>>"
    value = {"Id": 1, "tags": ["x"], "at": {"d": None}}
    (one,) = query_parameters({"a": {"type": kind, "value": value}})
    told = one.to_api_repr()
    assert [field["name"] for field in told["parameterType"]["structTypes"]] == ["Id", "tags", "at"]
    assert told["parameterValue"]["structValues"] == {
        "Id": {"value": "1"},
        "tags": {"arrayValues": [{"value": "x"}]},
        "at": {"structValues": {"d": {"value": None}}},
    }
    (many,) = query_parameters([{"type": "STRUCT<a INT64>", "value": [{"a": 1}, {"a": 2}]}])
    assert many.to_api_repr()["parameterType"]["arrayType"]["type"] == "STRUCT"


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("STRNG", 1, "STRNG is no type of a query parameter"),
        ("", 1, "nothing is no type"),
        ("NUMERIC(10, 2)", 1, "'\\(' does not belong into a type: parameters have no lengths"),
        ("ARRAY<INT64", [], "ARRAY needs a >"),
        ("ARRAY<ARRAY<INT64>>", [], "can't have items"),
        ("STRUCT<INT64>", {}, "each field of a STRUCT needs a name"),
        ("STRUCT<a INT64, a DATE>", {}, "a name of its own"),
        ("STRUCT<a INT64>", {"b": 1}, "a STRUCT needs an object of a"),
        ("STRUCT<a INT64>", {"a": {"b": 1}}, "is no INT64"),
        ("ARRAY<INT64>", 1, "an ARRAY needs a list"),
        ("INT64 INT64", 1, "'INT64' follows after the end"),
        ("STRUCT<a " * 17 + "INT64" + ">" * 17, {}, "at most 15 levels"),
    ],
)
def test_what_is_wrong_with_a_type_is_told(kind, value, why):
    with pytest.raises(TaskFailed, match=f"query parameter @a: .*{why}"):
        query_parameters({"a": {"type": kind, "value": value}})


@pytest.mark.parametrize("value", [None, [], {"a": 1}, [None], [[1]]])
def test_a_value_without_a_type_is_refused(value):
    with pytest.raises(TaskFailed, match="query parameter @a: no type for"):
        query_parameters({"a": value})


def test_a_job_that_cannot_be_asked_for_after_a_conflict_is_not_a_failed_one(client, monkeypatch):
    handle = query.submit(task())
    get_job, away = client.get_job, [True, True, False]

    def sometimes(*arguments, **options):
        if away.pop(0):
            raise ServiceUnavailable("away")
        return get_job(*arguments, **options)

    monkeypatch.setattr(client, "get_job", sometimes)
    assert query.submit(task()) == handle
    assert not away
    away.extend([True] * 3)
    monkeypatch.setattr(time_limit, "CALL", 0.0)
    assert query.submit(task()) == handle | {"created": None}  # the polls ask for it
    client.raised = Conflict("Already Exists: something")
    with pytest.raises(RemoteStateUnknown):
        query.submit(task())


def test_a_result_that_may_not_be_read_fails_no_job_that_succeeded(client):
    def forbidden(**_options):
        raise Forbidden("no")

    handle = query.submit(task())
    client.list_jobs = lambda *_, **options: forbidden(**options)
    client.end(statement_type="SELECT", result=forbidden, project="p", job_id="j", num_child_jobs=2)
    log = Log()
    told = query.poll(task(log), handle).result
    assert (told["rows"], told["statements"]) == (None, [])
    assert log.lines[0].startswith("the result is not complete: FORBIDDEN: no")
