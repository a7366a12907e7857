"""Datasets, tables and jobs of the local BigQuery, by the official client."""

from __future__ import annotations

import io
import urllib.error
from datetime import UTC, datetime, timedelta

import pytest
import requests
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    MethodNotImplemented,
    NotFound,
    PreconditionFailed,
)
from google.cloud import bigquery
from google.cloud.bigquery import Dataset, LoadJobConfig, SchemaField, Table

from tests.support import wait_until
from tests.support.local_bigquery import PROJECT, LocalBigQuery


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("api")
        yield client


@pytest.fixture
def table(request) -> str:
    return f"{PROJECT}.api.{request.node.name.split('[')[0]}"


FIELDS = [
    SchemaField("id", "INTEGER", "REQUIRED", description="the id"),
    SchemaField("tags", "STRING", "REPEATED"),
    SchemaField("who", "RECORD", fields=[SchemaField("name", "STRING")]),
    SchemaField("day", "DATE"),
]


def test_datasets(client):
    given = Dataset(f"{PROJECT}.made")
    given.location = "europe-west1"
    given.description = "about it"
    given.labels = {"team": "data"}
    given.default_table_expiration_ms = 3_600_000
    client.create_dataset(given)
    with pytest.raises(Conflict, match="Already Exists: Dataset local-project:made"):
        client.create_dataset(given)
    client.create_dataset(given, exists_ok=True)
    made = client.get_dataset("made")
    assert (made.location, made.description, made.labels) == (
        "europe-west1", "about it", {"team": "data"}
    )  # fmt: skip
    made.description = None
    made.labels = {"team": None, "more": "x"}
    changed = client.update_dataset(made, ["description", "labels"])
    assert (changed.description, changed.labels) == (None, {"more": "x"})
    with pytest.raises(PreconditionFailed):
        client.update_dataset(made, ["description"])
    assert "made" in [dataset.dataset_id for dataset in client.list_datasets()]
    client.create_table(Table(f"{PROJECT}.made.t", FIELDS))
    assert client.get_table("made.t").expires is not None
    with pytest.raises(BadRequest, match="still in use"):
        client.delete_dataset("made")
    client.delete_dataset("made", delete_contents=True)
    with pytest.raises(NotFound, match="Not found: Dataset local-project:made"):
        client.get_dataset("made")
    client.delete_dataset("made", not_found_ok=True)


def test_hidden_datasets_hold_the_rows_of_queries(client):
    client.query("SELECT 1 AS a").result()
    assert not [d.dataset_id for d in client.list_datasets() if d.dataset_id.startswith("_")]
    assert [d for d in client.list_datasets(include_all=True) if d.dataset_id.startswith("_")]


@pytest.mark.parametrize("name", ["bad-name", "", "ä"])
def test_wrong_names_of_datasets(client, name):
    with pytest.raises((BadRequest, ValueError)):
        client.create_dataset(Dataset(f"{PROJECT}.{name}"))


def test_tables(client, table):
    given = Table(table, FIELDS)
    given.time_partitioning = bigquery.TimePartitioning(field="day", type_="MONTH")
    given.clustering_fields = ["id"]
    given.description = "about it"
    given.friendly_name = "friend"
    given.labels = {"a": "b"}
    client.create_table(given)
    with pytest.raises(Conflict, match="Already Exists: Table"):
        client.create_table(given)
    made = client.get_table(table)
    assert made.schema == FIELDS
    assert (made.time_partitioning.type_, made.time_partitioning.field) == ("MONTH", "day")
    assert (made.clustering_fields, made.description, made.friendly_name) == (
        ["id"], "about it", "friend"
    )  # fmt: skip
    assert (made.num_rows, made.num_bytes, made.location, made.table_type) == (0, 0, "US", "TABLE")
    assert made.labels == {"a": "b"}
    assert [item.table_id for item in client.list_tables("api")].count(made.table_id) == 1
    client.query_and_wait(
        f"INSERT `{table}` (id, tags, who) VALUES (1, ['a', 'bc'], STRUCT('xyz')), (2, [], NULL)"
    )
    after = client.get_table(table)
    assert (after.num_rows, after.num_bytes) == (2, 8 + 3 + 4 + 5 + 8)
    assert after.modified > made.modified
    assert after.created == made.created
    client.delete_table(table)
    with pytest.raises(NotFound, match=f"Not found: Table {table.replace('.', ':', 1)}"):
        client.get_table(table)
    client.delete_table(table, not_found_ok=True)
    with pytest.raises(NotFound):
        client.create_table(Table(f"{PROJECT}.nowhere.t", FIELDS))


def test_changing_a_table(client, table):
    made = client.create_table(Table(table, FIELDS))
    made.description = "new"
    made.expires = datetime.now(UTC) + timedelta(hours=1)
    changed = client.update_table(made, ["description", "expires"])
    assert (changed.description, changed.expires is not None) == ("new", True)
    with pytest.raises(PreconditionFailed):
        client.update_table(made, ["description"])
    changed.schema = [
        SchemaField("id", "INT64", "NULLABLE"), *FIELDS[1:], SchemaField("more", "STRING")
    ]  # fmt: skip
    changed = client.update_table(changed, ["schema"])
    assert [(field.name, field.mode) for field in changed.schema][::4] == [
        ("id", "NULLABLE"), ("more", "NULLABLE")
    ]  # fmt: skip
    client.query_and_wait(f"INSERT `{table}` (more) VALUES ('x')")
    changed = client.get_table(table)
    for refused in (
        [*changed.schema[:-1]],
        [*changed.schema[:-1], SchemaField("more", "INT64")],
        [*changed.schema, SchemaField("must", "INT64", "REQUIRED")],
    ):
        changed.schema = refused
        with pytest.raises(BadRequest, match="Provided Schema does not match Table"):
            client.update_table(changed, ["schema"])


def test_an_expired_table_is_gone(client, table):
    given = Table(table, FIELDS)
    given.expires = datetime.now(UTC) + timedelta(milliseconds=300)
    client.create_table(given)

    def gone():
        try:
            client.get_table(table)
        except NotFound:
            return True
        return False

    wait_until(gone, "the table expires")
    assert table.rpartition(".")[2] not in [item.table_id for item in client.list_tables("api")]
    client.create_table(Table(table, FIELDS))


def test_views_by_the_api(client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS a")
    view = Table(f"{table}_v")
    view.view_query = f"SELECT a + 1 AS b FROM `{table}`"
    made = client.create_table(view)
    assert (made.table_type, [field.name for field in made.schema]) == ("VIEW", ["b"])
    assert [row["b"] for row in client.query_and_wait(f"SELECT * FROM `{table}_v`")] == [2]
    with pytest.raises(BadRequest):
        list(client.list_rows(f"{table}_v", selected_fields=made.schema))


def test_reading_rows(client, table):
    client.query_and_wait(
        f"CREATE TABLE `{table}` AS SELECT n, CAST(n AS STRING) AS s, [n] AS l "
        "FROM UNNEST(GENERATE_ARRAY(0, 99)) AS n"
    )
    assert len(list(client.list_rows(table))) == 100
    some = client.list_rows(table, max_results=5, start_index=90)
    assert [row["n"] for row in some] == [90, 91, 92, 93, 94]
    pages = [page.num_items for page in client.list_rows(table, page_size=30).pages]
    assert pages == [30, 30, 30, 10]
    (first, *_) = client.list_rows(table, selected_fields=[SchemaField("s", "STRING")])
    assert dict(first) == {"s": "0"}


def test_jobs_that_have_not_ended_are_listed_by_state_and_time(client, local_bigquery):
    local_bigquery.fault(method="run", job_id="listed-", count=None, delay=300)
    names = [f"listed-{number}" for number in range(5)]
    jobs = {name: client.query("SELECT 1", job_id=name, job_retry=None) for name in names}
    try:
        wait_until(lambda: jobs["listed-4"].reload() or jobs["listed-4"].running(), "they run")

        def listed(first, last, **options):
            window = {
                "min_creation_time": jobs[first].created,
                "max_creation_time": jobs[last].created,
            }
            return {job.job_id for job in client.list_jobs(**window, **options)} & set(names)

        active = {"state_filter": ["pending", "running"]}
        assert listed("listed-0", "listed-4", page_size=2, **active) == set(names)
        assert listed("listed-0", "listed-4", state_filter="done") == set()
        early = {name for name in names if jobs[name].created <= jobs["listed-2"].created}
        assert listed("listed-0", "listed-2", **active) == early
        client.cancel_job("listed-0")
        wait_until(lambda: jobs["listed-0"].reload() or jobs["listed-0"].done(), "it has ended")
        assert listed("listed-0", "listed-4", **active) == set(names) - {"listed-0"}
        assert "listed-0" in listed("listed-0", "listed-0", state_filter="done")
    finally:
        for name in names[1:]:
            client.cancel_job(name)
        local_bigquery.call("DELETE", "/-/faults")


def test_jobs(client, local_bigquery):
    job = client.query("SELECT 1 AS a", job_id="one", job_retry=None)
    job.result()
    again = client.get_job("one")
    assert (again.state, again.job_type, again.statement_type) == ("DONE", "query", "SELECT")
    assert again.created <= again.started <= again.ended
    assert again.slot_millis >= 1
    assert again.destination.dataset_id.startswith("_")
    failed = client.query("SELECT * FROM api.nope", job_id="two", job_retry=None)
    with pytest.raises(NotFound):
        failed.result()
    listed = {job.job_id: job for job in client.list_jobs()}
    assert listed["two"].error_result["reason"] == "notFound"
    assert not [job for job in client.list_jobs(state_filter="running") if job.job_id == "one"]
    jobs = client.list_jobs()
    jobs.extra_params["projection"], jobs.item_to_value = "minimal", lambda _, job: job
    least = {job["jobReference"]["jobId"]: job for job in jobs}["two"]
    assert (least["state"], least["errorResult"]["reason"]) == ("DONE", "notFound")
    assert not {"configuration", "status"} & least.keys()
    since = [job.job_id for job in client.list_jobs(min_creation_time=failed.created)]
    assert "two" in since
    with pytest.raises(NotFound, match=r"Not found: Job local-project:US\.nowhere"):
        client.get_job("nowhere")
    with pytest.raises(BadRequest, match="Invalid job ID"):
        client.query("SELECT 1", job_id="bad id", job_retry=None)
    (entry,) = [entry for entry in local_bigquery.journal() if entry["id"] == "one"]
    assert (entry["kind"], entry["statement_type"], entry["rows"], entry["state"]) == (
        "query", "SELECT", 1, "done"
    )  # fmt: skip
    assert entry["started"] <= entry["ended"]


def test_labels_and_priority(client):
    config = bigquery.QueryJobConfig(labels={"pydag-run": "r1"}, priority="BATCH")
    job = client.query("SELECT 1", job_config=config)
    assert client.get_job(job.job_id).labels == {"pydag-run": "r1"}


def test_the_same_request_id_is_the_same_query(local_bigquery, client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` (a INT64)")
    body = {"query": f"INSERT `{table}` VALUES (1)", "useLegacySql": False, "requestId": "r-1"}
    path = f"/bigquery/v2/projects/{PROJECT}/queries"
    first = local_bigquery.call("POST", path, body)
    second = local_bigquery.call("POST", path, body)
    assert first["jobReference"] == second["jobReference"]
    assert client.get_table(table).num_rows == 1


def test_a_query_that_takes_longer_than_the_client_waits(local_bigquery, client):
    local_bigquery.fault(method="run", delay=1)
    path = f"/bigquery/v2/projects/{PROJECT}/queries"
    body = {"query": "SELECT 7 AS a", "useLegacySql": False, "timeoutMs": 50}
    answer = local_bigquery.call("POST", path, body)
    assert not answer["jobComplete"]
    job = client.get_job(answer["jobReference"]["jobId"])
    assert [row["a"] for row in job.result()] == [7]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/bigquery/v2/projects/{PROJECT}/datasets/api/models"),
        ("POST", f"/bigquery/v2/projects/{PROJECT}/datasets/api/tables/t:setIamPolicy"),
        ("GET", f"/bigquery/v2/projects/{PROJECT}/datasets/api/models/r"),
    ],
)
def test_other_paths_are_not_supported(local_bigquery, method, path):
    with pytest.raises(urllib.error.HTTPError) as raised:
        local_bigquery.call(method, path, {} if method == "POST" else None)
    assert raised.value.code == 501


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b"[" * 100_000, b"\xff", rb'{"a": "\ud800"}']
)
def test_a_body_that_is_no_json_object_is_the_callers_mistake(local_bigquery, body):
    url = f"{local_bigquery.url}/bigquery/v2/projects/{PROJECT}/jobs"
    upload = url.replace("/bigquery", "/upload/bigquery") + "?uploadType=multipart"
    parts = b"--b\r\n\r\n" + body + b"\r\n--b\r\n\r\n1\r\n--b--"
    for answer in (
        requests.post(url, body, timeout=30),
        requests.post(
            upload, parts, headers={"Content-Type": "multipart/related; boundary=b"}, timeout=30
        ),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("Parse Error: ")


def test_what_would_be_passed_over_is_refused(client, table):
    given = Table(table, FIELDS)
    given.require_partition_filter = True
    with pytest.raises(BadRequest, match="not partitioned"):
        client.create_table(given)
    given = Table(table, [SchemaField("g", "GEOGRAPHY")])
    with pytest.raises(MethodNotImplemented, match="GEOGRAPHY"):
        client.create_table(given)
    with pytest.raises(MethodNotImplemented, match="legacy SQL"):
        client.query("SELECT 1", job_config=bigquery.QueryJobConfig(use_legacy_sql=True))
    config = LoadJobConfig(source_format="CSV", schema=FIELDS, encoding="ISO-8859-1")
    job = client.load_table_from_uri("gs://b/f", table, job_config=config)
    with pytest.raises((MethodNotImplemented, NotFound)):
        job.result()


def test_wrong_schemas(client, table):
    for fields in (
        [{"name": "a b!", "type": "STRING"}],
        [{"name": "a", "type": "STRING"}, {"name": "A", "type": "STRING"}],
        [{"name": "a", "type": "NOTHING"}],
        [{"name": "a", "type": "RECORD"}],
    ):
        with pytest.raises(BadRequest):
            client._call_api(
                None,
                method="POST",
                path=f"/projects/{PROJECT}/datasets/api/tables",
                data={
                    "tableReference": {"projectId": PROJECT, "datasetId": "api", "tableId": "x"},
                    "schema": {"fields": fields},
                },
            )


def test_health_and_token(local_bigquery):
    assert local_bigquery.call("GET", "/-/health")["status"] == "ok"
    assert local_bigquery.call("POST", "/token", {})["token_type"] == "Bearer"


def test_a_table_with_limits_defaults_and_a_filter_that_it_requires(client, table):
    given = Table(
        table,
        [
            SchemaField("s", "STRING", max_length=3),
            SchemaField("n", "NUMERIC", precision=4, scale=1),
            SchemaField("d", "DATE", default_value_expression="CURRENT_DATE()"),
        ],
    )
    given.time_partitioning = bigquery.TimePartitioning(field="d")
    given.require_partition_filter = True
    made = client.create_table(given)
    assert made.require_partition_filter
    assert (made.schema[0].max_length, made.schema[1].scale) == (3, 1)
    client.query_and_wait(f"INSERT {table} (s, n) VALUES ('abc', 1.25)")
    rows = client.query_and_wait(f"SELECT s, n FROM {table} WHERE d = CURRENT_DATE()")
    assert [(row["s"], str(row["n"])) for row in rows] == [("abc", "1.3")]
    with pytest.raises(BadRequest, match="without a filter over column"):
        client.query_and_wait(f"SELECT s FROM {table}")
    for source, message in (
        (["abcd,1,2020-01-01"], "maximum length 3"),
        (["abc,1000,2020-01-01"], "out of range"),
    ):
        job = client.load_table_from_file(io.BytesIO("\n".join(source).encode()), table)
        with pytest.raises(BadRequest, match=message):
            job.result()


def test_keys_of_tables(client, table):
    client.query_and_wait(
        f"CREATE TABLE {table}_u (a INT64 PRIMARY KEY NOT ENFORCED);"
        f"CREATE TABLE {table} (x INT64, CONSTRAINT f FOREIGN KEY (x) REFERENCES {table}_u (a) "
        "NOT ENFORCED)"
    )
    constraints = client.get_table(table).table_constraints
    assert constraints.primary_key is None
    (key,) = constraints.foreign_keys
    assert (key.name, str(key.referenced_table)) == ("f", f"{table}_u")
    (pair,) = key.column_references
    assert (pair.referencing_column, pair.referenced_column) == ("x", "a")
    client.copy_table(f"{table}_u", f"{table}_copy").result()
    assert client.get_table(f"{table}_copy").table_constraints.primary_key.columns == ["a"]
    client.query_and_wait(f"ALTER TABLE {table}_u DROP PRIMARY KEY")
    assert client.get_table(f"{table}_u").table_constraints.primary_key is None


def test_functions_of_a_dataset(local_bigquery, client, table):
    dataset, _, name = table.rpartition(".")
    routine = f"{dataset}.{name}"
    client.query_and_wait(f"CREATE FUNCTION `{routine}`(x INT64) RETURNS INT64 AS (x * 2)")
    job = client.query(f"SELECT `{routine}`(21) AS x")
    assert [row["x"] for row in job.result()] == [42]
    (listed,) = [one for one in client.list_routines(dataset) if one.routine_id == name]
    assert (listed.type_, listed.language) == ("SCALAR_FUNCTION", "SQL")
    assert client.get_routine(routine).body == "x * 2"
    with pytest.raises(Conflict):
        client.query_and_wait(f"CREATE FUNCTION `{routine}`(x INT64) AS (x)")
    client.delete_routine(routine)
    with pytest.raises(NotFound):
        client.get_routine(routine)
    with pytest.raises(BadRequest, match="Function not found"):
        client.query_and_wait(f"SELECT `{routine}`(21) AS x")
