"""Load jobs of the local BigQuery, by the official client: formats, dispositions, bad rows."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField

from tests.support.local_bigquery import LocalBigQuery

BUCKET = "gs://loads"


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("loads")
        yield client


@pytest.fixture
def table(request, client) -> str:
    return f"loads.{request.node.name.split('[')[0]}"


def rows(client, table):
    return sorted((tuple(row) for row in client.list_rows(table)), key=repr)


PEOPLE = [SchemaField("id", "INT64", "REQUIRED"), SchemaField("name", "STRING")]


def csv_config(**options) -> LoadJobConfig:
    return LoadJobConfig(source_format="CSV", **{"schema": PEOPLE, **options})


def test_csv_of_several_files(local_bigquery, client, table):
    local_bigquery.put(f"{BUCKET}/several/a.csv", 'id,name\n1,ann\n2,"b, ""o"""\n')
    local_bigquery.put(f"{BUCKET}/several/sub/b.csv", "id,name\n3,\n")
    config = csv_config(skip_leading_rows=1)
    job = client.load_table_from_uri(f"{BUCKET}/several/*.csv", table, job_config=config)
    job.result()
    assert (job.state, job.output_rows, job.input_files, job.input_file_bytes) == ("DONE", 3, 2, 38)
    assert rows(client, table) == [(1, "ann"), (2, 'b, "o"'), (3, None)]
    assert client.get_table(table).schema[0].mode == "REQUIRED"


def test_csv_fails_on_bad_rows_and_says_which(local_bigquery, client, table):
    uri = f"{BUCKET}/bad.csv"
    local_bigquery.put(uri, "id,name\n1,ann\nx,bob\n,eve\n4,too,many\n5\n")
    config = csv_config(skip_leading_rows=1)
    job = client.load_table_from_uri(uri, table, job_config=config)
    with pytest.raises(BadRequest, match="CSV table encountered too many errors"):
        job.result()
    assert job.error_result["reason"] == "invalid"
    assert job.error_result["location"] == uri
    assert "errors: 4" in job.error_result["message"]
    details = " ".join(error["message"] for error in job.errors[1:])
    assert "Could not parse 'x' as INT64 for field id (position 0) in row 3" in details
    assert "Required column value for field id (position 0) in row 4 is missing" in details
    assert "Too many values in row 5" in details
    assert "row 6 contains only 1 columns" in details
    with pytest.raises(NotFound):
        client.get_table(table)


def test_csv_passes_over_as_many_bad_rows_as_allowed(local_bigquery, client, table):
    uri = f"{BUCKET}/some-bad.csv"
    local_bigquery.put(uri, "1,ann\nx,bob\n3,cid\n")
    job = client.load_table_from_uri(uri, table, job_config=csv_config(max_bad_records=1))
    job.result()
    assert rows(client, table) == [(1, "ann"), (3, "cid")]
    assert job.output_rows == 2
    assert "Could not parse 'x'" in job.errors[0]["message"]
    assert job.error_result is None


def test_csv_ragged_rows(local_bigquery, client, table):
    uri = f"{BUCKET}/ragged.csv"
    local_bigquery.put(uri, "1\n2,bob,x\n3,cid\n")
    config = csv_config(allow_jagged_rows=True, ignore_unknown_values=True)
    client.load_table_from_uri(uri, table, job_config=config).result()
    assert rows(client, table) == [(1, None), (2, "bob"), (3, "cid")]


def test_csv_of_other_forms(local_bigquery, client, table):
    uri = f"{BUCKET}/forms.csv"
    local_bigquery.put(uri, "1;'a\nb'\n2;NA\n3;\n")
    config = csv_config(
        field_delimiter=";", quote_character="'", null_marker="NA", allow_quoted_newlines=True
    )
    client.load_table_from_uri(uri, table, job_config=config).result()
    assert rows(client, table) == [(1, "a\nb"), (2, None), (3, "")]


def test_csv_types(local_bigquery, client, table):
    uri = f"{BUCKET}/types.csv"
    local_bigquery.put(
        uri,
        "7,1.5,yes,2024-2-3,2024-02-03 04:05:06,2024-02-03 04:05:06+02:00,04:05:06.5,1.25,aGk=\n",
    )
    kinds = [
        "INT64",
        "FLOAT64",
        "BOOL",
        "DATE",
        "DATETIME",
        "TIMESTAMP",
        "TIME",
        "NUMERIC",
        "BYTES",
    ]
    config = csv_config(schema=[SchemaField(f"c{i}", kind) for i, kind in enumerate(kinds)])
    client.load_table_from_uri(uri, table, job_config=config).result()
    assert rows(client, table) == [
        (
            7,
            1.5,
            True,
            date(2024, 2, 3),
            datetime(2024, 2, 3, 4, 5, 6),  # noqa: DTZ001 - DATETIME has no time zone
            datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC),
            time(4, 5, 6, 500_000),
            Decimal("1.25"),
            b"hi",
        )
    ]


def test_csv_autodetect(local_bigquery, client, table):
    uri = f"{BUCKET}/detect.csv"
    local_bigquery.put(uri, "id,the name,when,ok\n1,ann,2024-01-02,true\n2,bob,2024-01-03,false\n")
    config = LoadJobConfig(source_format="CSV", autodetect=True)
    client.load_table_from_uri(uri, table, job_config=config).result()
    fields = [(field.name, field.field_type) for field in client.get_table(table).schema]
    assert fields == [
        ("id", "INTEGER"), ("the_name", "STRING"), ("when", "DATE"), ("ok", "BOOLEAN")
    ]  # fmt: skip
    assert rows(client, table)[0] == (1, "ann", date(2024, 1, 2), True)


def test_without_a_schema_there_must_be_a_table_or_autodetect(local_bigquery, client, table):
    uri = f"{BUCKET}/no-schema.csv"
    local_bigquery.put(uri, "1,ann\n")
    with pytest.raises(BadRequest, match="No schema specified on job or table"):
        client.load_table_from_uri(uri, table, job_config=csv_config(schema=[])).result()
    client.create_table(bigquery.Table(f"local-project.{table}", PEOPLE))
    client.load_table_from_uri(uri, table, job_config=csv_config(schema=[])).result()
    assert rows(client, table) == [(1, "ann")]


def test_dispositions(local_bigquery, client, table):
    uri = f"{BUCKET}/dispositions.csv"
    local_bigquery.put(uri, "1,ann\n")

    def load(**options):
        client.load_table_from_uri(uri, table, job_config=csv_config(**options)).result()
        return rows(client, table)

    with pytest.raises(NotFound):
        load(create_disposition="CREATE_NEVER")
    assert load(write_disposition="WRITE_EMPTY") == [(1, "ann")]
    with pytest.raises(Conflict, match="Already Exists: Table"):
        load(write_disposition="WRITE_EMPTY")
    assert load() == [(1, "ann"), (1, "ann")]
    assert load(write_disposition="WRITE_TRUNCATE") == [(1, "ann")]
    other = [SchemaField("id", "STRING"), SchemaField("name", "STRING")]
    with pytest.raises(BadRequest, match="Provided Schema does not match Table"):
        load(schema=other)
    assert load(schema=other, write_disposition="WRITE_TRUNCATE") == [("1", "ann")]


def test_a_missing_file_is_not_found(client, table):
    with pytest.raises(NotFound, match="Not found: URI gs://loads/nowhere"):
        client.load_table_from_uri(f"{BUCKET}/nowhere", table, job_config=csv_config()).result()
    with pytest.raises(NotFound):
        client.load_table_from_uri(f"{BUCKET}/no*where", table, job_config=csv_config()).result()


NESTED = [
    SchemaField("id", "INT64", "REQUIRED"),
    SchemaField("tags", "STRING", "REPEATED"),
    SchemaField(
        "who",
        "RECORD",
        fields=[SchemaField("name", "STRING"), SchemaField("born", "DATE")],
    ),
]


def json_config(**options) -> LoadJobConfig:
    return LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", **{"schema": NESTED, **options})


def test_json_with_nested_and_repeated_fields(client, table):
    given = [
        {"id": 1, "tags": ["a", "b"], "who": {"name": "ann", "born": "1990-01-02"}},
        {"id": "2"},
    ]
    client.load_table_from_json(given, table, job_config=json_config()).result()
    assert rows(client, table) == [
        (1, ["a", "b"], {"name": "ann", "born": date(1990, 1, 2)}),
        (2, [], None),
    ]


def test_json_fails_on_bad_rows_and_says_which(local_bigquery, client, table):
    uri = f"{BUCKET}/bad.json"
    lines = ['{"id": 1}', '{"id": "x"}', "{oops", '{"tags": []}', '{"id": 2, "more": 1}', "[1]"]
    local_bigquery.put(uri, "\n".join(lines))
    job = client.load_table_from_uri(uri, table, job_config=json_config())
    with pytest.raises(BadRequest, match="JSON table encountered too many errors"):
        job.result()
    details = " ".join(error["message"] for error in job.errors[1:])
    assert "position 10: Could not convert value to integer. Field: id; Value: x" in details
    assert "position 22: Parser error" in details
    assert "Missing required field: id." in details
    assert "No such field: more." in details
    config = json_config(max_bad_records=4, ignore_unknown_values=True)
    client.load_table_from_uri(uri, table, job_config=config).result()
    assert [row[0] for row in rows(client, table)] == [1, 2]


def test_json_autodetect(client, table):
    given = [{"a": 1, "b": [{"c": "x"}], "d": None}, {"a": 2.5, "d": "2024-01-02T03:04:05Z"}]
    client.load_table_from_json(
        given, table, job_config=json_config(schema=[], autodetect=True)
    ).result()
    schema = {
        field.name: (field.field_type, field.mode) for field in client.get_table(table).schema
    }
    assert schema == {
        "a": ("FLOAT", "NULLABLE"), "b": ("RECORD", "REPEATED"), "d": ("TIMESTAMP", "NULLABLE")
    }  # fmt: skip
    assert rows(client, table) == [
        (1.0, [{"c": "x"}], None),
        (2.5, [], datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ]


def parquet(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


PARQUET = LoadJobConfig(source_format="PARQUET")
LISTS = bigquery.format_options.ParquetOptions()
LISTS.enable_list_inference = True
PARQUET_LISTS = LoadJobConfig(source_format="PARQUET", parquet_options=LISTS)


def test_parquet(local_bigquery, client, table):
    at = datetime(2024, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    data = pa.table(
        {
            "i": pa.array([1, None], pa.int32()),
            "s": ["ä", None],
            "f": [1.5, float("nan")],
            "b": [True, None],
            "d": pa.array([date(2024, 1, 2), None]),
            "at": pa.array([at, None], pa.timestamp("us", "UTC")),
            "n": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
            "raw": [b"\x00\xff", None],
            "tags": pa.array([["a"], None], pa.list_(pa.string())),
            "who": pa.array([{"name": "ann"}, None], pa.struct([("name", pa.string())])),
        }
    )
    local_bigquery.put(f"{BUCKET}/all.parquet", parquet(data))
    job = client.load_table_from_uri(f"{BUCKET}/all.parquet", table, job_config=PARQUET_LISTS)
    job.result()
    types = [field.field_type for field in client.get_table(table).schema]
    assert types == [
        "INTEGER", "STRING", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP", "NUMERIC", "BYTES", "STRING",
        "RECORD",
    ]  # fmt: skip
    one, two = client.list_rows(table)
    assert tuple(one) == (
        1, "ä", 1.5, True, date(2024, 1, 2), at, Decimal("1.25"), b"\x00\xff", ["a"],
        {"name": "ann"},
    )  # fmt: skip
    assert two["f"] != two["f"]
    assert (two["i"], two["tags"], two["who"]) == (None, [], None)


def test_parquet_timestamps_of_spark(local_bigquery, client, table):
    at = datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - INT96 has no time zone
    data = parquet(pa.table({"at": [at]}), use_deprecated_int96_timestamps=True)
    local_bigquery.put(f"{BUCKET}/int96.parquet", data)
    client.load_table_from_uri(f"{BUCKET}/int96.parquet", table, job_config=PARQUET).result()
    assert client.get_table(table).schema[0].field_type == "TIMESTAMP"
    assert rows(client, table) == [(at.replace(tzinfo=UTC),)]


def test_parquet_columns_are_matched_by_name(local_bigquery, client, table):
    client.query_and_wait(f"CREATE TABLE {table} (a INT64, b STRING)")
    local_bigquery.put(f"{BUCKET}/ba.parquet", parquet(pa.table({"b": ["x"], "a": [1]})))
    client.load_table_from_uri(f"{BUCKET}/ba.parquet", table, job_config=PARQUET).result()
    assert rows(client, table) == [(1, "x")]
    local_bigquery.put(f"{BUCKET}/c.parquet", parquet(pa.table({"c": ["x"]})))
    with pytest.raises(BadRequest, match="Cannot add fields"):
        client.load_table_from_uri(f"{BUCKET}/c.parquet", table, job_config=PARQUET).result()
    local_bigquery.put(f"{BUCKET}/d.parquet", parquet(pa.table({"a": ["x"]})))
    with pytest.raises(BadRequest, match="type"):
        client.load_table_from_uri(f"{BUCKET}/d.parquet", table, job_config=PARQUET).result()
    local_bigquery.put(f"{BUCKET}/e.parquet", "no parquet at all")
    with pytest.raises(BadRequest):
        client.load_table_from_uri(f"{BUCKET}/e.parquet", table, job_config=PARQUET).result()


@pytest.mark.parametrize("size", [None, 12], ids=["resumable", "multipart"])
def test_uploads(client, table, size):
    file = io.BytesIO(b"1,ann\n2,bob\n")
    config = csv_config(write_disposition="WRITE_TRUNCATE")
    job = client.load_table_from_file(file, table, size=size, job_config=config)
    job.result()
    assert rows(client, table) == [(1, "ann"), (2, "bob")]


def test_a_large_upload_comes_in_pieces(client, table):
    count = 300_000
    text = "".join(f"{number},{'x' * 400}\n" for number in range(count)).encode()
    assert len(text) > 100 * 1024 * 1024  # the client's pieces
    client.load_table_from_file(io.BytesIO(text), table, job_config=csv_config()).result()
    assert client.get_table(table).num_rows == count


def test_an_upload_with_a_taken_job_id_is_a_conflict(local_bigquery, client, table):
    options = {"job_config": csv_config(), "job_id": "upload-once", "num_retries": 0}
    client.load_table_from_file(io.BytesIO(b"1,ann\n"), table, **options).result()
    with pytest.raises(Conflict):
        client.load_table_from_file(io.BytesIO(b"1,ann\n"), table, **options)
    assert rows(client, table) == [(1, "ann")]
    assert not list((local_bigquery.data / "uploads").iterdir())


def test_a_load_makes_a_partitioned_table(local_bigquery, client, table):
    uri = f"{BUCKET}/parts.json"
    local_bigquery.put(uri, json.dumps({"id": 1, "who": {"name": "a", "born": None}}))
    schema = [SchemaField("id", "INT64"), SchemaField("day", "DATE")]
    config = json_config(schema=schema, ignore_unknown_values=True)
    config.time_partitioning = bigquery.TimePartitioning(field="day")
    config.clustering_fields = ["id"]
    config.destination_table_description = "loaded"
    config.labels = {"team": "data"}
    job = client.load_table_from_uri(uri, table, job_config=config)
    job.result()
    made = client.get_table(table)
    assert (made.time_partitioning.field, made.clustering_fields) == ("day", ["id"])
    assert (made.description, job.labels) == ("loaded", {"team": "data"})


def test_other_formats_are_not_supported(client, table):
    from google.api_core.exceptions import MethodNotImplemented

    config = LoadJobConfig(source_format="ORC")
    with pytest.raises(MethodNotImplemented, match="ORC"):
        client.load_table_from_uri(f"{BUCKET}/x.orc", table, job_config=config)
