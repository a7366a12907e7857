"""Queries of the local BigQuery, by the official client: types, parameters, DML, DDL, scripts."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound
from google.cloud import bigquery
from google.cloud.bigquery import (
    ArrayQueryParameter,
    QueryJobConfig,
    ScalarQueryParameter,
    SchemaField,
    StructQueryParameter,
)

from tests.support import wait_until
from tests.support.local_bigquery import PROJECT, LocalBigQuery


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("q")
        yield client


@pytest.fixture
def table(request, client) -> str:
    return f"q.{request.node.name.split('[')[0]}"


def run(client, sql, **options) -> bigquery.QueryJob:
    job = client.query(sql, job_config=QueryJobConfig(**options))
    job.result()
    return job


def rows(client, sql, **options) -> list[tuple]:
    return [tuple(row) for row in client.query(sql, job_config=QueryJobConfig(**options)).result()]


AT = datetime(2024, 2, 29, 12, 30, 45, 123_456, tzinfo=UTC)
TYPES = {
    "CAST(NULL AS INT64)": ("INTEGER", "NULLABLE", None),
    "9223372036854775807": ("INTEGER", "NULLABLE", 9223372036854775807),
    "1.5": ("FLOAT", "NULLABLE", 1.5),
    "CAST('inf' AS FLOAT64)": ("FLOAT", "NULLABLE", float("inf")),
    "NUMERIC '12345678901234567890123456789.123456789'": (
        "NUMERIC", "NULLABLE", Decimal("12345678901234567890123456789.123456789")
    ),
    "TRUE": ("BOOLEAN", "NULLABLE", True),
    "'ä€𝄞'": ("STRING", "NULLABLE", "ä€𝄞"),
    r"b'\x00\xff'": ("BYTES", "NULLABLE", b"\x00\xff"),
    "DATE '0001-01-01'": ("DATE", "NULLABLE", date(1, 1, 1)),
    "TIME '23:59:59.000001'": ("TIME", "NULLABLE", clock(23, 59, 59, 1)),
    "TIME '23:59:59'": ("TIME", "NULLABLE", clock(23, 59, 59)),
    "DATETIME '2024-02-29 12:30:45.123456'": ("DATETIME", "NULLABLE", AT.replace(tzinfo=None)),
    "TIMESTAMP '2024-02-29 12:30:45.123456+00'": ("TIMESTAMP", "NULLABLE", AT),
    "TIMESTAMP '1969-12-31 23:59:59.5+00'": (
        "TIMESTAMP", "NULLABLE", datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
    ),
    "[1, 2]": ("INTEGER", "REPEATED", [1, 2]),
    "CAST(NULL AS ARRAY<STRING>)": ("STRING", "REPEATED", []),
    "STRUCT(1 AS a, [DATE '2024-01-01'] AS b)": (
        "RECORD", "NULLABLE", {"a": 1, "b": [date(2024, 1, 1)]}
    ),
    "[STRUCT('x' AS s), STRUCT(NULL)]": ("RECORD", "REPEATED", [{"s": "x"}, {"s": None}]),
    "JSON '{\"a\": [1]}'": ("JSON", "NULLABLE", {"a": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("expression", TYPES)
def test_types_arrive_as_the_clients_own(client, expression):
    iterator = client.query(f"SELECT {expression} AS x").result()
    (row,) = iterator
    (field,) = iterator.schema
    assert (field.field_type, field.mode, row["x"]) == TYPES[expression]


@pytest.mark.parametrize("expression", TYPES)
def test_types_are_stored(client, table, expression):
    run(client, f"CREATE OR REPLACE TABLE {table} AS SELECT {expression} AS x")
    (row,) = client.list_rows(table)
    assert row["x"] == TYPES[expression][2]
    (row,) = client.query_and_wait(f"SELECT * FROM {table}")
    assert row["x"] == TYPES[expression][2]


def test_nan_and_null_are_not_the_same(client):
    ((nan, null),) = rows(client, "SELECT CAST('NaN' AS FLOAT64), CAST(NULL AS FLOAT64)")
    assert nan != nan  # noqa: PLR0124
    assert null is None


def test_columns_without_names(client):
    iterator = client.query("SELECT 1, 2 AS b, 'x', COUNT(*) FROM UNNEST([1])").result()
    assert [field.name for field in iterator.schema] == ["f0_", "b", "f1_", "f2_"]


def test_to_arrow(client):
    job = client.query("SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL ORDER BY a")
    table = job.to_arrow(create_bqstorage_client=False)
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", None]}


PARAMETERS = [
    ScalarQueryParameter("i", "INT64", 7),
    ScalarQueryParameter("s", "STRING", 'it\'s \\ "q"\n'),
    ScalarQueryParameter("f", "FLOAT64", 1.5),
    ScalarQueryParameter("b", "BOOL", True),
    ScalarQueryParameter("d", "DATE", date(2024, 2, 29)),
    ScalarQueryParameter("t", "TIMESTAMP", AT),
    ScalarQueryParameter("dt", "DATETIME", AT.replace(tzinfo=None)),
    ScalarQueryParameter("n", "NUMERIC", Decimal("1.25")),
    ScalarQueryParameter("raw", "BYTES", b"\x00\xff'"),
    ScalarQueryParameter("nothing", "STRING", None),
    ArrayQueryParameter("list", "INT64", [1, 2, 3]),
    ArrayQueryParameter("empty", "STRING", []),
]


def test_named_parameters_of_all_types(client):
    names = [parameter.name for parameter in PARAMETERS]
    sql = f"SELECT {', '.join(f'@{name}' for name in names)}"
    values = [getattr(p, "value", getattr(p, "values", None)) for p in PARAMETERS]
    assert rows(client, sql, query_parameters=PARAMETERS) == [tuple(values)]


def test_a_struct_parameter(client):
    who = StructQueryParameter(
        "who", ScalarQueryParameter("id", "INT64", 1), ScalarQueryParameter("name", "STRING", "a")
    )
    sql = "SELECT @who.id + 1, @who.name"
    assert rows(client, sql, query_parameters=[who]) == [(2, "a")]


def test_positional_parameters_count_as_they_are_written(client):
    given = [ScalarQueryParameter(None, "STRING", text) for text in ("%Y", "2021", "x", "y")]
    sql = """
        WITH w AS (SELECT PARSE_DATE(CONCAT(?, '-%m-%d'), CONCAT(?, '-01-02')) AS d, ? AS a)
        SELECT d, a, ? FROM w
    """
    with pytest.raises(MethodNotImplemented):  # a format that is no literal
        rows(client, sql, query_parameters=given)
    sql = "WITH w AS (SELECT STRPOS(?, ?) AS p, ? AS a) SELECT p, a, ? FROM w"
    given = [ScalarQueryParameter(None, "STRING", text) for text in ("abc", "c", "x", "y")]
    assert rows(client, sql, query_parameters=given) == [(3, "x", "y")]
    with pytest.raises(BadRequest, match="positional parameters"):
        rows(client, sql, query_parameters=given[:2])
    with pytest.raises(BadRequest, match="Query parameter 'nope' not found"):
        rows(client, "SELECT @nope")


def test_unquoted_project_ids_with_dashes(local_bigquery):
    other = local_bigquery.client("atomic-key-348214")
    other.create_dataset("ds")
    other.query_and_wait("CREATE TABLE atomic-key-348214.ds.t (a INT64)")
    other.query_and_wait("INSERT INTO atomic-key-348214.ds.t SELECT 1")
    here = local_bigquery.client()
    for name in ("atomic-key-348214.ds.t", "`atomic-key-348214.ds.t`", "`atomic-key-348214`.ds.t"):
        assert rows(here, f"SELECT t.a FROM {name} AS t") == [(1,)]
    with pytest.raises(NotFound, match="Not found: Dataset local-project:ds"):
        rows(here, "SELECT * FROM ds.t")


def test_table_names_are_case_sensitive_and_columns_are_not(client, table):
    run(client, f"CREATE TABLE {table} (MyColumn INT64)")
    run(client, f"CREATE TABLE {table.upper().replace('Q.', 'q.')} AS SELECT 'other' AS x")
    run(client, f"INSERT {table} (mycolumn) VALUES (1)")
    assert rows(client, f"SELECT MYCOLUMN FROM {table}") == [(1,)]
    assert rows(client, f"SELECT * FROM {table.upper().replace('Q.', 'q.')}") == [("other",)]


def test_joins_ctes_subqueries_and_unnest(client, table):
    run(
        client,
        f"""CREATE TABLE {table} AS
        SELECT 1 AS id, [STRUCT('a' AS k, 10 AS v), STRUCT('b', 20)] AS items, ['x'] AS tags
        UNION ALL SELECT 2, [], ['y', 'z'] UNION ALL SELECT 3, NULL, NULL""",
    )
    assert rows(
        client, f"SELECT id, item.k, v FROM {table}, UNNEST(items) AS item ORDER BY id, v"
    ) == [(1, "a", 10), (1, "b", 20)]
    assert rows(client, f"SELECT id, tag FROM {table} AS t, t.tags AS tag ORDER BY tag") == [
        (1, "x"), (2, "y"), (2, "z")
    ]  # fmt: skip
    assert rows(
        client,
        f"SELECT id, o, tag FROM {table} LEFT JOIN UNNEST(tags) AS tag WITH OFFSET AS o "
        "ORDER BY id, o",
    ) == [(1, 0, "x"), (2, 0, "y"), (2, 1, "z"), (3, None, None)]
    assert rows(
        client,
        f"""WITH sums AS (SELECT id, (SELECT SUM(v) FROM UNNEST(items)) AS total FROM {table})
        SELECT t.id, total FROM {table} AS t JOIN sums USING (id)
        WHERE EXISTS (SELECT 1 FROM t.tags AS tag WHERE tag = 'x') OR total IS NULL
        ORDER BY t.id""",
    ) == [(1, 30), (2, None), (3, None)]
    sql = f"SELECT ARRAY_LENGTH(items), items[SAFE_OFFSET(0)].v FROM {table} ORDER BY id"
    assert rows(client, sql) == [(2, 10), (0, None), (0, None)]


def test_clauses(client, table):
    run(
        client,
        f"""CREATE TABLE {table} AS SELECT * FROM UNNEST([
          STRUCT('a' AS g, 1 AS n), ('a', 2), ('b', 3), (NULL, 4)])""",
    )
    sql = f"SELECT g, SUM(n) FROM {table} GROUP BY g HAVING SUM(n) > 2 ORDER BY g"
    assert rows(client, sql) == [(None, 4), ("a", 3), ("b", 3)]
    assert rows(client, f"SELECT * EXCEPT (n), n * 2 AS m FROM {table} WHERE g = 'b'") == [("b", 6)]
    assert rows(client, f"SELECT * REPLACE (n + 1 AS n) FROM {table} WHERE g = 'b'") == [("b", 4)]
    assert rows(
        client,
        f"SELECT g, n FROM {table} WHERE TRUE "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY g ORDER BY n DESC) = 1 ORDER BY n",
    ) == [("a", 2), ("b", 3), (None, 4)]
    assert rows(client, f"SELECT DISTINCT g FROM {table} ORDER BY g DESC LIMIT 1 OFFSET 1") == [
        ("a",)
    ]
    assert rows(client, f"SELECT g FROM {table} EXCEPT DISTINCT SELECT 'a' ORDER BY 1") == [
        (None,), ("b",)
    ]  # fmt: skip
    sql = f"SELECT g, SUM(n) AS s FROM {table} GROUP BY ROLLUP (g) ORDER BY s DESC LIMIT 1"
    assert rows(client, sql) == [(None, 10)]
    assert rows(
        client,
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) "
        "SELECT n FROM r ORDER BY n",
    ) == [(1,), (2,), (3,)]


def test_paging(client):
    sql = "SELECT n FROM UNNEST(GENERATE_ARRAY(0, 24999)) AS n ORDER BY MOD(n * 7919, 25000)"
    expected = sorted(range(25000), key=lambda n: n * 7919 % 25000)
    iterator = client.query(sql).result(page_size=4000)
    pages = [[row["n"] for row in page] for page in iterator.pages]
    assert [len(page) for page in pages] == [4000] * 6 + [1000]
    assert [n for page in pages for n in page] == expected
    assert iterator.total_rows == 25000
    job = client.query(sql)
    assert [row["n"] for row in job.result(start_index=24998)] == expected[24998:]
    assert [row["n"] for row in client.list_rows(job.destination, max_results=2)] == expected[:2]
    assert [row["n"] for row in client.query_and_wait(sql, page_size=9000)] == expected


def test_large_rows_make_small_pages(client):
    sql = "SELECT REPEAT('x', 1000000) AS x FROM UNNEST(GENERATE_ARRAY(1, 25))"
    iterator = client.query(sql).result()
    sizes = [page.num_items for page in iterator.pages]
    assert sum(sizes) == 25
    assert max(sizes) <= 10


def test_destination_and_dispositions(client, table):
    def write(sql, disposition=None, **options):
        destination = f"{PROJECT}.{table}"
        run(client, sql, destination=destination, write_disposition=disposition, **options)
        return sorted(tuple(row) for row in client.list_rows(table))

    with pytest.raises(NotFound):
        write("SELECT 1 AS a", create_disposition="CREATE_NEVER")
    assert write("SELECT 1 AS a", clustering_fields=["a"]) == [(1,)]
    assert client.get_table(table).clustering_fields == ["a"]
    with pytest.raises(Conflict):
        write("SELECT 2 AS a")
    assert write("SELECT 2 AS a", "WRITE_APPEND") == [(1,), (2,)]
    with pytest.raises(BadRequest, match="Provided Schema does not match"):
        write("SELECT 'x' AS a", "WRITE_APPEND")
    assert write("SELECT 'x' AS a, 1 AS b", "WRITE_TRUNCATE") == [("x", 1)]
    with pytest.raises(BadRequest, match="clustering cannot be found in the schema: a"):
        write("SELECT 'x' AS b", "WRITE_TRUNCATE")
    with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
        write(
            "SELECT 'y' AS a, 2 AS b", "WRITE_APPEND",
            range_partitioning=bigquery.RangePartitioning(
                field="b", range_=bigquery.PartitionRange(start=0, end=10, interval=1)
            ),
        )  # fmt: skip
    with pytest.raises(BadRequest, match="Schema update options should only be specified"):
        write("SELECT 'y' AS a", "WRITE_TRUNCATE", schema_update_options=["ALLOW_FIELD_ADDITION"])


def test_insert(client, table):
    run(client, f"CREATE TABLE {table} (i INT64 NOT NULL, s STRING, d DATE, a ARRAY<INT64>)")
    job = run(
        client, f"INSERT INTO {table} VALUES (1, 'a', '2024-01-02', [1]), (2, NULL, NULL, [])"
    )
    assert (job.num_dml_affected_rows, job.dml_stats.inserted_row_count) == (2, 2)
    run(client, f"INSERT {table} (s, i) SELECT CAST(i AS STRING), i + 10 FROM {table}")
    run(client, f"INSERT {table} (i, s) VALUES (5, DEFAULT)")
    assert rows(client, f"SELECT * FROM {table} ORDER BY i") == [
        (1, "a", date(2024, 1, 2), [1]), (2, None, None, []), (5, None, None, []),
        (11, "1", None, []), (12, "2", None, []),
    ]  # fmt: skip
    run(
        client, f"INSERT {table} (i, d) VALUES (20, '2024-01-02'), (21, CURRENT_DATE()), (22, NULL)"
    )
    assert rows(client, f"SELECT COUNT(d) FROM {table} WHERE i >= 20") == [(2,)]
    with pytest.raises(BadRequest, match="Invalid date: '2024/01/02'"):
        run(client, f"INSERT {table} (i, d) VALUES (23, '2024/01/02')")
    with pytest.raises(BadRequest, match="cannot be null"):
        run(client, f"INSERT {table} (i) VALUES (NULL)")
    with pytest.raises(BadRequest, match="Required column i is missing"):
        run(client, f"INSERT {table} (s) VALUES ('x')")
    with pytest.raises(BadRequest, match="wrong column count; Has 1, expected 2"):
        run(client, f"INSERT {table} (i, s) VALUES (1)")
    with pytest.raises(BadRequest, match="has type STRING which cannot be inserted into column i"):
        run(client, f"INSERT {table} (i) VALUES ('1')")
    with pytest.raises(BadRequest, match="Query column 2 has type STRING which cannot be inserted"):
        run(client, f"INSERT {table} (i, d) SELECT 1, '2024-01-01'")


def test_structs_are_stored_by_position(client, table):
    run(client, f"CREATE TABLE {table} (s STRUCT<a INT64, b STRING>, l ARRAY<STRUCT<c INT64>>)")
    run(client, f"INSERT {table} VALUES (STRUCT(1, 'x'), [STRUCT(2)]), ((3, 'y'), [])")
    run(
        client,
        f"INSERT {table} SELECT STRUCT(4 AS z, b AS a), [STRUCT(9 AS q)] FROM (SELECT 'z' AS b)",
    )
    run(client, f"UPDATE {table} SET s = (5, 'five') WHERE s.a = 3")
    assert rows(client, f"SELECT s.a, s.b, l[SAFE_OFFSET(0)].c FROM {table} ORDER BY 1") == [
        (1, "x", 2), (4, "z", 9), (5, "five", None)
    ]  # fmt: skip


def test_update_and_delete(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT i, i * 1.5 AS f FROM UNNEST([1, 2, 3]) AS i")
    job = run(client, f"UPDATE {table} SET f = i WHERE i < 3")
    assert job.dml_stats.updated_row_count == 2
    run(
        client, f"UPDATE {table} AS t SET f = s.v FROM (SELECT 3 AS i, 9 AS v) AS s WHERE t.i = s.i"
    )
    assert rows(client, f"SELECT * FROM {table} ORDER BY i") == [(1, 1.0), (2, 2.0), (3, 9.0)]
    with pytest.raises(BadRequest, match="at most one source row"):
        run(client, f"UPDATE {table} t SET f = s FROM UNNEST([1, 2]) AS s WHERE t.i = 1")
    with pytest.raises(BadRequest, match="UPDATE must have a WHERE clause"):
        run(client, f"UPDATE {table} SET f = 1")
    with pytest.raises(BadRequest, match="Value of type STRING cannot be assigned to f"):
        run(client, f"UPDATE {table} SET f = 'x' WHERE TRUE")
    job = run(client, f"DELETE FROM {table} WHERE i IN (SELECT i FROM {table} WHERE f > 1)")
    assert job.dml_stats.deleted_row_count == 2
    with pytest.raises(BadRequest, match="DELETE must have a WHERE clause"):
        run(client, f"DELETE FROM {table}")
    assert run(client, f"TRUNCATE TABLE {table}").statement_type == "TRUNCATE_TABLE"
    assert client.get_table(table).num_rows == 0


def test_merge(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT i, 'old' AS s FROM UNNEST([1, 2, 3]) AS i")
    job = run(
        client,
        f"""MERGE {table} AS t USING (SELECT i, 'new' AS s FROM UNNEST([2, 3, 4]) AS i) AS n
        ON t.i = n.i
        WHEN MATCHED AND n.i = 3 THEN DELETE
        WHEN MATCHED THEN UPDATE SET s = n.s
        WHEN NOT MATCHED THEN INSERT ROW
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET s = CONCAT(t.s, '!')""",
    )
    assert rows(client, f"SELECT * FROM {table} ORDER BY i") == [
        (1, "old!"),
        (2, "new"),
        (4, "new"),
    ]
    stats = job.dml_stats
    counts = (stats.inserted_row_count, stats.updated_row_count, stats.deleted_row_count)
    assert (job.num_dml_affected_rows, counts) == (4, (1, 2, 1))
    with pytest.raises(BadRequest):
        run(
            client,
            f"MERGE {table} t USING UNNEST([2, 2]) AS n ON t.i = n "
            "WHEN MATCHED THEN UPDATE SET s = 'x'",
        )
    assert rows(client, f"SELECT COUNT(*) FROM {table} WHERE s = 'x'") == [(0,)]


def test_ddl(client, table):
    sql = f"""CREATE TABLE IF NOT EXISTS `{PROJECT}.{table}` (
        id INT64 NOT NULL OPTIONS (description = 'the id'),
        category STRING, at TIMESTAMP, tags ARRAY<STRING>, who STRUCT<name STRING, age INT64>)
      PARTITION BY TIMESTAMP_TRUNC(at, MONTH) CLUSTER BY category, id
      OPTIONS (description = 'all', labels = [('team', 'data')], partition_expiration_days = 2)"""
    job = run(client, sql)
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE", "CREATE")
    assert job.ddl_target_table.table_id == table.partition(".")[2]
    made = client.get_table(table)
    assert made.schema[0] == SchemaField("id", "INTEGER", "REQUIRED", description="the id")
    assert [field.mode for field in made.schema] == [
        "REQUIRED", "NULLABLE", "NULLABLE", "REPEATED", "NULLABLE"
    ]  # fmt: skip
    partitioning = made.time_partitioning
    assert (partitioning.type_, partitioning.field, partitioning.expiration_ms) == (
        "MONTH", "at", 172_800_000
    )  # fmt: skip
    assert (made.clustering_fields, made.description) == (["category", "id"], "all")
    assert made.labels == {"team": "data"}
    assert run(client, sql).ddl_operation_performed == "SKIP"
    with pytest.raises(Conflict, match="Already Exists: Table"):
        run(client, sql.replace("IF NOT EXISTS", ""))
    with pytest.raises(BadRequest, match="different partitioning spec"):
        run(client, f"CREATE OR REPLACE TABLE {table} AS SELECT 1 AS x")
    run(client, f"DROP TABLE {table}")
    run(client, f"CREATE TABLE {table} (x STRING)")
    job = run(client, f"CREATE OR REPLACE TABLE {table} AS SELECT 1 AS x")
    assert (job.statement_type, job.ddl_operation_performed) == (
        "CREATE_TABLE_AS_SELECT", "REPLACE"
    )  # fmt: skip
    assert [field.name for field in client.get_table(table).schema] == ["x"]
    assert run(client, f"DROP TABLE {table}").ddl_operation_performed == "DROP"
    assert run(client, f"DROP TABLE IF EXISTS {table}").ddl_operation_performed == "SKIP"
    with pytest.raises(NotFound, match="Not found: Table"):
        run(client, f"DROP TABLE {table}")
    with pytest.raises(BadRequest, match="Unrecognized name: nope"):
        run(client, f"CREATE TABLE {table} (a INT64) CLUSTER BY nope")
    with pytest.raises(BadRequest, match="PARTITION BY expression must be"):
        run(client, f"CREATE TABLE {table} (a INT64) PARTITION BY a")
    run(
        client,
        f"CREATE TABLE {table} (a INT64) PARTITION BY RANGE_BUCKET(a, GENERATE_ARRAY(0, 100, 10))",
    )
    assert client.get_table(table).range_partitioning.range_.interval == 10


def test_schemas(client):
    job = run(client, "CREATE SCHEMA IF NOT EXISTS made OPTIONS (location = 'US')")
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_SCHEMA", "CREATE")
    run(client, "CREATE TABLE made.t AS SELECT 1 AS a")
    with pytest.raises(BadRequest, match="still in use"):
        run(client, "DROP SCHEMA made")
    run(client, "DROP SCHEMA made CASCADE")
    with pytest.raises(NotFound):
        client.get_dataset("made")


def test_views(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 1 AS a UNION ALL SELECT 2")
    run(client, f"CREATE VIEW {table}_v AS SELECT a * 10 AS b FROM {table}")
    run(client, f"CREATE VIEW {table}_w AS SELECT SUM(b) AS c FROM {table}_v")
    job = run(client, f"SELECT c FROM {table}_w")
    assert [row["c"] for row in job] == [30]
    assert [ref.table_id for ref in job.referenced_tables] == [table.partition(".")[2]]
    assert client.get_table(f"{table}_v").view_query == f"SELECT a * 10 AS b FROM {table}"
    with pytest.raises(BadRequest, match="VIEW"):
        run(client, f"DELETE FROM {table}_v WHERE TRUE")
    with pytest.raises(BadRequest, match="VIEW"):
        run(client, f"DROP TABLE {table}_v")
    run(client, f"DROP VIEW {table}_v")


def test_information_schema(client):
    client.create_dataset("info")
    run(
        client, "CREATE TABLE info.t (id INT64 NOT NULL, d DATE, tags ARRAY<STRING>) PARTITION BY d"
    )
    run(client, "CREATE VIEW info.v AS SELECT 1 AS one")
    assert rows(
        client,
        "SELECT table_name, table_type FROM info.INFORMATION_SCHEMA.TABLES ORDER BY table_name",
    ) == [("t", "BASE TABLE"), ("v", "VIEW")]
    assert rows(
        client,
        f"SELECT column_name, ordinal_position, is_nullable, data_type, is_partitioning_column "
        f"FROM `{PROJECT}.info.INFORMATION_SCHEMA.COLUMNS` WHERE table_name = 't' "
        "ORDER BY ordinal_position",
    ) == [
        ("id", 1, "NO", "INT64", "NO"),
        ("d", 2, "YES", "DATE", "YES"),
        ("tags", 3, "NO", "ARRAY<STRING>", "NO"),
    ]
    with pytest.raises(MethodNotImplemented):
        rows(client, "SELECT * FROM info.INFORMATION_SCHEMA.TABLE_STORAGE")


def test_partitions_are_those_that_hold_rows(client):
    client.create_dataset("parts")
    client.query_and_wait(
        "CREATE TABLE parts.days PARTITION BY day AS "
        "SELECT DATE '2026-01-31' AS day, 1 AS n UNION ALL SELECT DATE '2026-02-01', 2 "
        "UNION ALL SELECT DATE '2026-02-01', 3"
    )
    client.query_and_wait("CREATE TABLE parts.plain AS SELECT 1 AS n")
    sql = (
        "SELECT table_name, partition_id, total_rows, total_logical_bytes "
        "FROM parts.INFORMATION_SCHEMA.PARTITIONS ORDER BY table_name, partition_id"
    )
    assert rows(client, sql) == [
        ("days", "20260131", 1, 16),
        ("days", "20260201", 2, 32),
        ("plain", None, 1, 8),
    ]


def test_dry_run(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 1 AS i, 'abc' AS s, CAST(NULL AS DATE) AS d")
    job = client.query(
        f"SELECT i, s FROM {table}", job_config=QueryJobConfig(dry_run=True, labels={"a": "b"})
    )
    assert (job.state, job.total_bytes_processed) == ("DONE", 8 + 2 + 3)
    assert [ref.table_id for ref in job.referenced_tables] == [table.partition(".")[2]]
    assert [field.name for field in job.schema] == ["i", "s"]
    dry = QueryJobConfig(dry_run=True)
    assert (
        client.query(f"DELETE FROM {table} WHERE TRUE", job_config=dry).statement_type == "DELETE"
    )
    client.query(f"CREATE TABLE {table}_new AS SELECT 1 AS a", job_config=dry)
    client.query(f"DROP TABLE {table}", job_config=dry)
    with pytest.raises(NotFound):
        client.get_table(f"{table}_new")
    assert client.get_table(table).num_rows == 1
    with pytest.raises(BadRequest, match="Unrecognized name: nope"):
        client.query(f"SELECT nope FROM {table}", job_config=dry)


def test_a_query_replaces_the_table_that_it_reads(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 1 AS id, 'a' AS name")
    run(client, f"CREATE OR REPLACE TABLE {table} AS SELECT id + 1 AS id FROM {table}")
    config = {"destination": f"{PROJECT}.{table}", "write_disposition": "WRITE_TRUNCATE"}
    run(client, f"SELECT id * 10 AS id FROM {table} UNION ALL SELECT id FROM {table}", **config)
    assert sorted(rows(client, f"SELECT * FROM {table}")) == [(2,), (20,)]


def test_maximum_bytes_billed(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 1 AS i")
    job = run(client, f"SELECT * FROM {table}", maximum_bytes_billed=10 * 1024 * 1024)
    assert (job.total_bytes_processed, job.total_bytes_billed) == (8, 10 * 1024 * 1024)
    job = client.query(f"SELECT * FROM {table}", job_config=QueryJobConfig(maximum_bytes_billed=1))
    with pytest.raises(Exception, match=r"Query exceeded limit for bytes billed: 1\. 10485760"):
        job.result()
    job.reload()
    assert job.error_result["reason"] == "bytesBilledLimitExceeded"


def test_scripts(client, table):
    script = f"""
        CREATE TABLE {table} (a INT64); -- the first; not the last
        INSERT {table} VALUES (1), (2);
        UPDATE {table} SET a = a + @by WHERE a = 1;
        SELECT a FROM {table} ORDER BY a;
    """
    job = client.query(
        script, job_config=QueryJobConfig(query_parameters=[ScalarQueryParameter("by", "INT64", 9)])
    )
    assert [row["a"] for row in job.result()] == [2, 10]
    assert (job.statement_type, job.num_child_jobs) == ("SCRIPT", 4)
    children = {child.statement_type: child for child in client.list_jobs(parent_job=job)}
    assert set(children) == {"CREATE_TABLE", "INSERT", "UPDATE", "SELECT"}
    assert children["UPDATE"].num_dml_affected_rows == 1
    assert children["INSERT"].query == f"INSERT {table} VALUES (1), (2)"
    assert all(child.parent_job_id == job.job_id for child in children.values())


def test_a_failing_script_keeps_what_came_before(client, table):
    job = client.query(f"CREATE TABLE {table} AS SELECT 1 AS a; SELECT 1/0; DROP TABLE {table}")
    with pytest.raises(BadRequest, match="division by zero"):
        job.result()
    assert client.get_table(table).num_rows == 1
    with pytest.raises(BadRequest, match=r"Syntax error.*\[2:8\]"):  # before anything is run
        client.query(f"DROP TABLE {table};\nSELECT FROM").result()
    assert client.get_table(table).num_rows == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SET @@time_zone = 'Europe/Berlin'",
        "CREATE TEMP FUNCTION f(x INT64) AS (x)",
        "CREATE TEMP TABLE t AS SELECT 1 AS a",
        "CREATE MATERIALIZED VIEW q.m AS SELECT 1 AS a",
        "ALTER SCHEMA q SET OPTIONS (description = 'a')",
        "SELECT * FROM q.t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()",
        "SELECT BIGNUMERIC '1'",
    ],
)
def test_what_is_not_supported_is_501(client, sql):
    with pytest.raises(MethodNotImplemented) as raised:
        client.query(sql).result()
    assert raised.value.code == 501


ERRORS = {
    "SELEC 1": r'Syntax error: Unexpected "1" at \[1:7\]',
    "SELECT 1 +": "Syntax error",
    "": "Required parameter is missing: query",
    "SELECT * FROM t": 'Table "t" must be qualified with a dataset',
    "SELECT a FROM UNNEST([1]) AS b": "Unrecognized name: a",
    "SELECT 1 AS a, 2 AS a": "Duplicate column names in the result",
    "SELECT x, COUNT(*) FROM UNNEST([1]) AS x": "neither grouped nor aggregated",
    "SELECT CAST('x' AS INT64)": "Bad int64 value: x",
    "SELECT 1 FROM (SELECT 1) JOIN (SELECT 2)": "A JOIN must have an ON or USING clause",
}


@pytest.mark.parametrize("sql", ERRORS)
def test_errors_of_the_user(client, sql):
    with pytest.raises(BadRequest, match=ERRORS[sql]):
        client.query(sql).result()


def test_missing_tables_are_404(client):
    with pytest.raises(NotFound, match=r"Not found: Table local-project:q\.nope was not found in"):
        client.query("SELECT * FROM q.nope").result()
    with pytest.raises(NotFound):
        client.query_and_wait("SELECT * FROM nope.nope")


def test_a_default_dataset(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 1 AS a")
    name = table.partition(".")[2]
    assert rows(client, f"SELECT * FROM {name}", default_dataset=f"{PROJECT}.q") == [(1,)]


def test_locations(local_bigquery):
    client = local_bigquery.client()
    dataset = bigquery.Dataset(f"{PROJECT}.europe")
    dataset.location = "EU"
    client.create_dataset(dataset)
    job = run(client, "CREATE TABLE europe.t AS SELECT 1 AS a")
    assert job.location == "EU"
    assert client.get_job(job.job_id, location="EU").state == "DONE"
    with pytest.raises(NotFound, match="Not found: Job"):
        client.get_job(job.job_id, location="US")
    with pytest.raises(NotFound, match="was not found in location US"):
        client.query("SELECT * FROM europe.t", location="US").result()
    # The same id may exist once in each location.
    client.query("SELECT 1", job_id="both", location="EU", job_retry=None).result()
    client.query("SELECT 1", job_id="both", location="US", job_retry=None).result()


def test_a_slow_query_holds_up_no_other(client):
    slow = client.query(
        "SELECT COUNTIF(MOD(a * b, 7) = 1) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a, "
        "UNNEST(GENERATE_ARRAY(1, 100000)) b"
    )
    wait_until(lambda: client.get_job(slow.job_id).state == "RUNNING", "the slow query runs")
    for number in range(5):
        assert rows(client, f"SELECT {number}") == [(number,)]
    assert client.get_job(slow.job_id).state == "RUNNING"
    slow.cancel()
    wait_until(slow.done, "the slow query ends")
    assert slow.error_result["reason"] == "stopped"


def test_a_job_timeout(client):
    job = client.query(
        "SELECT COUNTIF(MOD(a * b, 7) = 1) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a, "
        "UNNEST(GENERATE_ARRAY(1, 100000)) b",
        job_config=QueryJobConfig(job_timeout_ms=300),
    )
    wait_until(job.done, "the query times out")
    assert job.error_result["reason"] == "stopped"
    assert "timed out" in job.error_result["message"]


def test_concurrent_writers_of_one_table_do_not_see_conflicts(client, table):
    run(client, f"CREATE TABLE {table} AS SELECT 'counter' AS name, 0 AS n")
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                run(client, f"INSERT {table} VALUES ('row', {number})")
                run(client, f"UPDATE {table} SET n = n + 1 WHERE name = 'counter'")
                run(client, f"SELECT SUM(n) FROM {table}")
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    sql = f"SELECT COUNT(*), SUM(IF(name = 'counter', n, 0)) FROM {table}"
    assert rows(client, sql) == [(31, 30)]


def test_concurrent_ddl_does_not_see_conflicts(client, table):
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(5):
                run(client, f"CREATE OR REPLACE TABLE {table} AS SELECT {number} AS n")
                run(client, f"CREATE TABLE IF NOT EXISTS {table}_2 (n INT64)")
                run(client, f"DROP TABLE IF EXISTS {table}_2")
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert rows(client, f"SELECT COUNT(*) FROM {table}") == [(1,)]


def test_faults(local_bigquery, client):
    local_bigquery.fault(method="jobs.insert", job_id="^f1$", status=503, reason="backendError")
    local_bigquery.fault(method="jobs.get", job_id="^f1$", drop="before", count=2)
    local_bigquery.fault(method="run", job_id="^f1$", delay=0.5)
    start = time.monotonic()
    job = client.query("SELECT 1 AS a", job_id="f1", job_retry=None)  # the client tries again
    assert [row["a"] for row in job.result()] == [1]
    assert time.monotonic() - start >= 0.5
    local_bigquery.fault(method="run", job_id="^f2$", reason="backendError", message="broken")
    job = client.query("SELECT 1", job_id="f2", job_retry=None)
    wait_until(job.done, "the job fails")
    assert job.error_result == {"reason": "backendError", "message": "broken"}
    local_bigquery.fault(method="jobs.insert", status=429, reason="rateLimitExceeded")
    with pytest.raises(Exception, match="429"):
        client.query("SELECT 1", job_id="f3", job_retry=None, retry=None)
    assert local_bigquery.call("GET", "/-/faults") == {"faults": []}


@pytest.mark.slow
def test_many_delayed_jobs_take_no_threads(local_bigquery, client):
    local_bigquery.fault(method="run", job_id="^many-", delay=1, count=None)
    jobs = [
        client.query("SELECT 1", job_id=f"many-{number}", job_retry=None) for number in range(150)
    ]
    for job in jobs:
        wait_until(job.done, "all of them end")
        assert job.error_result is None
    local_bigquery.call("DELETE", "/-/faults")


def test_by_the_emulator_variable(local_bigquery, monkeypatch):
    from google.auth.credentials import AnonymousCredentials

    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", local_bigquery.url)
    with bigquery.Client(project="other", credentials=AnonymousCredentials()) as client:
        assert rows(client, "SELECT 1") == [(1,)]


def test_a_destination_is_looked_for_in_the_location_of_the_job_only(client):
    dataset = bigquery.Dataset(f"{PROJECT}.in_the_eu")
    dataset.location = "EU"
    client.create_dataset(dataset)
    config = QueryJobConfig(destination=f"{PROJECT}.in_the_eu.t")
    with pytest.raises(NotFound, match="in_the_eu was not found in location US"):
        client.query_and_wait("SELECT 1 AS x", job_config=config, location="US")
    client.query_and_wait("SELECT 1 AS x", job_config=config, location="EU")


def test_labels_are_those_that_bigquery_takes(client, table):
    for labels in ({"Up": "x"}, {"a b": "x"}, {"a": "x" * 64}, {f"l{i}": "" for i in range(65)}):
        with pytest.raises(BadRequest, match="abel"):
            run(client, "SELECT 1 AS x", labels=labels)
        made = bigquery.Table(f"{PROJECT}.{table}", schema=[bigquery.SchemaField("x", "INT64")])
        made.labels = labels
        with pytest.raises(BadRequest, match="abel"):
            client.create_table(made)
    run(client, "SELECT 1 AS x", labels={"a-1": "ünïcode_2", "b": ""})
