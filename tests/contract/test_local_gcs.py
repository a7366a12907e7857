"""Cloud Storage on this machine serves the official client, and shares its files with Spark."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed

from pydag_dist.errors import LocalServiceError
from pydag_dist.local import gcs
from tests.local_google import cloud_storage, storage_client


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("gcs")


@pytest.fixture(scope="module")
def client(root):
    with cloud_storage(root) as url:
        yield storage_client(url)


@pytest.fixture
def bucket(client, request):
    return client.create_bucket(f"b-{abs(hash(request.node.name))}")


def test_objects_are_files_and_survive_a_restart(tmp_path):
    with cloud_storage(tmp_path) as url:
        bucket = storage_client(url).create_bucket("kept")
        bucket.blob("folder/name.sql").upload_from_string("SELECT 1", content_type="text/x-sql")
    assert (tmp_path / "gcs/kept/folder/name.sql").read_text() == "SELECT 1"
    with cloud_storage(tmp_path) as url:
        blob = storage_client(url).bucket("kept").get_blob("folder/name.sql")
        assert blob.content_type == "text/x-sql"
        assert blob.download_as_text() == "SELECT 1"


def test_a_resumable_upload_finds_its_way_back_to_the_server(bucket):
    content = os.urandom(3 << 20)
    blob = bucket.blob("big")
    blob.chunk_size = 1 << 20
    with blob.open("wb") as file:
        file.write(content)
    assert bucket.blob("big").download_as_bytes() == content


def test_a_precondition_lets_one_of_many_uploads_win(bucket):
    winners, losers = [], []

    def upload(number):
        try:
            bucket.blob("lock").upload_from_string(str(number), if_generation_match=0)
            winners.append(number)
        except PreconditionFailed:
            losers.append(number)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(winners), len(losers)) == (1, 15)
    assert bucket.blob("lock").download_as_text() == str(winners[0])


def test_a_file_written_beside_the_server_is_an_object_once_it_is_adopted(root, client, bucket):
    folder = root / "gcs" / bucket.name / "out"
    folder.mkdir()
    (folder / "part-0.parquet").write_bytes(b"PAR1")
    (folder / ".unfinished").write_bytes(b"")
    with pytest.raises(NotFound):
        list(client.list_blobs(bucket))
    (folder / ".unfinished").unlink()

    assert gcs.adopt_files(root / "gcs" / bucket.name) == 1

    (blob,) = client.list_blobs(bucket)
    assert (blob.name, blob.size, blob.generation > 0) == ("out/part-0.parquet", 4, True)
    assert blob.download_as_bytes(checksum="crc32c") == b"PAR1"
    assert blob.download_as_bytes(checksum="md5") == b"PAR1"
    assert gcs.adopt_files(root / "gcs" / bucket.name) == 0


def test_what_the_server_knows_of_its_own_objects_is_left_alone(root, bucket):
    blob = bucket.blob("own")
    blob.metadata = {"key": "value"}
    blob.upload_from_string("x")
    assert gcs.adopt_files(root / "gcs" / bucket.name) == 0
    assert bucket.get_blob("own").metadata == {"key": "value"}


def test_an_adopted_file_that_is_written_again_gets_new_checksums(root, bucket):
    file = root / "gcs" / bucket.name / "growing"
    file.write_bytes(b"one")
    gcs.adopt_files(file.parent)
    file.write_bytes(b"two and more")
    os.utime(file, ns=(1, 2))  # another time, however coarse the clock
    assert gcs.adopt_files(file.parent) == 1
    assert bucket.blob("growing").download_as_bytes(checksum="md5") == b"two and more"


def test_unfinished_files_of_others_are_not_adopted(tmp_path):
    (tmp_path / ".part-0.crc").write_bytes(b"")
    assert gcs.adopt_files(tmp_path) == 0


def test_a_file_system_without_attributes_is_refused_with_a_reason(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    with pytest.raises(LocalServiceError, match="extended file attributes") as error:
        gcs.check_root(tmp_path / "gcs")
    assert str(tmp_path / "gcs") in str(error.value)
    assert list((tmp_path / "gcs").iterdir()) == []
