"""BigQuery's operators with Google's own client, over the wire, against the local service."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.unit.workers.support import Log, context
from workers.contract.answer import Asked
from workers.errors import TaskFailed
from workers.operators import Done, Pending, find

DATASET = f"{PROJECT}.operators"
PEOPLE = [{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "name", "type": "STRING"}]


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("operators")
        yield client


@pytest.fixture(autouse=True)
def _environment(local_bigquery: LocalBigQuery, client, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery.url)


@pytest.fixture
def table(request) -> str:
    return f"{DATASET}.{re.sub(r'[^A-Za-z0-9]+', '_', request.node.name)}"


def task(operator: str, task_id: str, log: Log | None = None, try_number: int = 1, **params):
    fields = {"task_id": task_id, "try_number": try_number, "operator": operator}
    return context(params, log=log, settings={"project": PROJECT}, **fields)


def run(operator: str, task_id: str, log: Log | None = None, **params):
    return find(operator).execute(task(operator, task_id, log, **params))


def rows(client, table):
    return sorted((tuple(row) for row in client.list_rows(table)), key=repr)


# -- query --------------------------------------------------------------------------------------


def test_a_query_makes_a_table_as_it_is_told(client, table):
    result = run(
        "bigquery.query",
        table,
        sql="SELECT id, DATE '2026-01-31' AS day FROM UNNEST([1, 2, 3]) AS id WHERE id >= @low",
        parameters={"low": 2},
        destination=table,
        write_disposition="WRITE_EMPTY",
        partition_by={"field": "day", "type": "MONTH", "expiration_days": 10},
        cluster_by=["id"],
        labels={"team": "a"},
    )
    assert rows(client, table) == [(2, date(2026, 1, 31)), (3, date(2026, 1, 31))]
    made = client.get_table(table)
    assert (made.time_partitioning.field, made.time_partitioning.type_) == ("day", "MONTH")
    assert made.time_partitioning.expiration_ms == 10 * 86_400_000
    assert made.clustering_fields == ["id"]
    assert (result["statement_type"], result["rows"], result["cache_hit"]) == ("SELECT", 2, False)
    assert result["slot_ms"] >= 1
    assert (result.get("reads"), result["writes"]) == (None, [table])
    job = client.get_job(result["job_id"], location="US")
    assert {name: job.labels[name] for name in ("team", "pydag-dag", "pydag-try")} == {
        "team": "a", "pydag-dag": "nightly", "pydag-try": "1",
    }  # fmt: skip


def test_ranges_partition_a_destination(client, table):
    by = {"field": "id", "start": 0, "end": 100, "interval": 10}
    run("bigquery.query", table, sql="SELECT 1 AS id", destination=table, partition_by=by)
    made = client.get_table(table).range_partitioning
    assert (made.field, made.range_.start, made.range_.end, made.range_.interval) == (
        "id", 0, 100, 10,
    )  # fmt: skip


def test_dml_tells_what_it_changed(client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT id FROM UNNEST([1, 2, 3]) AS id")
    result = run(
        "bigquery.query",
        table,
        sql=f"MERGE `{table}` AS t USING (SELECT id FROM UNNEST([3, 4, 5]) AS id) AS s "
        "ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (id)",
    )
    told = {name: result[name] for name in ("rows", "inserted", "updated", "deleted")}
    assert told == {"rows": 3, "inserted": 2, "updated": 0, "deleted": 1}
    # The rows as it found them; at least 10 MB are billed.
    assert (result["bytes_processed"], result["bytes_billed"]) == (24, 10 * 2**20)


def test_a_script_tells_what_its_statements_did(client, table):
    result = run(
        "bigquery.query",
        table,
        sql=f"CREATE TABLE `{table}` (id INT64); INSERT INTO `{table}` VALUES (1), (2); "
        f"SELECT * FROM `{table}`",
    )
    assert result["statement_type"] == "SCRIPT"
    assert (result["reads"], result["writes"]) == ([table], [table])
    told = [(s["statement_type"], s["rows"]) for s in result["statements"]]
    assert told == [("CREATE_TABLE", None), ("INSERT", 2), ("SELECT", None)]
    assert client.get_job(result["statements"][1]["job_id"]).parent_job_id == result["job_id"]


def test_rows_of_a_query_are_in_its_result(client, table):
    sql = """
        SELECT x AS n, DATE '2026-01-31' AS d, NUMERIC '1.5' AS m, [STRUCT(x AS a)] AS s,
          IEEE_DIVIDE(0, 0) AS f
        FROM UNNEST([1, 2, 3]) AS x ORDER BY x
        """
    result = run("bigquery.query", table, sql=sql, rows=2)
    first = {"n": 1, "d": "2026-01-31", "m": "1.5", "s": [{"a": 1}], "f": "nan"}
    assert result["rows"] == 3
    assert result["first_rows"] == [first, {**first, "n": 2, "s": [{"a": 2}]}]
    json.dumps(result, allow_nan=False)
    script = "DECLARE x INT64 DEFAULT 7; SELECT 1 AS a; SELECT x AS b"
    assert run("bigquery.query", f"{table}-s", sql=script, rows=9)["first_rows"] == [{"b": 7}]
    long = "SELECT REPEAT('x', 1000) AS s FROM UNNEST(GENERATE_ARRAY(1, 100))"
    with pytest.raises(TaskFailed, match='fewer "rows" or columns') as failed:
        run("bigquery.query", f"{table}-l", sql=long, rows=100)
    assert failed.value.final
    with pytest.raises(TaskFailed, match="a CREATE_TABLE has no rows"):
        run("bigquery.query", f"{table}-d", sql=f"CREATE TABLE `{table}` (x INT64)", rows=1)


def test_more_of_a_jobs_configuration(client, table):
    sql, more = "SELECT 1 AS id", {"maximumBillingTier": 1}
    run("bigquery.query", table, sql=sql, configuration=more)
    key = {"destinationEncryptionConfiguration": {"kmsKeyName": "k"}}
    with pytest.raises(TaskFailed, match="destinationEncryptionConfiguration"):
        run("bigquery.query", f"{table}-key", sql=sql, destination=table, configuration=key)
    twice = {"sql": sql, "use_query_cache": False, "configuration": {"useQueryCache": True}}
    with pytest.raises(TaskFailed, match=r'"configuration" says again .*: useQueryCache'):
        run("bigquery.query", f"{table}-2", **twice)


def test_copies_of_tables_and_partitions(client, table):
    client.query_and_wait(
        f"CREATE TABLE `{table}` PARTITION BY d AS SELECT DATE '2026-01-30' AS d, 1 AS n "
        "UNION ALL SELECT '2026-01-31', 2"
    )
    to = f"{table}_copy"
    result = run("bigquery.copy", table, sources=[table], destination=to)
    told = {name: result[name] for name in ("sources", "destination", "rows", "bytes_billed")}
    assert told == {"sources": [table], "destination": to, "rows": 2, "bytes_billed": 0}
    with pytest.raises(TaskFailed, match="duplicate"):
        run("bigquery.copy", f"{table}-again", sources=[table], destination=to)
    one = {"sources": [f"{table}$20260131"], "write_disposition": "WRITE_TRUNCATE"}
    result = run("bigquery.copy", f"{table}-one", destination=f"{to}$20260131", **one)
    assert (result["rows"], len(rows(client, to))) == (1, 2)
    with pytest.raises(TaskFailed, match="notFound"):
        run("bigquery.copy", f"{table}-none", sources=[f"{table}_nope"], destination=to)


def test_a_query_that_would_bill_too_much_fails_and_says_so(client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    with pytest.raises(TaskFailed, match=r"bytesBilledLimitExceeded: .* 10485760 or higher"):
        run("bigquery.query", table, sql=f"SELECT * FROM `{table}`", maximum_bytes_billed=1000)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("accessDenied", "give the worker's account roles/bigquery.jobUser"),
        ("quotaExceeded", "troubleshoot-quotas"),
        ("jobBackendError", "with retries, the task's next try has a new job"),
        ("stopped", r"fault that was ordered \(BigQuery job [^ ]+\)$"),
    ],
)
def test_a_job_that_fails_says_why_and_what_to_do(local_bigquery, table, reason, advice):
    local_bigquery.fault(method="run", reason=reason)
    with pytest.raises(TaskFailed, match=rf"{reason}: a fault that was ordered.*{advice}|{advice}"):
        run("bigquery.query", table, sql="SELECT 1")


def test_what_is_elsewhere_needs_its_location(client, table):
    with pytest.raises(TaskFailed, match=r"notFound: Not found: .*set location in the task"):
        run("bigquery.query", table, sql=f"SELECT * FROM {DATASET}.no_such")


def test_a_budget_stops_the_query_that_would_exceed_it(client, table, local_bigquery):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    first = task(
        "bigquery.query", f"{table}-1", sql=f"INSERT INTO `{table}` SELECT * FROM `{table}`"
    )
    first = replace(first, budget_bytes=15 * 2**20)  # one query bills 10 MB
    second = replace(first, task_id=f"{table}-2")
    query = find("bigquery.query")
    assert query.execute(first)["bytes_billed"] == 10 * 2**20
    with pytest.raises(
        TaskFailed,
        match="budget_bytes of DAG nightly is 15,728,640: its run has "
        "billed or started 10,485,760, and this query would bill 10,485,760",
    ):
        query.execute(second)  # fmt: skip
    assert rows(client, table) == [(1,), (1,)]
    script = f"CREATE TABLE `{table}_s` AS SELECT 1 AS id; SELECT * FROM `{table}_s`"
    made = replace(first, task_id=f"{table}-3", params={"sql": script}, budget_bytes=2**30)
    assert query.execute(made)["statement_type"] == "SCRIPT"


# -- load ---------------------------------------------------------------------------------------


def test_a_load_makes_a_table(local_bigquery, client, table):
    local_bigquery.put("gs://in/people/1.csv", "id;name\n1;ann\n2;-\n")
    local_bigquery.put("gs://in/people/2.csv", "id;name\n3;eve\n")
    result = run(
        "bigquery.load",
        table,
        source_uris=["gs://in/people/*.csv"],
        destination=table,
        table_schema=PEOPLE,
        skip_leading_rows=1,
        field_delimiter=";",
        null_marker="-",
        cluster_by=["id"],
    )
    assert rows(client, table) == [(1, "ann"), (2, None), (3, "eve")]
    assert client.get_table(table).clustering_fields == ["id"]
    told = {name: result[name] for name in ("destination", "rows", "files", "bytes_processed")}
    assert told == {"destination": table, "rows": 3, "files": 2, "bytes_processed": 32}
    assert result["bytes_billed"] == 0
    assert result["output_bytes"] == 3 * 8 + 2 * 5


def test_the_same_try_appends_once_and_another_appends_again(local_bigquery, client, table):
    uri = local_bigquery.put("gs://in/append.json", '{"id": 1}\n') and "gs://in/append.json"
    params = {"source_uris": [uri], "destination": table, "autodetect": True}
    params |= {"source_format": "NEWLINE_DELIMITED_JSON", "write_disposition": "WRITE_APPEND"}
    log = Log()
    first = run("bigquery.load", table, log, **params)
    assert run("bigquery.load", table, log, **params) == first
    assert rows(client, table) == [(1,)]
    assert "found BigQuery job" in log.lines[-2]
    assert run("bigquery.load", table, try_number=2, **params)["job_id"] != first["job_id"]
    assert rows(client, table) == [(1,), (1,)]


def test_the_answer_of_an_insert_may_be_lost(local_bigquery, client, table):
    local_bigquery.put("gs://in/lost.csv", "1,ann\n")
    local_bigquery.fault(method="jobs.insert", drop="after")
    local_bigquery.fault(method="jobs.insert", status=503, reason="backendError")
    params = {"source_uris": ["gs://in/lost.csv"], "destination": table, "table_schema": PEOPLE}
    assert run("bigquery.load", table, **params)["rows"] == 1
    assert rows(client, table) == [(1, "ann")]


def test_bad_records_are_told_of(local_bigquery, client, table):
    local_bigquery.put("gs://in/bad.csv", "1,ann\nx,bob\n")
    params = {"source_uris": ["gs://in/bad.csv"], "destination": table, "table_schema": PEOPLE}
    with pytest.raises(TaskFailed, match=r"invalid at gs://in/bad\.csv: .*errors: 1.*") as failed:
        run("bigquery.load", table, **params)
    assert "Could not parse 'x' as INT64 for field id (position 0) in row 2" in str(failed.value)
    log = Log()
    result = run("bigquery.load", table, log, try_number=2, max_bad_records=1, **params)
    assert result["rows"] == 1
    assert any("passed over: invalid at gs://in/bad.csv" in line for line in log.lines)


def test_an_append_may_change_the_schema_as_far_as_it_is_told(local_bigquery, client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` (id INT64 NOT NULL)")
    local_bigquery.put("gs://in/more.json", '{"id": 1, "name": "ann"}\n{"name": "bob"}\n')
    params = {"source_uris": ["gs://in/more.json"], "destination": table}
    params |= {"source_format": "NEWLINE_DELIMITED_JSON", "write_disposition": "WRITE_APPEND"}
    schema = [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}]
    with pytest.raises(TaskFailed, match="invalid: Provided Schema does not match Table"):
        run("bigquery.load", f"{table}-a", table_schema=schema, **params)
    options = ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"]
    with pytest.raises(TaskFailed, match="Required field id cannot be null"):
        run(
            "bigquery.load",
            f"{table}-b",
            table_schema=schema,
            schema_update_options=options[:1],
            **params,
        )
    run("bigquery.load", f"{table}-c", table_schema=schema, schema_update_options=options, **params)
    assert rows(client, table) == [(1, "ann"), (None, "bob")]
    sql = "SELECT 2 AS id, 'eve' AS name, TRUE AS b"
    more = {"sql": sql, "destination": table, "write_disposition": "WRITE_APPEND"}
    run("bigquery.query", f"{table}-d", schema_update_options=options[:1], **more)
    assert rows(client, table) == [(1, "ann", None), (2, "eve", True), (None, "bob", None)]


def test_a_file_that_is_not_there_is_named(table):
    uris = ["gs://in/none.csv"]
    with pytest.raises(TaskFailed, match=r"notFound.*: Not found: URI gs://in/none\.csv"):
        run("bigquery.load", table, source_uris=uris, destination=table, table_schema=PEOPLE)


# -- extract ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO"])
def test_an_extract_can_be_loaded(local_bigquery, client, table, format_):
    (local_bigquery.gcs_root / "out").mkdir(exist_ok=True)
    sql = f"CREATE TABLE `{table}` AS SELECT 1 AS id, TIMESTAMP '2026-01-31 12:00:00' AS at"
    client.query_and_wait(sql)
    uri = f"gs://out/{format_}-*"
    result = run("bigquery.extract", table, source=table, destination_uris=[uri],
                 destination_format=format_)  # fmt: skip
    told = {name: result[name] for name in ("source", "uris", "files", "bytes_billed")}
    assert told == {"source": table, "uris": [uri], "files": [1], "bytes_billed": 0}
    assert "console" not in result["link"]
    back = {"source_uris": [uri], "destination": f"{table}_back", "source_format": format_}
    if format_ == "CSV":
        back["skip_leading_rows"] = 1
    if format_ in ("CSV", "NEWLINE_DELIMITED_JSON"):
        back["table_schema"] = [
            {"name": "id", "type": "INT64"},
            {"name": "at", "type": "TIMESTAMP"},
        ]
    assert run("bigquery.load", f"{table}_back", **back)["rows"] == 1
    assert rows(client, f"{table}_back") == [(1, datetime(2026, 1, 31, 12, tzinfo=UTC))]


def test_an_extract_into_no_bucket_fails(client, table):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    with pytest.raises(TaskFailed, match="notFound: Not found: Bucket nowhere"):
        run("bigquery.extract", table, source=table, destination_uris=["gs://nowhere/a.csv"])


# -- check --------------------------------------------------------------------------------------


def test_a_check_whose_row_is_true_ends_well(table):
    result = run(
        "bigquery.check",
        table,
        sql="SELECT @n > 1 AS enough, 'x' AS name, DATE '2026-01-31' AS day, NUMERIC '1.5' AS p",
        parameters={"n": 2},
    )
    assert result["row"] == {"enough": True, "name": "x", "day": "2026-01-31", "p": "1.5"}
    assert result["job_id"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT TRUE AS a, 1 > 2 AS b, NULL AS c", "check failed: b is False; c is NULL"),
        ("SELECT 0 AS n", "check failed: n is 0"),
        ("SELECT TRUE FROM UNNEST([1, 2, 3])", "must return one row, not 3 rows"),
        ("SELECT TRUE AS a FROM UNNEST([1]) AS x WHERE x > 1", "one row, not no row"),
        ("CREATE SCHEMA operators_no", "the check is a CREATE_SCHEMA, not a SELECT"),
    ],
)
def test_a_check_that_fails_says_why(table, sql, message):
    with pytest.raises(TaskFailed, match=message):
        run("bigquery.check", table, sql=sql)


def test_a_tables_rows_and_freshness_are_checked(client, table):
    now = datetime.now(UTC)
    old, new = now - timedelta(hours=3), now - timedelta(minutes=10)
    client.query_and_wait(
        f"CREATE TABLE `{table}` AS SELECT 1 AS id, TIMESTAMP '{old}' AS at, DATE '{new.date()}' d "
        f"UNION ALL SELECT 2, TIMESTAMP '{new}', DATE '{old.date()}'"
    )
    of = {"table": table, "column": "at"}
    result = run("bigquery.check", f"{table}-a", **of, max_age=3600, min_rows=2, max_rows=2)
    assert result["row"]["row_count"] == 2
    assert 600 <= result["row"]["age"] <= 3600
    run("bigquery.check", f"{table}-b", table=table, column="d", max_age=2 * 86_400)
    with pytest.raises(TaskFailed, match=r"the newest at of .* is \d+ s old, at most 60 s are"):
        run("bigquery.check", f"{table}-c", **of, max_age=60)
    with pytest.raises(TaskFailed, match=r"where id = 1 has 1 rows, at least 2 are wanted"):
        run("bigquery.check", f"{table}-d", table=table, where="id = 1", min_rows=2)
    with pytest.raises(TaskFailed, match=r"has 2 rows, at most 1 are wanted"):
        run("bigquery.check", f"{table}-e", table=table, max_rows=1)
    with pytest.raises(TaskFailed, match=r"where id = 3 has no row with at"):
        run("bigquery.check", f"{table}-f", **of, max_age=60, where="id = 3")


@pytest.mark.parametrize(
    ("sql", "expected", "tolerance", "problem"),
    [
        ("SELECT 95, NUMERIC '105'", 100, 0.05, None),
        ("SELECT 94 AS n", 100, 0.05, "n is 94, not 100 (within 0.05 of it)"),
        ("SELECT -106 AS n, -94", -100, 0.06, None),
        ("SELECT NUMERIC '0.1', 0.1", 0.1, 0, None),
        ("SELECT 'a' AS t, DATE '2026-01-31' AS d", "a", 0, "d is '2026-01-31', not 'a'"),
        ("SELECT FALSE", False, 0, None),
        ("SELECT TRUE AS b, 1 AS n", True, 0, "n is 1, not True"),
        ("SELECT NULL AS n, CAST('NaN' AS FLOAT64) AS f", 0, 0.1, "n is NULL, not 0 (within 0.1"),
    ],
)
def test_a_value_is_as_expected(table, sql, expected, tolerance, problem):
    check = {"sql": sql, "expected": expected, "tolerance": tolerance}
    if problem is None:
        assert run("bigquery.check", table, **check)["rows"] == 1
        return
    with pytest.raises(TaskFailed, match=f"check failed: {re.escape(problem)}"):
        run("bigquery.check", table, **check)


def test_parameters_may_be_structs_and_json(table):
    found = run(
        "bigquery.query",
        table,
        sql="SELECT @s.Id AS id, @s.Tags[0] AS tag, JSON_VALUE(@j, '$.A') AS a, "
        "(SELECT SUM(p.n) FROM UNNEST(@many) AS p) AS total",
        parameters={
            "s": {
                "type": "STRUCT<Id INT64, Tags ARRAY<STRING>>",
                "value": {"Id": 1, "Tags": ["x"]},
            },
            "j": {"type": "JSON", "value": {"A": "y"}},
            "many": {"type": "ARRAY<STRUCT<n INT64>>", "value": [{"n": 1}, {"n": 2}]},
        },
        rows=1,
    )
    assert found["first_rows"] == [{"id": 1, "tag": "x", "a": "y", "total": 3}]


def test_metrics_of_a_day_are_compared_with_an_earlier_one(client, table):
    client.query_and_wait(
        f"CREATE TABLE `{table}` AS SELECT DATE '2026-01-24' AS d, TIMESTAMP '2026-01-24 23:59:59' "
        "AS t, n FROM UNNEST([1, 2, 3]) AS n UNION ALL SELECT '2026-01-31', "
        "'2026-01-31', n FROM UNNEST([1, 2, 4, 5]) AS n"
    )
    of = {"table": table, "column": "d", "day": "2026-01-31"}
    metrics = {"COUNT(*)": 1.5, "SUM(n)": 2}
    row = run("bigquery.check", f"{table}-a", **of, metrics=metrics)["row"]
    assert row == {"now_0": 4, "before_0": 3, "now_1": 12, "before_1": 6}
    at = of | {"column": "t", "metrics": {"COUNT(*)": 1.3}, "where": "n < 100"}
    with pytest.raises(TaskFailed, match=r"is 4, and was 3 7 days before: more than 1.3 times"):
        run("bigquery.check", f"{table}-b", **at)
    with pytest.raises(TaskFailed, match=r"COUNT\(\*\) is 4, and was 0 1 days before: more than"):
        run("bigquery.check", f"{table}-c", **of, metrics=metrics, days_back=1)
    with pytest.raises(TaskFailed, match=r"SUM\(n\) is 12, and was NULL 1 days before$"):
        run("bigquery.check", f"{table}-d", **of, metrics={"SUM(n)": 2}, days_back=1)
    past = of | {"day": "2026-03-01", "metrics": {"COUNT(*)": 1}}  # nothing is as much as nothing
    run("bigquery.check", f"{table}-e", **past)


def test_one_partition_is_checked_and_waited_for(client, table):
    client.query_and_wait(
        f"CREATE TABLE `{table}` PARTITION BY d AS SELECT DATE '2026-01-31' AS d, 1 AS n "
        "UNION ALL SELECT '2026-02-01', n FROM UNNEST([1, 2, 3]) AS n UNION ALL SELECT NULL, 1"
    )
    for partition, rows in (("20260131", 1), ("20260201", 3), ("20260202", 0), ("__NULL__", 1)):
        check = {"table": f"{table}${partition}", "min_rows": rows, "max_rows": rows}
        found = run("bigquery.check", f"{table}-{partition}", **check)
        assert found["row"] == {"row_count": rows}
    with pytest.raises(TaskFailed, match="partitioned by DAY, so 202601 is none of its partitions"):
        run("bigquery.check", f"{table}-m", table=f"{table}$202601", min_rows=1)
    given = context({"table": f"{table}$20260201"}, operator="bigquery.wait_table")
    sensor = find("bigquery.wait_table")
    done = sensor.poll(given, sensor.submit(given))
    assert (done.result["partition"], done.result["rows"]) == ("20260201", 3)


# -- another location ---------------------------------------------------------------------------


def test_jobs_run_where_the_task_says(client, local_bigquery):
    from google.cloud.bigquery import Dataset

    dataset = Dataset(f"{PROJECT}.europe")
    dataset.location = "EU"
    client.create_dataset(dataset)
    name = f"{PROJECT}.europe.t"
    local_bigquery.put("gs://in/eu.csv", "1\n2\n")
    by = {"field": "id", "start": 0, "end": 10, "interval": 10}
    load = {"source_uris": ["gs://in/eu.csv"], "destination": name, "partition_by": by}
    load["table_schema"] = [{"name": "id", "type": "INT64"}]
    with pytest.raises(TaskFailed, match=r"notFound.* set location in the task"):
        run("bigquery.query", "eu-elsewhere", sql=f"SELECT * FROM {name}")
    results = [
        run("bigquery.load", "eu-load", location="EU", **load),
        run("bigquery.check", "eu-check", location="EU", table=name, min_rows=2),
        run("bigquery.query", "eu-query", location="EU", sql=f"SELECT * FROM {name}"),
        run("bigquery.extract", "eu-extract", location="EU", source=name,
            destination_uris=["gs://in/eu-out.csv"]),
    ]  # fmt: skip
    assert [result["location"] for result in results] == ["EU"] * 4
    assert all(client.get_job(r["job_id"], location="EU").state == "DONE" for r in results)
    assert asked(waits(name, partition="0", location="EU"))[0].result["rows"] == 2


# -- wait_table ---------------------------------------------------------------------------------


def asked(*tasks):
    """The answers to sensors that are polled together."""
    sensor = find("bigquery.wait_table")
    polled = [Asked(one, sensor.submit(one)) for one in tasks]
    answers = dict(sensor.poll_many(polled))
    return [answers[one] for one in polled]


def waits(table: str, **params):
    return task("bigquery.wait_table", "wait", table=table, **params)


def test_a_table_is_waited_for(client, table):
    sensor = find("bigquery.wait_table")
    one = waits(table)
    handle = sensor.submit(one)
    assert sensor.poll(one, handle) == Pending(f"table {table} is not there")
    assert asked(waits(f"{PROJECT}.no_such.t")) == [
        Pending(f"table {PROJECT}.no_such.t is not there")
    ]
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    made = client.get_table(table)
    assert sensor.poll(one, handle) == Done(
        {"table": table, "partition": None, "modified": made.modified.isoformat(), "rows": 1}
    )
    newer = waits(table, newer_than=made.modified.isoformat())
    assert asked(newer) == [Pending(f"table {table} was last changed {made.modified.isoformat()}")]
    client.query_and_wait(f"INSERT INTO `{table}` VALUES (2)")
    assert asked(newer)[0].result["rows"] == 2
    sensor.cancel(one, handle)


def test_many_tables_are_looked_for_in_one_list(client, table, local_bigquery):
    for number in range(3):
        client.query_and_wait(f"CREATE TABLE `{table}_{number}` AS SELECT 1 AS id")
    local_bigquery.fault(method="tables.get", count=100)  # harmless, but counts
    answers = asked(*[waits(f"{table}_{number}") for number in range(8)])
    assert [type(answer) for answer in answers] == [Done] * 3 + [Pending] * 5
    assert local_bigquery.call("GET", "/-/faults")["faults"][0]["count"] == 97
    local_bigquery.call("DELETE", "/-/faults")


def test_what_bigquery_refuses_fails_the_task(table, local_bigquery):
    local_bigquery.fault(method="tables.get", status=403, reason="accessDenied", message="no")
    [answer] = asked(waits(table))
    assert str(answer).startswith(f"looking for tables of {DATASET}: accessDenied: no (give ")
    local_bigquery.fault(method="tables.get", status=403, reason="accessDenied", message="no")
    with pytest.raises(TaskFailed, match=f"looking for table {table}: accessDenied: no"):
        run("bigquery.wait_table", table, table=table)


def test_who_may_not_list_tables_asks_for_each(client, table, local_bigquery):
    client.query_and_wait(f"CREATE TABLE `{table}` AS SELECT 1 AS id")
    local_bigquery.fault(method="tables.list", status=403, reason="accessDenied", message="no")
    answers = asked(*[waits(name) for name in (table, *(f"{table}_{n}" for n in range(9)))])
    assert [type(answer) for answer in answers] == [Done] + [Pending] * 9


@pytest.mark.parametrize(
    ("type_", "there", "absent"),
    [
        ("HOUR", "2026013123", "2026013122"),
        ("DAY", "20260131", "20260130"),
        ("MONTH", "202601", "202602"),
        ("YEAR", "2026", "2025"),
    ],
)
def test_a_partition_is_waited_for(client, table, type_, there, absent):
    run(
        "bigquery.query",
        table,
        sql="SELECT TIMESTAMP '2026-01-31 23:30:00' AS at UNION ALL SELECT NULL",
        destination=table,
        partition_by={"field": "at", "type": type_},
    )
    parts = [there, absent, "__NULL__"]
    answers = asked(*[waits(table, partition=part) for part in parts], waits(table))
    assert [type(answer) for answer in answers] == [Done, Pending, Done, Done]
    assert (answers[0].result["partition"], answers[0].result["rows"]) == (there, 1)
    assert answers[1] == Pending(f"partition {absent} of table {table} is not there")
    late = "2999-01-01T00:00:00Z"
    assert "was last changed" in asked(waits(table, partition=there, newer_than=late))[0].state


def test_a_partition_of_a_range_is_waited_for(client, table):
    by = {"field": "id", "start": 10, "end": 100, "interval": 10}
    sql = "SELECT id FROM UNNEST([25, 29, 3, 100]) AS id"
    run("bigquery.query", table, sql=sql, destination=table, partition_by=by)
    parts = ["20", "10", "__UNPARTITIONED__"]
    answers = asked(*[waits(table, partition=part) for part in parts])
    assert [getattr(answer, "result", {}).get("rows") for answer in answers] == [2, None, 2]
    assert type(asked(waits(f"{PROJECT}.no_such.t", partition="20"))[0]) is Pending
