"""Extract jobs and Avro of the local BigQuery, by the official client: there and back again."""

from __future__ import annotations

import gzip
import io
import json

import fastavro
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.cloud.bigquery import ExtractJobConfig, LoadJobConfig, SchemaField

from tests.support.local_bigquery import LocalBigQuery

BUCKET = "gs://extracts"
SCALARS = """
SELECT 1 AS i, 1.5 AS f, NUMERIC '2.50' AS n, TRUE AS b, 'a "b", é' AS s, b'\\x00\\xff' AS y,
  DATE '2026-01-31' AS d, TIME '12:30:00' AS t, DATETIME '2026-01-31 12:30:00.5' AS dt,
  TIMESTAMP '2026-01-31 23:30:00+01:00' AS ts
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""
NESTED = """
SELECT 1 AS id, [1, 2] AS list, STRUCT('x' AS a, [STRUCT(1.5 AS c)] AS b) AS rec
UNION ALL SELECT 2, [], NULL
"""


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    (local_bigquery.gcs_root / "extracts").mkdir()
    with local_bigquery.client() as client:
        client.create_dataset("extracts")
        for name, query in (("scalars", SCALARS), ("nested", NESTED)):
            client.query_and_wait(f"CREATE TABLE extracts.{name} AS {query}")
        yield client


def rows(client, table):
    return sorted((tuple(row) for row in client.list_rows(table)), key=repr)


def extract(client, table, uri, **options):
    config = ExtractJobConfig(**options)
    return client.extract_table(f"extracts.{table}", uri, job_config=config).result()


def read(local_bigquery, uri) -> bytes:
    return (local_bigquery.gcs_root / uri.removeprefix("gs://")).read_bytes()


def test_csv(local_bigquery, client):
    job = extract(client, "scalars", f"{BUCKET}/part-*.csv")
    assert (job.state, job.destination_uri_file_counts) == ("DONE", [1])
    assert read(local_bigquery, f"{BUCKET}/part-000000000000.csv").decode() == (
        "i,f,n,b,s,y,d,t,dt,ts\n"
        '1,1.5,2.5,true,"a ""b"", é",AP8=,2026-01-31,12:30:00,2026-01-31T12:30:00.500000,'
        "2026-01-31 22:30:00 UTC\n"
        ",,,,,,,,,\n"
    )


def test_csv_as_told(local_bigquery, client):
    uri = f"{BUCKET}/told.csv.gz"
    options = {"print_header": False, "field_delimiter": "\t", "compression": "GZIP"}
    extract(client, "scalars", uri, **options)
    text = gzip.decompress(read(local_bigquery, uri)).decode()
    assert text.startswith("1\t1.5\t2.5\ttrue\t")


def test_json_lines(local_bigquery, client):
    uri = f"{BUCKET}/nested.json"
    extract(client, "nested", uri, destination_format="NEWLINE_DELIMITED_JSON")
    assert [json.loads(line) for line in read(local_bigquery, uri).splitlines()] == [
        {"id": "1", "list": ["1", "2"], "rec": {"a": "x", "b": [{"c": 1.5}]}},
        {"id": "2", "list": []},
    ]


@pytest.mark.parametrize("compression", ["NONE", "SNAPPY", "GZIP", "ZSTD"])
def test_parquet(local_bigquery, client, compression):
    uri = f"{BUCKET}/{compression}.parquet"
    extract(client, "nested", uri, destination_format="PARQUET", compression=compression)
    found = pq.read_table(io.BytesIO(read(local_bigquery, uri))).to_pylist()
    assert [row["id"] for row in found] == [1, 2]
    assert found[0]["rec"] == {"a": "x", "b": [{"c": 1.5}]}


AVRO = {"use_avro_logical_types": True}


@pytest.mark.parametrize(
    ("table", "compression", "format_", "options"),
    [
        ("scalars", "NONE", "CSV", {"skip_leading_rows": 1}),
        ("scalars", "GZIP", "CSV", {"skip_leading_rows": 1}),
        ("scalars", "NONE", "NEWLINE_DELIMITED_JSON", {}),
        ("nested", "GZIP", "NEWLINE_DELIMITED_JSON", {}),
        ("scalars", "ZSTD", "PARQUET", {}),
        ("scalars", "NONE", "AVRO", AVRO),
        ("nested", "DEFLATE", "AVRO", AVRO),
    ],
)
def test_what_was_extracted_can_be_loaded(client, table, compression, format_, options):
    uri = f"{BUCKET}/back-{table}-{compression}.{format_}"
    avro = AVRO if format_ == "AVRO" else {}
    extract(client, table, uri, destination_format=format_, compression=compression, **avro)
    to = f"extracts.back_{table}_{format_}_{compression}"
    schema = client.get_table(f"extracts.{table}").schema
    config = LoadJobConfig(source_format=format_, schema=schema, **options)
    client.load_table_from_uri(uri, to, job_config=config).result()
    assert rows(client, to) == rows(client, f"extracts.{table}")


@pytest.mark.parametrize(
    ("table", "uri", "message"),
    [
        ("nested", "a.csv", "Operation cannot be performed on a nested schema. Field: list"),
        ("no_such", "a.csv", "Not found: Table local-project:extracts.no_such"),
        ("scalars", "a*b*.csv", "Invalid extract destination URI"),
        ("scalars", "../x/a.csv", "Invalid extract destination URI"),
    ],
)
def test_what_cannot_be_extracted_says_why(local_bigquery, client, table, uri, message):
    with pytest.raises(GoogleAPICallError) as failed:
        extract(client, table, f"{BUCKET}/{uri}")
    assert message in str(failed.value)
    assert not list(local_bigquery.gcs_root.glob(".extract*"))


def test_a_compression_that_the_format_lacks_is_refused(client):
    with pytest.raises(BadRequest, match="CSV files cannot be compressed by SNAPPY"):
        extract(client, "scalars", f"{BUCKET}/a.csv", compression="SNAPPY")


def test_no_file_is_written_beside_the_buckets(local_bigquery, client):
    export = "EXPORT DATA OPTIONS (uri='gs://../*.csv', format='CSV') AS SELECT 1 AS n"
    with pytest.raises(BadRequest, match="Invalid extract destination URI"):
        client.query_and_wait(export)
    with pytest.raises(BadRequest, match="Invalid extract destination URI"):
        extract(client, "scalars", "gs://../beside.csv")
    assert not list(local_bigquery.gcs_root.parent.glob("*.csv"))


def test_a_bucket_that_is_not_there_is_named(client):
    with pytest.raises(NotFound, match="Not found: Bucket no-such"):
        extract(client, "scalars", "gs://no-such/a.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"destination_format": "AVRO"}, "dates and times in Avro without useAvroLogicalTypes"),
        (
            {
                "destination_format": "AVRO",
                "compression": "SNAPPY",
                "use_avro_logical_types": True,
            },
            "Avro files compressed by SNAPPY",
        ),
        ({"destination_format": "ML_TF_SAVED_MODEL"}, "extracts in the format ML_TF_SAVED_MODEL"),
    ],
)
def test_what_the_service_cannot_extract_it_says(client, options, message):
    with pytest.raises(GoogleAPICallError, match=f"does not support {message}"):
        extract(client, "scalars", f"{BUCKET}/no", **options)


# -- Avro ---------------------------------------------------------------------------------------


def avro(*records, **fields) -> bytes:
    members = [{"name": name, "type": type_} for name, type_ in fields.items()]
    schema = {"type": "record", "name": "r", "fields": members}
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), records)
    return file.getvalue()


def load(client, uri, table, **options):
    config = LoadJobConfig(source_format="AVRO", **options)
    return client.load_table_from_uri(uri, f"extracts.{table}", job_config=config).result()


def test_avro_says_what_its_columns_are(local_bigquery, client):
    suits = {"type": "enum", "name": "suit", "symbols": ["A", "B"]}
    two = {"type": "fixed", "name": "two", "size": 2}
    data = avro(
        {"id": 1, "small": 2, "x": None, "suit": "A", "two": b"ab", "many": ["a"]},
        id="long", small="int", x=["null", "float"], suit=suits, two=two,
        many={"type": "array", "items": "string"},
    )  # fmt: skip
    local_bigquery.put(f"{BUCKET}/types.avro", data)
    assert load(client, f"{BUCKET}/types.avro", "types").output_rows == 1
    assert [(f.name, f.field_type, f.mode) for f in client.get_table("extracts.types").schema] == [
        ("id", "INTEGER", "REQUIRED"),
        ("small", "INTEGER", "REQUIRED"),
        ("x", "FLOAT", "NULLABLE"),
        ("suit", "STRING", "REQUIRED"),
        ("two", "BYTES", "REQUIRED"),
        ("many", "STRING", "REPEATED"),
    ]
    assert rows(client, "extracts.types") == [(1, 2, None, "A", b"ab", ["a"])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no avro at all", "The Apache Avro library failed to read the file"),
        (avro({"id": 1}, id="long")[:-5], "The Apache Avro library failed to read the file"),
        (avro({"m": {"a": 1}}, m={"type": "map", "values": "long"}), "the Avro type map"),
        (avro({"u": 1}, u=["long", "string"]), "Avro unions other than of null and a type"),
        (
            avro({"d": 1}, d={"type": "int", "logicalType": "date"}),
            "Avro's logical types without useAvroLogicalTypes",
        ),
        (avro({"id": "x"}, id="string"), "Avro column 'id' has type STRING which does not match"),
    ],
)
def test_avro_that_cannot_be_loaded_says_why(local_bigquery, client, data, message):
    local_bigquery.put(f"{BUCKET}/bad.avro", data)
    with pytest.raises(GoogleAPICallError, match=message):
        load(client, f"{BUCKET}/bad.avro", "bad", schema=[SchemaField("id", "INT64")])


def test_a_broken_gzip_says_so(local_bigquery, client):
    local_bigquery.put(f"{BUCKET}/bad.csv.gz", gzip.compress(b"1\n")[:-6])
    config = LoadJobConfig(schema=[SchemaField("id", "INT64")])
    with pytest.raises(BadRequest, match="Failed to decompress gzip"):
        client.load_table_from_uri(
            f"{BUCKET}/bad.csv.gz", "extracts.gz", job_config=config
        ).result()


def test_an_extract_is_written_again_after_a_crash(tmp_path):
    with LocalBigQuery(tmp_path) as service:
        (service.gcs_root / "b").mkdir()
        with service.client() as client:
            client.create_dataset("d")
            client.query_and_wait("CREATE TABLE d.t AS SELECT 1 AS id")
            service.fault(method="run", job_id="^again$", delay=60)
            client.extract_table("d.t", "gs://b/t.csv", job_id="again")
            service.kill()
            service.start()
        with service.client() as client:
            client.get_job("again", location="US").result()
        assert read(service, "gs://b/t.csv") == b"id\n1\n"
        assert [job["id"] for job in service.journal()].count("again") == 1
