"""Streaming inserts by Google's client, and its list of partitions, in the local BigQuery."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented, NotFound
from google.cloud import bigquery

from tests.support.local_bigquery import PROJECT, LocalBigQuery

COLUMNS = [
    bigquery.SchemaField("id", "INTEGER", "REQUIRED"),
    bigquery.SchemaField("day", "DATE"),
    bigquery.SchemaField("price", "NUMERIC"),
    bigquery.SchemaField("tags", "STRING", "REPEATED"),
    bigquery.SchemaField("about", "JSON"),
    bigquery.SchemaField("inner", "RECORD", fields=[bigquery.SchemaField("at", "TIMESTAMP")]),
]
AT = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("streamed")
        yield client


@pytest.fixture
def table(client, request):
    made = bigquery.Table(f"{PROJECT}.streamed.{request.node.name}", schema=COLUMNS)
    made.time_partitioning = bigquery.TimePartitioning(field="day")
    return client.create_table(made)


def ids(client, table):
    return sorted(row.id for row in client.list_rows(table))


def test_rows_are_in_the_table_at_once(client, table):
    row = {"id": "1", "day": "2026-01-31", "price": "1.5", "about": '{"a": [1]}'}
    row |= {"tags": ["a", "b"], "inner": {"at": AT.isoformat()}}
    assert client.insert_rows_json(table, [row, {"ID": 2}]) == []
    assert client.insert_rows(table, [{"id": 3, "about": {"b": 2}, "price": Decimal(2)}]) == []
    first, second, third = client.query_and_wait(f"SELECT * FROM `{table}` ORDER BY id")
    day = dt.date(2026, 1, 31)
    assert first.values() == (1, day, Decimal("1.5"), ["a", "b"], {"a": [1]}, {"at": AT})
    assert second.values() == (2, None, None, [], None, None)
    assert (third.price, third.about) == (Decimal(2), {"b": 2})
    before, now = table, client.get_table(table)
    assert (now.num_rows, now.modified > before.modified) == (3, True)


def test_one_wrong_row_keeps_all_out_or_only_itself(client, table):
    rows = [{"id": 1}, {"id": "x"}, {"id": 3, "colour": "red"}, {"day": "2026-01-31"}]
    rows.append({"id": 5, "about": "{"})
    told = client.insert_rows_json(table, rows)
    assert [(each["index"], each["errors"][0]["reason"]) for each in told] == [
        (0, "stopped"), (1, "invalid"), (2, "invalid"), (3, "invalid"), (4, "invalid"),
    ]  # fmt: skip
    assert ids(client, table) == []
    told = client.insert_rows_json(table, rows, skip_invalid_rows=True, ignore_unknown_values=True)
    assert [(each["index"], each["errors"][0]["message"]) for each in told] == [
        (1, "Could not convert value to integer. Field: id; Value: x"),
        (3, "Missing required field: id."),
        (4, "Could not convert value to json text. Field: about; Value: {"),
    ]
    assert ids(client, table) == [1, 3]


def test_rows_that_are_sent_again_are_there_once(client, table):
    for _ in range(2):
        assert client.insert_rows_json(table, [{"id": 1}, {"id": 1}], row_ids=["a", "b"]) == []
    assert ids(client, table) == [1, 1]
    none = bigquery.AutoRowIDs.DISABLED
    assert client.insert_rows_json(table, [{"id": 2}, {"id": 2}], row_ids=none) == []
    assert ids(client, table) == [1, 1, 2, 2]
    client.delete_table(table)
    client.create_table(bigquery.Table(table.reference, schema=COLUMNS))
    assert client.insert_rows_json(table, [{"id": 1}], row_ids=["a"]) == []
    assert ids(client, table.reference) == [1]


def test_what_cannot_be_streamed(client, table):
    with pytest.raises(NotFound, match="Not found: Table"):
        client.insert_rows_json("streamed.none", [{"id": 1}])
    with pytest.raises(BadRequest, match="No rows present"):
        client.insert_rows_json(table, [])
    with pytest.raises(BadRequest, match="limit: 50000 row count: 50001"):
        client.insert_rows_json(table, [{"id": 1}] * 50_001, row_ids=[None] * 50_001)
    for options in ({"template_suffix": "_x"}, {}):
        place = table if options else f"{table}$20260131"
        with pytest.raises(MethodNotImplemented):
            client.insert_rows_json(place, [{"id": 1}], **options)
    client.query_and_wait("CREATE TABLE streamed.texts (t STRING(2), n INT64 DEFAULT 1)")
    with pytest.raises(BadRequest, match="maximum length 2"):
        client.insert_rows_json("streamed.texts", [{"t": "abc", "n": 1}])
    with pytest.raises(MethodNotImplemented, match=r"default values.*column n"):
        client.insert_rows_json("streamed.texts", [{"t": "a"}])
    client.query_and_wait("CREATE VIEW streamed.seen AS SELECT 1 AS id")
    with pytest.raises(BadRequest, match="table of type VIEW"):
        client.insert_rows_json("streamed.seen", [{"id": 1}])


def test_partitions_are_listed(client, table):
    days = [{"id": 1, "day": "2026-01-31"}, {"id": 2, "day": "2026-01-30"}, {"id": 3}]
    client.insert_rows_json(table, days)
    listed = client.list_partitions(table)
    assert listed == ["20260130", "20260131", "__NULL__"]
    summary = client.get_table(f"{table}$__PARTITIONS_SUMMARY__")
    rows = client.list_rows(summary, page_size=2)
    assert [(row.table_id, row.partition_id) for row in rows] == [
        (table.table_id, partition) for partition in listed
    ]
    client.query_and_wait("CREATE TABLE streamed.whole (id INT64)")
    with pytest.raises(BadRequest, match=r"not partitioned: local-project:streamed\.whole"):
        client.list_partitions("streamed.whole")
