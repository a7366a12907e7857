"""EXPORT DATA and LOAD DATA of the local BigQuery, alone and in scripts."""

from __future__ import annotations

import json

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, MethodNotImplemented
from google.cloud.bigquery import (
    PartitionRange,
    QueryJobConfig,
    RangePartitioning,
    ScalarQueryParameter,
    SchemaField,
    Table,
)

from tests.support.local_bigquery import LocalBigQuery

FILES = "FROM FILES (format = 'CSV', uris = ['gs://sql/in/*.csv'], skip_leading_rows = 1)"


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    local_bigquery.put("gs://sql/in/1.csv", "id,name\n1,a\n2,b\n")
    local_bigquery.put("gs://sql/one.csv", "4\n")
    with local_bigquery.client() as client:
        client.create_dataset("sql")
        yield client


def rows(client, sql):
    return sorted(tuple(row) for row in client.query_and_wait(sql))


def exported(local_bigquery, name):
    return (local_bigquery.gcs_root / "sql" / name).read_text()


def test_export(local_bigquery, client):
    job = client.query("""
        EXPORT DATA OPTIONS (uri = 'gs://sql/out/a-*.csv', format = 'csv')
        AS SELECT x, 'é' AS name FROM UNNEST([2, 1]) AS x ORDER BY x""")
    job.result()
    assert job.statement_type == "EXPORT_DATA"
    told = job._properties["statistics"]["query"]["exportDataStatistics"]
    assert told == {"fileCount": "1", "rowCount": "2"}
    assert exported(local_bigquery, "out/a-000000000000.csv") == "1,é\n2,é\n"


def test_export_as_told(local_bigquery, client):
    config = QueryJobConfig(query_parameters=[ScalarQueryParameter("x", "STRING", "told")])
    for _ in range(2):
        client.query_and_wait(
            """EXPORT DATA OPTIONS (uri = CONCAT('gs://sql/', @x, '/*'), format = 'CSV',
            header = TRUE, field_delimiter = ';', overwrite = TRUE) AS SELECT 1 AS a, 2 AS b""",
            job_config=config,
        )
    assert exported(local_bigquery, "told/000000000000") == "a;b\n1;2\n"


def test_export_in_a_script(local_bigquery, client):
    client.query_and_wait("""
        DECLARE kinds ARRAY<STRING> DEFAULT ['x', 'y'];
        FOR kind IN (SELECT * FROM UNNEST(kinds) AS k) DO
          EXPORT DATA OPTIONS (uri = 'gs://sql/' || kind.k || '-*.json', format = 'JSON')
          AS SELECT kind.k AS k;
        END FOR""")
    assert json.loads(exported(local_bigquery, "y-000000000000.json")) == {"k": "y"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("format = 'CSV'", "uri"),
        ("uri = 'gs://sql/z-*.csv'", "format"),
        ("uri = 'gs://sql/z.csv', format = 'CSV'", "wild card"),
        ("uri = 'gs://sql/out/a-*.csv', format = 'CSV'", "overwrite=true"),
        ("uri = 1, format = 'CSV'", "uri"),
        ("uri = 'gs://sql/z-*', uri = 'gs://sql/z-*', format = 'CSV'", "Duplicate"),
    ],
)
def test_exports_that_are_wrong(client, options, message):
    client.query_and_wait("""EXPORT DATA OPTIONS (uri = 'gs://sql/out/a-*.csv', format = 'CSV',
        overwrite = TRUE) AS SELECT 1 AS x""")
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(f"EXPORT DATA OPTIONS ({options}) AS SELECT 1 AS x")


def test_unknown_options_are_not_supported(client):
    for sql in (
        "EXPORT DATA OPTIONS (uri = 'gs://sql/*', format = 'CSV', nope = 1) AS SELECT 1 AS x",
        "LOAD DATA INTO sql.t FROM FILES (uris = ['gs://sql/x'], nope = 1)",
        f"LOAD DATA INTO sql.t {FILES} WITH PARTITION COLUMNS",
    ):
        with pytest.raises(MethodNotImplemented):
            client.query_and_wait(sql, retry=None, job_retry=None)


def test_load(client):
    sql = f"LOAD DATA INTO sql.loaded {FILES}"
    for _ in range(2):
        job = client.query(sql)
        job.result()
    told = job._properties["statistics"]["query"]
    assert told["statementType"] == "LOAD_DATA"
    assert told["loadQueryStatistics"]["outputRows"] == "2"
    assert rows(client, "SELECT * FROM sql.loaded") == [(1, "a"), (1, "a"), (2, "b"), (2, "b")]
    client.query_and_wait(f"LOAD DATA OVERWRITE sql.loaded {FILES}")
    assert rows(client, "SELECT id FROM sql.loaded") == [(1,), (2,)]
    assert client.query(sql, QueryJobConfig(dry_run=True)).total_bytes_processed == 0


def test_load_with_all_that_a_table_has(client):
    client.query_and_wait(f"""
        LOAD DATA OVERWRITE sql.declared (id INT64 OPTIONS (description = 'its id'), name STRING)
        PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 10, 5)) CLUSTER BY name
        OPTIONS (description = 'all of it') {FILES}""")
    table = client.get_table("sql.declared")
    assert table.range_partitioning.field == "id"
    assert (table.clustering_fields, table.description) == (["name"], "all of it")
    assert table.schema[0].description == "its id"


def test_load_into_one_partition(client):
    client.query_and_wait("""
        CREATE TABLE sql.days (id INT64, name STRING) PARTITION BY _PARTITIONDATE;
        CREATE TABLE sql.tens (id INT64, name STRING)
        PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 20, 10));
        INSERT sql.tens VALUES (5, 'old'), (15, 'kept')""")
    day = "PARTITIONS (_PARTITIONTIME = TIMESTAMP '2026-01-31')"
    for clause in (day, day, "PARTITIONS (_partitiontime = '20260201')"):
        client.query_and_wait(
            f"LOAD DATA INTO sql.days {clause} PARTITION BY _PARTITIONTIME {FILES}"
        )
    counted = "SELECT CAST(_PARTITIONDATE AS STRING), COUNT(*) FROM sql.days GROUP BY 1"
    assert rows(client, counted) == [("2026-01-31", 4), ("2026-02-01", 2)]
    client.query_and_wait(f"LOAD DATA INTO sql.days OVERWRITE {day} {FILES}")
    assert rows(client, counted) == [("2026-01-31", 2), ("2026-02-01", 2)]
    client.query_and_wait(f"LOAD DATA INTO sql.tens OVERWRITE PARTITIONS (id = 7) {FILES}")
    assert rows(client, "SELECT * FROM sql.tens") == [(1, "a"), (2, "b"), (15, "kept")]


def test_load_into_a_partition_of_a_column_that_is_named_in_other_letters(client):
    table = Table("local-project.sql.partitions", [SchemaField("id", "INTEGER")])
    table.range_partitioning = RangePartitioning(PartitionRange(0, 10, 5), field="ID")
    client.create_table(table)
    files = "FROM FILES (format = 'CSV', uris = ['gs://sql/one.csv'])"
    client.query_and_wait(f"LOAD DATA INTO sql.partitions (id INT64) {files}")
    client.query_and_wait(f"LOAD DATA INTO sql.partitions OVERWRITE PARTITIONS (id = 3) {files}")
    assert rows(client, "SELECT * FROM sql.partitions") == [(4,)]


def test_load_makes_a_table_of_one_partition(local_bigquery, client):
    local_bigquery.put("gs://sql/days.csv", "2026-01-31,1\n")
    files = "FROM FILES (format = 'CSV', uris = ['gs://sql/days.csv'])"
    client.query_and_wait(f"""LOAD DATA INTO sql.made (d DATE, n INT64)
        PARTITIONS (d = '2026-01-31') PARTITION BY d {files}""")
    assert client.get_table("sql.made$20260131").num_rows == 1
    with pytest.raises(GoogleAPICallError, match="different partitions"):
        client.query_and_wait(f"LOAD DATA INTO sql.made PARTITIONS (d = '2026-01-30') {files}")
    assert client.get_table("sql.made").num_rows == 1


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ("PARTITIONS (n = 5)", "no partitions by n"),
        ("PARTITIONS (id = 99)", "There is no partition"),
        ("PARTITIONS (id = NULL)", "There is no partition"),
        ("PARTITIONS (id = 'x')", "x"),
        ("PARTITIONS (id)", "Expected PARTITIONS"),
        ("PARTITIONS ()", "Syntax error"),
    ],
)
def test_partitions_to_load_that_are_wrong(client, clause, message):
    client.query_and_wait("""CREATE TABLE IF NOT EXISTS sql.wrong (id INT64, n INT64)
        PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 10, 5))""")
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(f"LOAD DATA INTO sql.wrong {clause} {FILES}")
    with pytest.raises(BadRequest, match="LOAD DATA INTO"):
        client.query_and_wait(f"LOAD DATA OVERWRITE sql.wrong PARTITIONS (id = 1) {FILES}")


def test_load_into_a_temporary_table(client):
    sql = f"LOAD DATA INTO TEMP TABLE t {FILES}; SELECT COUNT(*) FROM t"
    assert rows(client, sql) == [(2,)]


def test_a_load_that_fails_leaves_the_table_as_it_was(local_bigquery, client):
    local_bigquery.put("gs://sql/bad.csv", "1\nx\n")
    client.query_and_wait("CREATE OR REPLACE TABLE sql.kept AS SELECT 7 AS id")
    bad = "LOAD DATA OVERWRITE sql.kept (id INT64) FROM FILES (uris = ['gs://sql/bad.csv'])"
    with pytest.raises(GoogleAPICallError, match="too many errors"):
        client.query_and_wait(bad)
    assert rows(client, "SELECT * FROM sql.kept") == [(7,)]
