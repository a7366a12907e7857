"""Partitions by their decorators, and copies of tables, in the local BigQuery."""

from __future__ import annotations

import json

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound
from google.cloud import bigquery

from tests.support.local_bigquery import PROJECT, LocalBigQuery

TABLE = f"{PROJECT}.parts.t"


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("parts")
        yield client


@pytest.fixture
def filled(client):
    client.query_and_wait(
        "CREATE OR REPLACE TABLE parts.t (d DATE, n INT64) PARTITION BY d;"
        "INSERT parts.t VALUES ('2026-01-30', 1), ('2026-01-31', 2), ('2026-01-31', 3)"
    )


def numbers(client, table=TABLE):
    return sorted(row.n for row in client.list_rows(table))


def test_a_query_replaces_one_partition(client, filled):
    config = bigquery.QueryJobConfig(
        destination=f"{TABLE}$20260131", write_disposition="WRITE_TRUNCATE"
    )
    for _ in range(2):
        job = client.query("SELECT DATE '2026-01-31' AS d, 9 AS n", job_config=config)
        assert [row.n for row in job.result()] == [9]
        assert numbers(client) == [1, 9]
    with pytest.raises(BadRequest, match="Some rows belong to different partitions"):
        client.query_and_wait("SELECT DATE '2026-01-30' AS d, 9 AS n", job_config=config)
    assert numbers(client) == [1, 9]
    sql = f"SELECT d, n + 1 AS n FROM `{TABLE}` WHERE d = '2026-01-31'"
    client.query_and_wait(sql, job_config=config)
    assert numbers(client) == [1, 10]


def test_an_empty_partition_and_one_that_is_not(client, filled):
    def write(partition):
        config = bigquery.QueryJobConfig(destination=f"{TABLE}${partition}")
        day = f"{partition[:4]}-{partition[4:6]}-{partition[6:]}"
        client.query_and_wait(f"SELECT DATE '{day}' AS d, 5 AS n", job_config=config)

    write("20260201")
    with pytest.raises(Conflict):
        write("20260131")
    assert numbers(client) == [1, 2, 3, 5]
    config = bigquery.QueryJobConfig(destination=f"{TABLE}$202601")
    with pytest.raises(BadRequest, match="partition decorator"):
        client.query_and_wait("SELECT DATE '2026-01-31' AS d, 5 AS n", job_config=config)


def test_one_partition_is_looked_at_and_deleted(client, filled):
    part = client.get_table(f"{TABLE}$20260131")
    assert (part.table_id, part.num_rows, part.num_bytes) == ("t$20260131", 2, 32)
    assert part.schema == client.get_table(TABLE).schema
    assert numbers(client, part) == numbers(client, f"{TABLE}$20260131") == [2, 3]
    (first,) = client.list_rows(part, max_results=1, start_index=1, selected_fields=part.schema[1:])
    assert first.values() == (3,)
    assert client.get_table(f"{TABLE}$20250101").num_rows == 0
    client.query_and_wait("INSERT parts.t VALUES (NULL, 7)")
    assert numbers(client, f"{TABLE}$__NULL__") == [7]
    assert numbers(client, f"{TABLE}$__UNPARTITIONED__") == []
    client.delete_table(f"{TABLE}$20260131")
    assert numbers(client) == [1, 7]
    assert client.get_table(TABLE).num_rows == 2
    assert client.list_partitions(TABLE) == ["20260130", "__NULL__"]
    client.query_and_wait("CREATE SNAPSHOT TABLE parts.snap CLONE parts.t")
    with pytest.raises(BadRequest, match="a partition of a SNAPSHOT"):
        client.delete_table(f"{PROJECT}.parts.snap$20260130")
    assert numbers(client, f"{PROJECT}.parts.snap$20260130") == [1]
    client.delete_table(f"{PROJECT}.parts.snap")


@pytest.mark.parametrize("decorator", ["", "2026", "x", "20260131' OR true --"])
def test_a_partition_that_the_table_cannot_have(client, filled, decorator):
    for call in (client.get_table, client.list_rows, client.delete_table):
        with pytest.raises(BadRequest, match="Invalid partition decorator"):
            call(f"{TABLE}${decorator}")
    assert numbers(client) == [1, 2, 3]


def test_a_partition_of_what_has_none(client, filled):
    client.query_and_wait(
        "CREATE OR REPLACE TABLE parts.plain (n INT64); "
        "CREATE OR REPLACE VIEW parts.v AS SELECT 1 AS n; "
        "CREATE OR REPLACE TABLE parts.r (n INT64)"
        " PARTITION BY RANGE_BUCKET(n, GENERATE_ARRAY(0, 20, 10)); "
        "INSERT parts.r VALUES (5), (13), (99), (NULL)"
    )
    for name in ("plain", "v"):
        for call in (client.get_table, client.list_rows, client.delete_table):
            with pytest.raises(BadRequest, match="no partitioned table"):
                call(f"{PROJECT}.parts.{name}$20260131")
    with pytest.raises(NotFound):
        client.get_table(f"{PROJECT}.parts.none$20260131")
    found = {
        name: [row.n for row in client.list_rows(f"{PROJECT}.parts.r${name}")]
        for name in ("0", "10", "5", "__UNPARTITIONED__", "__NULL__")
    }
    expected = {"0": [5], "10": [13], "5": [], "__UNPARTITIONED__": [99], "__NULL__": [None]}
    assert found == expected


def test_a_load_replaces_one_partition(client, filled):
    config = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    rows = [{"d": "2026-01-31", "n": 7}]
    client.load_table_from_json(rows, f"{TABLE}$20260131", job_config=config).result()
    assert numbers(client) == [1, 7]


def test_an_extract_of_one_partition(local_bigquery, client, filled):
    uri = "gs://parts/one.json"
    path = local_bigquery.put(uri, "to be replaced")
    config = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    client.extract_table(f"{TABLE}$20260130", uri, job_config=config).result()
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"d": "2026-01-30", "n": "1"}]


def test_copies(client, filled):
    copy = f"{PROJECT}.parts.copy"
    client.delete_table(copy, not_found_ok=True)
    job = client.copy_table(TABLE, copy)
    job.result()
    assert numbers(client, copy) == [1, 2, 3]
    assert client.get_table(copy).time_partitioning.field == "d"
    with pytest.raises(Conflict):
        client.copy_table(TABLE, copy).result()
    append = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    client.copy_table([TABLE, copy], copy, job_config=append).result()
    assert numbers(client, copy) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    replace = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    client.copy_table(f"{TABLE}$20260131", f"{copy}$20260131", job_config=replace).result()
    assert numbers(client, copy) == [1, 1, 1, 2, 3]
    with pytest.raises(BadRequest, match="Some rows belong to different partitions"):
        client.copy_table(f"{TABLE}$20260130", f"{copy}$20260131", job_config=replace).result()
    with pytest.raises(NotFound):
        client.copy_table(f"{PROJECT}.parts.nope", copy, job_config=replace).result()
    snapshot = bigquery.CopyJobConfig(operation_type="SNAPSHOT")
    with pytest.raises(MethodNotImplemented):
        client.copy_table(TABLE, f"{PROJECT}.parts.s", job_config=snapshot)


def test_partitions_by_the_time_of_ingestion(client):
    table = bigquery.Table(f"{PROJECT}.parts.i", [bigquery.SchemaField("n", "INT64")])
    table.time_partitioning = bigquery.TimePartitioning()
    client.create_table(table)

    def load(numbers, partition, write):
        config = bigquery.LoadJobConfig(schema=table.schema, write_disposition=write)
        rows = [{"n": n} for n in numbers]
        client.load_table_from_json(
            rows, f"{table.reference}{partition}", job_config=config
        ).result()

    def days(name):
        rows = client.query_and_wait(f"SELECT n, _PARTITIONDATE AS d FROM parts.{name} ORDER BY n")
        return {row.n: str(row.d) for row in rows}

    load([1], "$20260130", "WRITE_APPEND")
    load([2, 3], "$20260131", "WRITE_APPEND")
    load([4], "$20260131", "WRITE_TRUNCATE")
    config = bigquery.QueryJobConfig(destination=f"{table.reference}$20260201")
    client.query_and_wait("SELECT 5 AS n", job_config=config)
    known = {1: "2026-01-30", 4: "2026-01-31", 5: "2026-02-01"}
    assert days("i") == known
    client.copy_table(table, f"{PROJECT}.parts.j").result()
    assert days("j") == known
    client.copy_table(f"{table.reference}$20260130", f"{PROJECT}.parts.j$20260202").result()
    moved = client.query_and_wait("SELECT n FROM parts.j WHERE _PARTITIONDATE = '2026-02-02'")
    assert [row.n for row in moved] == [1]
    load([6], "", "WRITE_APPEND")
    today = "SELECT n FROM parts.i WHERE _PARTITIONTIME = TIMESTAMP_TRUNC(CURRENT_TIMESTAMP(), DAY)"
    assert [row.n for row in client.query_and_wait(today)] == [6]
    with pytest.raises(BadRequest, match="Invalid partition decorator"):
        load([7], "$202602", "WRITE_APPEND")


def test_what_dbt_asks_for(client, filled):
    assert list(client.list_routines("parts")) == []
    job = client.query("CREATE OR REPLACE TABLE parts.made AS SELECT 1 AS x")
    job.result()
    assert client.get_table(job.destination).num_rows == 1
    client.query_and_wait("ALTER TABLE parts.made SET OPTIONS (description = 'of dbt')")
    assert client.get_table("parts.made").description == "of dbt"
