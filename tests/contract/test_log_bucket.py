"""The log store in a bucket, by Google's own client against the local Cloud Storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from pydag_dist.log_store import LogStoreAway
from pydag_dist.log_store.bucket import Bucket
from pydag_dist.log_store.store import LogStore
from tests.support.local_google import cloud_storage, storage_client

PART = {"w": "w", "n": "0", "o": "0", "lines": json.dumps([[1, "INFO", "one"]])}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cloud_storage(tmp_path_factory.mktemp("gcs")) as url:
        yield url


def test_logs_are_objects_of_a_bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    store = LogStore(Bucket("gs://logs/some/folder"))
    with pytest.raises(LogStoreAway, match=r"the log store gs://logs/some/folder/: .*bucket"):
        store.write("r", "t", 1, [PART])
    client = storage_client(url)
    client.create_bucket("logs")
    assert store.read("r", [("t", 1)]) == {}
    store.write("r", "t", 1, [PART])
    store.write("r", "t", 1, [PART | {"n": "1"}])
    store.write("r-2", "t", 1, [PART])
    found = store.read("r", [("t", 1), ("t", 2)])
    assert {key: list(parts) for key, parts in found.items()} == {
        ("t", 1): [PART, PART | {"n": "1"}]
    }
    store.forget(["r"])
    names = [blob.name for blob in client.list_blobs("logs")]
    assert names == ["some/folder/r-2/t/1.jsonl.gz"]


def test_a_service_that_is_away_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    store = LogStore(Bucket("gs://logs"))
    with pytest.raises(LogStoreAway):
        store.write("r", "t", 1, [PART])
    (parts,) = store.read("r", [("t", 1)]).values()
    assert "the log store gs://logs/" in next(parts)["trouble"]


def test_nothing_is_asked_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of Google's client went on asking for the bucket for two minutes."""
    monkeypatch.delenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    before = set(threading.enumerate())
    with pytest.raises(LogStoreAway):
        LogStore(Bucket("gs://logs")).write("r", "t", 1, [PART])
    assert set(threading.enumerate()) <= before
