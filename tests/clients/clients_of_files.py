"""pandas, gcsfs and Google's own clients, as people use them, against local services.

Run by `test_clients.py` with the Python of an environment that has them. What fails, fails it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from decimal import Decimal

import gcsfs
import pandas as pd
import pandas_gbq
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

PROJECT = "local-project"
URL = os.environ["STORAGE_EMULATOR_HOST"]
OPTIONS = {"endpoint_url": URL, "token": "anon", "project": PROJECT}


def files() -> None:
    """`to_parquet("gs://…")` and back, CSV, and large files in several pieces."""
    frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", None, "ü"], "price": [1.5, 2.5, 3.5]})
    frame.to_parquet("gs://files/deep/frame.parquet", storage_options=OPTIONS)
    back = pd.read_parquet("gs://files/deep/frame.parquet", storage_options=OPTIONS)
    pd.testing.assert_frame_equal(back, frame)
    frame.to_csv("gs://files/frame.csv", index=False, storage_options=OPTIONS)
    back = pd.read_csv("gs://files/frame.csv", storage_options=OPTIONS)
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    large = pd.DataFrame({"text": [f"{number:0>100}" for number in range(500_000)]})
    large.to_csv("gs://files/large.csv", index=False, storage_options=OPTIONS)
    assert len(pd.read_csv("gs://files/large.csv", storage_options=OPTIONS)) == len(large)


def buckets() -> None:
    """A bucket with everything in it goes, and many calls go in one request."""
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    bucket = client.create_bucket("emptied")
    for number in range(5):
        bucket.blob(f"in/{number}").upload_from_string(str(number))
    bucket.blob("in/").upload_from_string("")
    with client.batch():
        for number in range(3):
            bucket.blob(f"in/{number}").delete()
    assert [blob.name for blob in client.list_blobs(bucket)] == ["in/", "in/3", "in/4"]
    bucket.labels = {"team": "a"}
    bucket.patch()
    assert client.get_bucket("emptied").labels == {"team": "a"}
    bucket.delete(force=True)
    assert client.lookup_bucket("emptied") is None


def frames() -> None:
    """Frames out of BigQuery and into it, with the Storage API's package installed."""
    client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
    client.create_dataset("frames", exists_ok=True)
    query = "SELECT n AS id, DATE '2026-01-31' AS day FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n"
    frame = client.query_and_wait(query).to_dataframe(create_bqstorage_client=False)
    assert list(frame["id"]) == [1, 2, 3, 4, 5]
    client.load_table_from_dataframe(frame, "frames.loaded").result()
    table = client.list_rows("frames.loaded").to_arrow(create_bqstorage_client=False)
    assert table.num_rows == len(frame)


def folders() -> None:
    """What gcsfs does with folders: walks, globs, moves, parts of files, and transactions."""
    system = gcsfs.GCSFileSystem(**OPTIONS)
    system.mkdir("walked")
    system.pipe({"walked/a/1.txt": b"hello", "walked/a/2.txt": b"world", "walked/b/c/3.csv": b""})
    assert system.glob("walked/**/*.txt") == ["walked/a/1.txt", "walked/a/2.txt"]
    assert system.cat_ranges(["walked/a/1.txt"] * 2, [0, 2], [2, 4]) == [b"he", b"ll"]
    assert [names for _, _, names in system.walk("walked")] == [
        [],
        ["1.txt", "2.txt"],
        [],
        ["3.csv"],
    ]
    system.mv("walked/a/1.txt", "walked/a/9.txt")
    system.cp("walked/a/", "walked/z/", recursive=True)
    with system.open("walked/large", "wb", block_size=1 << 18) as file:
        for _ in range(5):
            file.write(b"x" * 300_000)
    assert system.info("walked/large")["size"] == 1_500_000
    system.setxattrs("walked/large", made="here")
    assert system.getxattr("walked/large", "made") == "here"
    with contextlib.suppress(KeyError), system.transaction:
        with system.open("walked/undone", "wb", block_size=1 << 18) as file:
            file.write(b"x" * 600_000)
        raise KeyError
    system.rm("walked/a", recursive=True)
    assert system.find("walked") == [
        "walked/b/c/3.csv", "walked/large", "walked/z/2.txt", "walked/z/9.txt",
    ]  # fmt: skip
    system.rm("walked", recursive=True)
    assert not system.exists("walked")
    frame = pd.DataFrame({"id": [1, 2, 3], "kind": ["a", "b", "a"]})
    frame.to_parquet("gs://files/parts", partition_cols=["kind"], storage_options=OPTIONS)
    kept = [("kind", "=", "a")]
    back = pd.read_parquet("gs://files/parts", storage_options=OPTIONS, filters=kept)
    assert list(back["id"]) == [1, 3]


def tables() -> None:
    """pandas-gbq both ways, streaming inserts, and all types of a frame."""
    client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
    client.create_dataset("gbq", exists_ok=True)
    frame = pd.DataFrame({"id": [1, 2], "day": pd.to_datetime(["2026-01-30", "2026-01-31"])})
    options = {"project_id": PROJECT, "bigquery_client": client}
    for kind in ("load_parquet", "load_csv"):
        for exists, rows in (("replace", 2), ("append", 4)):
            pandas_gbq.to_gbq(frame, f"gbq.{kind}", api_method=kind, if_exists=exists, **options)
            assert client.get_table(f"gbq.{kind}").num_rows == rows
    read = pandas_gbq.read_gbq(
        "SELECT * FROM gbq.load_parquet ORDER BY id LIMIT 2",
        use_bqstorage_api=False,
        progress_bar_type=None,
        **options,
    )
    assert list(read["id"]) == [1, 1]
    table = bigquery.Table(
        f"{PROJECT}.gbq.streamed", schema=client.get_table("gbq.load_csv").schema
    )
    table.time_partitioning = bigquery.TimePartitioning(field="day")
    made = client.create_table(table)
    assert client.insert_rows_from_dataframe(made, frame) == [[]]
    assert client.list_partitions(made) == ["20260130", "20260131"]
    all_types = pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"), "s": ["a", None], "b": [True, False],
            "n": [Decimal("1.5"), None], "l": [[1, 2], []], "r": [{"a": 1}, {"a": 2}],
            "t": [dt.time(1, 2), None], "y": [b"a", None],
            "z": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
        }
    )  # fmt: skip
    client.load_table_from_dataframe(all_types, "gbq.types").result()
    columns = client.get_table("gbq.types").schema
    assert [(column.name, column.field_type, column.mode) for column in columns] == [
        ("i", "INTEGER", "NULLABLE"), ("s", "STRING", "NULLABLE"), ("b", "BOOLEAN", "NULLABLE"),
        ("n", "NUMERIC", "NULLABLE"), ("l", "INTEGER", "REPEATED"), ("r", "RECORD", "NULLABLE"),
        ("t", "TIME", "NULLABLE"), ("y", "BYTES", "NULLABLE"), ("z", "TIMESTAMP", "NULLABLE"),
    ]  # fmt: skip


if __name__ == "__main__":
    kinds = (files, folders, buckets, frames, tables)
    {kind.__name__: kind for kind in kinds}[sys.argv[1]]()
