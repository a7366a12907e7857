"""pandas, gcsfs and Google's own clients, as people use them, against local services.

Run by `test_clients.py` with the Python of an environment that has them. What fails, fails it.
"""

from __future__ import annotations

import os
import sys

import pandas as pd
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


if __name__ == "__main__":
    {"files": files, "buckets": buckets, "frames": frames}[sys.argv[1]]()
