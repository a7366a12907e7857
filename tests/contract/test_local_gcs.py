"""Cloud Storage on this machine serves the official client, and shares its files with Spark."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import threading
import urllib.request

import pytest
import requests
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    MethodNotImplemented,
    NotFound,
    PreconditionFailed,
    ServiceUnavailable,
)
from google.cloud.exceptions import NotModified

from pydag_emulators.errors import CannotStart
from pydag_emulators.gcs.globs import compiled
from pydag_emulators.gcs.storage import attributes
from tests.support.local_google import cloud_storage, healthy, storage_client, storage_process

MIB = 1 << 20


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("gcs")


@pytest.fixture(scope="module")
def url(root):
    with cloud_storage(root) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    return storage_client(url)


@pytest.fixture
def bucket(client, request):
    return client.create_bucket(f"b-{abs(hash(request.node.name))}")


def names(client, bucket, **options):
    return [blob.name for blob in client.list_blobs(bucket, **options)]


class TestObjects:
    def test_they_are_files_and_survive_a_restart(self, tmp_path):
        with cloud_storage(tmp_path) as url:
            bucket = storage_client(url).create_bucket("kept")
            blob = bucket.blob("folder/name.sql")
            blob.upload_from_string("SELECT 1", content_type="text/x-sql")
        assert (tmp_path / "gcs/kept/folder/name.sql").read_text() == "SELECT 1"
        with cloud_storage(tmp_path) as url:
            again = storage_client(url).bucket("kept").get_blob("folder/name.sql")
            assert again.content_type == "text/x-sql"
            assert (again.generation, again.md5_hash) == (blob.generation, blob.md5_hash)
            assert again.download_as_text() == "SELECT 1"

    def test_labels_of_a_bucket_can_be_changed(self, bucket):
        bucket.labels = {"team": "a", "old": "b"}
        bucket.patch()
        bucket.labels = {"team": "c"}
        bucket.patch()
        bucket.reload()
        assert (bucket.labels, bucket.metageneration) == ({"team": "c"}, 3)
        with pytest.raises(PreconditionFailed):
            bucket.patch(if_metageneration_match=2)

    def test_each_content_has_a_generation_and_each_patch_a_metageneration(self, bucket):
        blob = bucket.blob("o")
        blob.metadata = {"a": "1", "b": "2"}
        blob.upload_from_string("1")
        first = blob.generation
        blob.metadata = {"b": None, "c": "3"}
        blob.patch()
        assert bucket.get_blob("o").metadata == {"a": "1", "c": "3"}
        assert (blob.generation, blob.metageneration) == (first, 2)
        blob.upload_from_string("2")
        assert blob.generation > first
        assert bucket.get_blob("o").metageneration == 1
        with pytest.raises(NotFound):
            bucket.blob("o", generation=first).download_as_bytes()

    def test_an_update_replaces_all_that_a_client_may_set(self, bucket):
        blob = bucket.blob("o")
        blob.metadata, blob.cache_control = {"a": "1"}, "no-store"
        blob.upload_from_string("x", content_type="text/csv")
        blob.metadata, blob.cache_control = {"b": "2"}, None
        blob.update()
        again = bucket.get_blob("o")
        assert (again.metadata, again.cache_control) == ({"b": "2"}, None)
        assert (again.content_type, again.metageneration) == ("text/csv", 2)

    def test_a_move_keeps_what_is_known_of_it(self, client, bucket):
        blob = bucket.blob("a/old")
        blob.metadata = {"k": "v"}
        blob.upload_from_string("x", content_type="text/csv")
        with pytest.raises(PreconditionFailed):
            bucket.move_blob(blob, "new", if_source_generation_match=1)
        bucket.blob("taken").upload_from_string("y")
        with pytest.raises(PreconditionFailed):
            bucket.move_blob(blob, "taken", if_generation_match=0)
        assert names(client, bucket) == ["a/old", "taken"]
        moved = bucket.move_blob(blob, "b/new")
        assert (moved.metadata, moved.content_type) == ({"k": "v"}, "text/csv")
        assert (moved.download_as_bytes(), moved.generation > blob.generation) == (b"x", True)
        assert names(client, bucket) == ["b/new", "taken"]
        for wrong in ("b", "taken/x", "folder/"):  # can't be files
            with pytest.raises(MethodNotImplemented):
                bucket.move_blob(moved, wrong)
        assert bucket.get_blob("b/new").generation == moved.generation
        with pytest.raises(NotFound):
            bucket.move_blob(blob, "c")

    @pytest.mark.parametrize("name", ["a\nb", "a\rb", ".", "..", ".well-known/acme-challenge/x"])
    def test_a_name_that_google_refuses_is_refused(self, bucket, name):
        with pytest.raises(BadRequest, match="Invalid object name"):
            bucket.blob(name).upload_from_string("x")

    def test_parts_of_it_can_be_read(self, bucket):
        blob = bucket.blob("digits")
        blob.upload_from_string("0123456789")
        assert blob.download_as_bytes(start=2, end=4, checksum=None) == b"234"
        assert blob.download_as_bytes(start=8, end=99, checksum=None) == b"89"
        with pytest.raises(Exception, match="416"):
            blob.download_as_bytes(start=10, checksum=None)

    def test_a_checksum_that_does_not_match_is_refused(self, bucket):
        blob = bucket.blob("o")
        blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
        with pytest.raises(BadRequest, match="md5Hash"):
            blob.upload_from_string("x", checksum=None)
        assert not bucket.blob("o").exists()

    def test_deleting_the_last_of_a_folder_leaves_nothing_for_spark(self, root, client, bucket):
        for name in ("a/b/c", "a/d"):
            bucket.blob(name).upload_from_string("x")
        bucket.blob("a/b/c").delete()
        assert not (root / "gcs" / bucket.name / "a/b").exists()
        assert names(client, bucket) == ["a/d"]
        with pytest.raises(NotFound):
            bucket.blob("a/b/c").delete()

    def test_buckets_are_made_once_and_deleted_when_they_are_empty(self, client):
        bucket = client.create_bucket("once")
        with pytest.raises(Conflict):
            client.create_bucket("once")
        bucket.blob("o").upload_from_string("x")
        with pytest.raises(Conflict, match="not empty"):
            bucket.delete()
        bucket.blob("o").delete()
        bucket.delete()
        assert client.lookup_bucket("once") is None
        with pytest.raises(BadRequest, match="Invalid bucket name"):
            client.create_bucket("Once")


class TestUploads:
    def test_a_resumable_one_finds_its_way_back_to_the_server(self, bucket):
        content = os.urandom(3 * MIB)
        blob = bucket.blob("big")
        blob.chunk_size = MIB
        with blob.open("wb") as file:
            file.write(content)
        assert bucket.blob("big").download_as_bytes() == content

    def test_a_resumable_one_goes_on_after_a_kill(self, tmp_path):
        content = os.urandom(2 * MIB)
        with storage_process(tmp_path) as (url, process):
            storage_client(url).create_bucket("kept")
            begun = requests.post(
                f"{url}/upload/storage/v1/b/kept/o?uploadType=resumable&name=o", json={}, timeout=30
            )
            session = begun.headers["Location"]
            half = {"Content-Range": f"bytes 0-{MIB - 1}/{2 * MIB}"}
            answer = requests.put(session, content[:MIB], headers=half, timeout=30)
            assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{MIB - 1}")
            process.end(signal.SIGKILL)
        port = int(url.rpartition(":")[2])
        with cloud_storage(tmp_path, port):
            rest = {"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/{2 * MIB}"}
            for _ in range(2):  # the second time, as if the first answer had been lost
                answer = requests.put(session, content[MIB:], headers=rest, timeout=30)
                assert answer.json()["size"] == str(2 * MIB)
            blob = storage_client(url).bucket("kept").get_blob("o")
            assert blob.download_as_bytes() == content
            assert str(blob.generation) == answer.json()["generation"]

    def test_a_resumable_one_can_be_given_up(self, root, bucket):
        begun = bucket.blob("given-up").create_resumable_upload_session(size=2)
        part = {"Content-Range": "bytes 0-0/2"}
        assert requests.put(begun, b"a", headers=part, timeout=30).status_code == 308
        assert requests.delete(begun, timeout=30).status_code == 499
        rest = {"Content-Range": "bytes 1-1/2"}
        assert requests.put(begun, b"b", headers=rest, timeout=30).status_code == 404
        assert requests.delete(begun, timeout=30).status_code == 404
        assert not bucket.blob("given-up").exists()
        assert not list((root / "gcs/.unfinished").glob(f"*{begun.rpartition('=')[2]}*"))

    def test_content_may_look_like_the_end_of_a_part(self, bucket):
        content = b"--boundary--\r\n\r\n--==\r\n" * 3
        bucket.blob("odd").upload_from_string(content)
        assert bucket.blob("odd").download_as_bytes() == content


class TestPreconditions:
    def test_one_of_many_uploads_wins(self, bucket):
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

    def test_they_hold_for_every_call(self, bucket):
        source = bucket.blob("source")
        source.upload_from_string("s")
        old = source.generation
        source.upload_from_string("t")
        target = bucket.blob("target")
        target.upload_from_string("x")
        wrong = [
            lambda: target.rewrite(bucket.blob("source"), if_source_generation_match=old),
            lambda: target.rewrite(source, if_generation_match=0),
            lambda: bucket.blob("target").compose([source], if_generation_match=0),
            lambda: target.compose([bucket.blob("source")], if_source_generation_match=[old]),
            lambda: source.delete(if_generation_match=old),
            lambda: source.delete(if_metageneration_match=2),
            lambda: source.patch(if_metageneration_match=2),
            lambda: source.reload(if_generation_match=old),
            lambda: source.download_as_bytes(if_generation_match=old),
        ]
        for call in wrong:
            with pytest.raises(PreconditionFailed):
                call()
        with pytest.raises(NotModified):
            source.reload(if_generation_not_match=source.generation)
        assert target.download_as_text() == "x"
        assert source.download_as_text() == "t"


class TestCopies:
    def test_a_rewrite_keeps_metadata_and_checksums(self, bucket):
        source = bucket.blob("a/source")
        source.metadata = {"k": "v"}
        source.upload_from_string("content", content_type="text/csv")
        target = bucket.blob("target")
        assert target.rewrite(source) == (None, 7, 7)
        target.reload()
        assert (target.metadata, target.content_type) == ({"k": "v"}, "text/csv")
        assert target.crc32c == source.crc32c
        assert bucket.copy_blob(source, bucket, "copy").md5_hash == source.md5_hash

    def test_a_rewrite_in_parts_goes_on_by_its_token(self, url, bucket):
        content = os.urandom(3 * MIB - 5)
        source = bucket.blob("source")
        source.upload_from_string(content)
        target = f"{url}/storage/v1/b/{bucket.name}/o/source/rewriteTo/b/{bucket.name}/o/target"
        step = {"maxBytesRewrittenPerCall": str(MIB)}
        first = requests.post(target, params=step, timeout=30).json()
        assert (first["done"], first["totalBytesRewritten"]) == (False, str(MIB))
        token = {"rewriteToken": first["rewriteToken"]}
        other = target.removesuffix("target") + "other"
        assert requests.post(other, params=step | token, timeout=30).status_code == 400
        blob = bucket.blob("target")
        assert blob.rewrite(source, token=first["rewriteToken"]) == (
            None,
            len(content),
            len(content),
        )
        assert blob.download_as_bytes() == content

    def test_composing_concatenates(self, bucket):
        for name in ("a", "b"):
            bucket.blob(name).upload_from_string(name * 3)
        whole = bucket.blob("whole")
        whole.content_type = "text/plain"
        whole.compose([bucket.blob("a"), bucket.blob("b"), bucket.blob("a")])
        assert whole.download_as_text() == "aaabbbaaa"
        whole.reload()
        assert (whole.component_count, whole.md5_hash) == (3, None)
        with pytest.raises(NotFound, match="none"):
            whole.compose([bucket.blob("a"), bucket.blob("none")])
        with pytest.raises(BadRequest, match="33"):
            whole.compose([bucket.blob("a")] * 33)


class TestLists:
    @pytest.fixture
    def filled(self, bucket):
        for name in ("in/1.csv", "in/2.csv", "in/deep/3.csv", "in/4.txt", "z"):
            bucket.blob(name).upload_from_string("x")
        return bucket

    def test_prefixes_offsets_and_folders(self, client, filled):
        assert names(client, filled, prefix="in/d") == ["in/deep/3.csv"]
        assert names(client, filled, start_offset="in/2", end_offset="in/d") == [
            "in/2.csv",
            "in/4.txt",
        ]
        listed = client.list_blobs(filled, prefix="in/", delimiter="/")
        assert [blob.name for blob in listed] == ["in/1.csv", "in/2.csv", "in/4.txt"]
        assert listed.prefixes == {"in/deep/"}

    def test_buckets_come_in_pages(self, client):
        made = [f"paged-{letter}" for letter in "abc"]
        for name in made:
            client.create_bucket(name)
        pages = client.list_buckets(prefix="paged-", page_size=2).pages
        assert [[bucket.name for bucket in page] for page in pages] == [made[:2], made[2:]]

    def test_pages(self, client, filled):
        pages = [list(page) for page in client.list_blobs(filled, page_size=2).pages]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert sorted(blob.name for page in pages for blob in page) == names(client, filled)

    @pytest.mark.parametrize(
        ("glob", "found"),
        [
            ("in/*.csv", ["in/1.csv", "in/2.csv"]),
            ("in/**.csv", ["in/1.csv", "in/2.csv", "in/deep/3.csv"]),
            ("**/3.csv", ["in/deep/3.csv"]),
            ("in/[!1].???", ["in/2.csv", "in/4.txt"]),
            ("{z,in/4.*}", ["in/4.txt", "z"]),
            ("nothing*", []),
        ],
    )
    def test_globs(self, client, filled, glob, found):
        assert names(client, filled, match_glob=glob) == found

    def test_a_glob_takes_dots_and_escapes_literally(self):
        assert compiled(r"a.\*").fullmatch("a.*")
        assert not compiled("a.c").fullmatch("abc")


class TestFilesOfOthers:
    def test_a_file_that_something_else_wrote_is_an_object(self, root, client, bucket):
        folder = root / "gcs" / bucket.name / "out"
        folder.mkdir()
        (folder / "part-0.parquet").write_bytes(b"PAR1")
        (folder / ".unfinished").write_bytes(b"")
        (blob,) = client.list_blobs(bucket)
        assert (blob.name, blob.size, blob.generation > 0) == ("out/part-0.parquet", 4, True)
        assert blob.download_as_bytes(checksum="crc32c") == b"PAR1"
        assert blob.download_as_bytes(checksum="md5") == b"PAR1"
        assert bucket.get_blob(blob.name).generation == blob.generation

    def test_an_object_that_is_written_as_a_file_is_another_generation(self, root, bucket):
        bucket.blob("growing").upload_from_string("one")
        before = bucket.get_blob("growing").generation
        file = root / "gcs" / bucket.name / "growing"
        file.write_bytes(b"two and more")
        blob = bucket.get_blob("growing")
        assert blob.generation != before
        assert blob.download_as_bytes(checksum="md5") == b"two and more"


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"[" * 100_000, rb'{"name": "\ud800"}'])
def test_a_body_that_is_no_json_object_is_the_callers_mistake(client, body):
    url = f"{client._connection.API_BASE_URL}/storage/v1/b"
    answer = requests.post(url, body, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Parse Error: ")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("o?maxResults=x", None),
        ("o/a?ifGenerationMatch=x", None),
        ("o/a/rewriteTo/b/{bucket}/o/b?maxBytesRewrittenPerCall=x", {}),
        ("o/b/compose", {"sourceObjects": [{}]}),
    ],
)
def test_a_request_that_is_wrong_is_the_callers_mistake(client, bucket, path, body):
    bucket.blob("a").upload_from_string("a")
    url = f"{client._connection.API_BASE_URL}/storage/v1/b/{bucket.name}/{path}"
    method = "GET" if body is None else "POST"
    answer = requests.request(method, url.format(bucket=bucket.name), json=body, timeout=30)
    assert answer.status_code == 400, answer.text


def test_many_calls_in_one_request(client, bucket):
    for name in ("a", "b/c d", "e"):
        bucket.blob(name).upload_from_string(name)
    with client.batch():
        bucket.delete_blob("a")
        bucket.delete_blob("b/c d")
        changed = bucket.blob("e")
        changed.metadata = {"k": "v"}
        changed.patch()
    assert [(blob.name, blob.metadata) for blob in client.list_blobs(bucket)] == [("e", {"k": "v"})]
    with pytest.raises(NotFound), client.batch():
        bucket.delete_blob("none")
    url = f"{client._connection.API_BASE_URL}/batch/storage/v1"
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    for call, status in (("GET /storage/v1/b/x/o/y?alt=media", 200), ("POST /batch", 400)):
        body = f"--b\r\nContent-Type: application/http\r\n\r\n{call} HTTP/1.1\r\n\r\n--b--"
        answer = requests.post(url, body, headers=headers, timeout=30)
        assert answer.status_code == status
    assert requests.post(url, "x", headers=headers, timeout=30).status_code == 400
    path = f"/storage/v1/b/{bucket.name}/o/e?alt=media"
    body = f"--b\r\nContent-Type: application/http\r\n\r\nGET {path} HTTP/1.1\r\n\r\n--b--"
    assert requests.post(url, body, headers=headers, timeout=30).status_code == 501


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-0", 206, "bytes 0-0/5"),
        ("bytes=3-9", 206, "bytes 3-4/5"),
        ("bytes=-2", 206, "bytes 3-4/5"),
        ("bytes=-9", 206, "bytes 0-4/5"),
        ("bytes=-0", 416, "bytes */5"),
        ("bytes=5-", 416, "bytes */5"),
        ("bytes=4-2", 200, None),
        ("bytes=a-b", 200, None),
        ("bytes=0-1,3-4", 200, None),
    ],
)
def test_parts_of_an_object_by_their_bytes(bucket, url, wanted, status, part):
    bucket.blob("x").upload_from_string("hello")
    path = f"{url}/download/storage/v1/b/{bucket.name}/o/x?alt=media"
    answer = requests.get(path, headers={"Range": wanted}, timeout=10)
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, part)


def test_no_part_of_an_empty_object(bucket, url):
    bucket.blob("x").upload_from_string("")
    path = f"{url}/download/storage/v1/b/{bucket.name}/o/x?alt=media"
    answer = requests.get(path, headers={"Range": "bytes=-5"}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */0")


def test_content_with_gzip_is_unpacked_for_who_does_not_take_it(bucket, url):
    data = gzip.compress(b"hello")
    for name, cache in (("x", None), ("kept", "no-transform")):
        blob = bucket.blob(name)
        blob.content_encoding, blob.cache_control = "gzip", cache
        blob.upload_from_string(data, content_type="text/plain")

    def read(name, accepted):
        path = f"{url}/download/storage/v1/b/{bucket.name}/o/{name}?alt=media"
        headers = {"Accept-Encoding": accepted}
        with requests.get(path, headers=headers, stream=True, timeout=10) as answer:
            return answer.headers.get("Content-Encoding"), answer.raw.read(decode_content=False)

    assert read("x", "identity") == (None, b"hello")
    assert read("x", "gzip, deflate") == ("gzip", data)
    assert read("kept", "identity") == ("gzip", data)
    assert bucket.blob("x").download_as_bytes(raw_download=True) == data


def test_conditions_of_buckets_and_etags(bucket):
    with pytest.raises(PreconditionFailed):
        bucket.reload(if_metageneration_match=9)
    with pytest.raises(NotModified):
        bucket.reload(if_metageneration_not_match=1)
    with pytest.raises(PreconditionFailed):
        bucket.delete(if_metageneration_match=9)
    blob = bucket.blob("x")
    blob.upload_from_string("a")
    with pytest.raises(NotModified):
        bucket.blob("x").reload(if_etag_not_match=blob.etag)
    with pytest.raises(PreconditionFailed):
        bucket.blob("x").download_as_bytes(if_etag_match="other")
    assert bucket.blob("x").download_as_bytes(if_etag_match=blob.etag) == b"a"
    with pytest.raises(BadRequest, match="storageClass"):
        blob.update_storage_class("COLD")


def test_a_bucket_is_deleted_with_its_objects(client):
    made = client.create_bucket("to-be-deleted")
    made.blob("x/y").upload_from_string("1")
    made.delete(force=True)
    assert not made.exists()


def test_a_bucket_keeps_what_changes_no_answer(client):
    bucket = client.bucket("kept-settings")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.add_lifecycle_delete_rule(age=30)
    bucket.create()
    bucket = client.get_bucket("kept-settings")
    assert bucket.iam_configuration.uniform_bucket_level_access_enabled
    assert bucket.soft_delete_policy.retention_duration_seconds == 0
    assert list(bucket.lifecycle_rules) == [
        {"action": {"type": "Delete"}, "condition": {"age": 30}}
    ]
    bucket.clear_lifecycle_rules()
    bucket.patch()
    assert not list(client.get_bucket("kept-settings").lifecycle_rules)


def test_lines_of_an_upload_may_end_with_a_line_feed_only(client, bucket):
    url = f"{client._connection.API_BASE_URL}/upload/storage/v1/b/{bucket.name}/o"
    content = b"\r\n1\n--b\n2"
    body = (
        b'--b\nContent-Type: application/json\n\n{"name": "lf"}\n--b\nContent-Type: text/x\n\n'
        + content
        + b"\n--b--"
    )
    headers = {"Content-Type": 'multipart/related; boundary="b"'}
    made = requests.post(f"{url}?uploadType=multipart", body, headers=headers, timeout=30)
    assert made.status_code == 200
    assert bucket.blob("lf").download_as_bytes() == content


def test_a_resumable_upload_may_go_on_by_post(client, bucket):
    url = f"{client._connection.API_BASE_URL}/upload/storage/v1/b/{bucket.name}/o"
    begun = requests.post(f"{url}?uploadType=resumable&name=posted", b"{}", timeout=30)
    headers = {"Content-Range": "bytes 0-2/*"}
    going_on = requests.post(begun.headers["Location"], b"\x88ab", headers=headers, timeout=30)
    assert (going_on.status_code, going_on.headers["Range"]) == (308, "bytes=0-2")
    headers = {"Content-Range": "bytes 3-3/4"}
    requests.post(begun.headers["Location"], b"c", headers=headers, timeout=30)
    assert bucket.blob("posted").download_as_bytes() == b"\x88abc"


class TestWhatIsNotThere:
    def test_it_is_refused_by_name(self, client, bucket):
        with pytest.raises(MethodNotImplemented, match="softDeleted"):
            list(client.list_blobs(bucket, soft_deleted=True))
        versioned = client.bucket("versioned")
        versioned.versioning_enabled = True
        with pytest.raises(MethodNotImplemented, match="versioning"):
            versioned.create()
        held = bucket.blob("held")
        held.upload_from_string("x")
        held.temporary_hold = True
        with pytest.raises(MethodNotImplemented, match="temporaryHold"):
            held.patch()
        with pytest.raises(MethodNotImplemented, match="notificationConfigs"):
            list(bucket.list_notifications())
        with pytest.raises(MethodNotImplemented, match="names of files"):
            bucket.blob("folder//a").upload_from_string("")

    def test_a_name_never_leads_out_of_its_bucket(self, root, bucket):
        (root / "secret").write_text("s")
        for name in ("../../secret", "a/../../../secret", "/etc/passwd"):
            with pytest.raises(MethodNotImplemented):
                bucket.blob(name).download_as_bytes()

    def test_faults_meet_the_requests_that_they_are_for(self, url, bucket):
        fault = {"status": 503, "path": "/o/a$", "method": "GET"}
        request = urllib.request.Request(f"{url}/-/faults", json.dumps(fault).encode())
        urllib.request.urlopen(request, timeout=30).close()
        for name in ("a", "b"):
            bucket.blob(name).upload_from_string("x")
        bucket.get_blob("b")
        with pytest.raises(ServiceUnavailable):
            bucket.get_blob("a", retry=None)
        assert bucket.get_blob("a").size == 1


def test_two_servers_cannot_share_a_directory(root, url):
    with storage_process(root, wait=False) as (_, process):
        assert process.wait(30) == 1
    assert "another local Cloud Storage serves" in (root / "gcs.log").read_text()


def test_a_file_system_without_attributes_is_refused_with_a_reason(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    with pytest.raises(CannotStart, match="extended file attributes") as error:
        attributes.check(tmp_path / "gcs")
    assert str(tmp_path / "gcs") in str(error.value)
    assert list((tmp_path / "gcs").iterdir()) == []


def test_the_server_ends_well_when_it_is_told_to(tmp_path):
    with storage_process(tmp_path) as (url, process):
        assert healthy(url)
        assert process.end() == 0
        assert not healthy(url)


def test_an_object_may_be_the_marker_of_a_folder(client, bucket):
    """As Google's console makes them: a name that ends in /, no bytes."""
    for name in ("inbox/", "inbox/deep/"):
        bucket.blob(name).upload_from_string("")
    bucket.blob("inbox/a").upload_from_string("x")
    listed = [blob.name for blob in client.list_blobs(bucket)]
    assert listed == ["inbox/", "inbox/a", "inbox/deep/"]
    top = client.list_blobs(bucket, delimiter="/", prefix="inbox/")
    assert [blob.name for blob in top] == ["inbox/", "inbox/a"]
    assert top.prefixes == {"inbox/deep/"}
    assert bucket.get_blob("inbox/").size == 0
    with pytest.raises(MethodNotImplemented, match="with content"):
        bucket.blob("full/").upload_from_string("x", retry=None)
    bucket.blob("inbox/").delete()
    assert bucket.get_blob("inbox/") is None
    assert bucket.blob("inbox/a").download_as_bytes() == b"x"
