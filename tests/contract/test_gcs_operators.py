"""The operators of Cloud Storage with Google's own client, over the wire."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
import urllib.request
import uuid

import pytest
from google.cloud.storage import Blob

from pydag_dist.dag.params.gcs import GcsUpload
from tests.support.local_google import cloud_storage, storage_client
from tests.unit.workers.support import Log, context
from workers.contract.answer import Asked
from workers.contract.context import parsed_params
from workers.errors import HostLacks, RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.google.access import access_to
from workers.google.storage import client_of
from workers.operators import Done, Pending, find
from workers.operators.gcs.upload import _files, _Uploader

copy, delete, compose = (find(f"gcs.{name}") for name in ("copy", "delete", "compose"))
move, upload, wait = (find(f"gcs.{name}") for name in ("move", "upload", "wait_object"))


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with cloud_storage(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def bucket(url, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return storage_client(url).create_bucket(f"b-{uuid.uuid4()}")


@pytest.fixture
def other(url, bucket):
    return storage_client(url).create_bucket(f"{bucket.name}-other")


def fill(bucket, *names):
    for name in names:
        bucket.blob(name).upload_from_string(f"content of {name}")


def names(bucket):
    return [blob.name for blob in bucket.list_blobs()]


def generations(bucket):
    return {blob.name: blob.generation for blob in bucket.list_blobs()}


def uri(bucket, name):
    return f"gs://{bucket.name}/{name}"


def fault(url, **fields):
    request = urllib.request.Request(f"{url}/-/faults", json.dumps(fields).encode())
    urllib.request.urlopen(request, timeout=30).close()


def write_before_deleting(bucket, monkeypatch):
    """Somebody writes the object a just before it is deleted."""
    old_delete = Blob.delete

    def late(self, **options):
        bucket.blob("a").upload_from_string("new")
        return old_delete(self, **options)

    monkeypatch.setattr(Blob, "delete", late)


class TestCopy:
    def run(self, source, destination, *, log=None, **params):
        params = {"source": source, "destination": destination, **params}
        return copy.execute(context(params, operator="gcs.copy", log=log))

    def test_an_object_is_copied_once_however_often_it_is_asked_for(self, bucket, other):
        fill(bucket, "a/one")
        source, target = uri(bucket, "a/one"), uri(other, "b/two")
        result = self.run(source, target)
        assert result == {
            "source": source,
            "destination": target,
            "copied": 1,
            "unchanged": 0,
            "bytes": 16,
            "reads": [source],
            "writes": [target],
        }
        before = generations(other)
        assert self.run(source, target) | {"bytes": 16} == result | {"copied": 0, "unchanged": 1}
        assert generations(other) == before
        assert other.blob("b/two").download_as_text() == "content of a/one"

    def test_an_object_into_a_folder_keeps_its_name(self, bucket):
        fill(bucket, "a/one")
        self.run(uri(bucket, "a/one"), uri(bucket, "kept/"))
        assert names(bucket) == ["a/one", "kept/one"]

    def test_all_below_a_folder_or_what_matches(self, bucket, other):
        fill(bucket, "in/1.csv", "in/2.txt", "in/deep/3.csv", "into")
        assert self.run(uri(bucket, "in/"), uri(other, "x/"), match="**.csv")["copied"] == 2
        assert names(other) == ["x/1.csv", "x/deep/3.csv"]
        result = self.run(uri(bucket, "in/"), uri(other, "x/"))
        assert (result["copied"], result["unchanged"]) == (1, 2)
        assert names(other) == ["x/1.csv", "x/2.txt", "x/deep/3.csv"]

    def test_nothing_below_a_folder_is_a_mistake_unless_the_params_say_that_it_is_fine(
        self, bucket, other
    ):
        fill(bucket, "in/1.csv")
        bucket.blob("empty/").upload_from_string("")  # a marker is no object
        for source, params in (("inn/", {}), ("empty/", {}), ("in/", {"match": "*.txt"})):
            with pytest.raises(TaskFailed, match=r"there is no object.* below .*set allow_empty"):
                self.run(uri(bucket, source), uri(other, "x/"), **params)
            done = self.run(uri(bucket, source), uri(other, "x/"), allow_empty=True, **params)
            assert done["copied"] == 0
        assert names(other) == []

    def test_large_objects_take_several_calls(self, bucket):
        content = b"0123456789abcdef" * (130 << 16)  # 130 MiB: a call of the local one takes 64
        bucket.blob("large").upload_from_string(content, checksum=None)
        log = Log()
        self.run(uri(bucket, "large"), uri(bucket, "again"), log=log)
        assert sum("of 136314880 bytes copied" in line for line in log.lines) == 2
        assert bucket.get_blob("again").md5_hash == bucket.get_blob("large").md5_hash

    def test_another_content_is_replaced_unless_that_is_forbidden(self, bucket):
        fill(bucket, "a", "b")
        with pytest.raises(TaskFailed, match="b is there with another content"):
            self.run(uri(bucket, "a"), uri(bucket, "b"), overwrite=False)
        self.run(uri(bucket, "a"), uri(bucket, "b"))
        assert bucket.blob("b").download_as_text() == "content of a"

    def test_what_somebody_else_writes_meanwhile_is_not_lost(self, bucket, monkeypatch):
        fill(bucket, "a", "b")
        rewrite = Blob.rewrite

        def late(self, *args, **options):
            bucket.blob("b").upload_from_string("somebody else's")
            return rewrite(self, *args, **options)

        monkeypatch.setattr(Blob, "rewrite", late)
        with pytest.raises(TaskFailed, match="b was written by somebody else meanwhile"):
            self.run(uri(bucket, "a"), uri(bucket, "b"))
        assert bucket.blob("b").download_as_text() == "somebody else's"

    def test_a_call_whose_answer_was_lost_is_found_done(self, bucket, monkeypatch):
        fill(bucket, "a")
        rewrite, calls = Blob.rewrite, []

        def deaf(self, *args, **options):
            answer = rewrite(self, *args, **options)
            calls.append(answer)
            if len(calls) == 1:
                raise ConnectionError("lost")
            return answer

        monkeypatch.setattr(Blob, "rewrite", deaf)
        assert self.run(uri(bucket, "a"), uri(bucket, "b"))["copied"] == 1
        assert len(calls) == 1
        assert bucket.blob("b").download_as_text() == "content of a"

    def test_a_missing_source_or_bucket_is_named(self, bucket):
        with pytest.raises(TaskFailed, match=f"{uri(bucket, 'none')} is not there"):
            self.run(uri(bucket, "none"), uri(bucket, "b"))
        fill(bucket, "a")
        with pytest.raises(TaskFailed, match="bucket of gs://nowhere-to-be-found/b is not there"):
            self.run(uri(bucket, "a"), "gs://nowhere-to-be-found/b")
        with pytest.raises(TaskFailed, match="nowhere-to-be-found"):
            self.run("gs://nowhere-to-be-found/in/", uri(bucket, "x/"))

    def test_errors_that_pass_are_tried_again(self, url, bucket):
        fill(bucket, "a")
        fault(url, status=503, path="rewriteTo", count=2)
        fault(url, status=429, path="/o/b$", count=1)
        log = Log()
        assert self.run(uri(bucket, "a"), uri(bucket, "b"), log=log)["copied"] == 1
        assert sum("trying again" in line for line in log.lines) == 3

    def test_errors_that_do_not_pass_fail_at_once(self, url, bucket):
        fill(bucket, "a")
        fault(url, status=403, path="rewriteTo", reason="forbidden", message="no access to b")
        log = Log()
        with pytest.raises(TaskFailed, match="forbidden: no access to b"):
            self.run(uri(bucket, "a"), uri(bucket, "b"), log=log)
        assert not [line for line in log.lines if "trying again" in line]


class TestMove:
    def run(self, source, destination, *, fields=None, **params):
        params = {"source": source, "destination": destination, **params}
        return move.execute(context(params, operator="gcs.move", **(fields or {})))

    def test_an_object_is_where_it_was_moved_to_and_nowhere_else(self, bucket, other):
        fill(bucket, "a/one")
        source, target = uri(bucket, "a/one"), uri(other, "b/")
        assert self.run(source, target) == {
            "source": source,
            "destination": target,
            "moved": 1,
            "bytes": 16,
            "reads": [source],
            "writes": [target],
        }
        assert (names(bucket), names(other)) == ([], ["b/one"])
        assert other.blob("b/one").download_as_text() == "content of a/one"
        # Executed again, or by a later try, it was moved; by a first try it is a mistake.
        for fields in ({"is_repeated": True}, {"try_number": 2}):
            assert self.run(source, target, fields=fields)["moved"] == 0
        with pytest.raises(TaskFailed, match=f"{source} is not there"):
            self.run(source, target)

    def test_a_folder_into_a_folder_of_its_own_is_moved_once(self, bucket):
        fill(bucket, "in/1.csv", "in/2.txt", "in/deep/3.csv")
        source, done = uri(bucket, "in/"), uri(bucket, "in/done/")
        assert self.run(source, done, match="**.csv")["moved"] == 2
        assert names(bucket) == ["in/2.txt", "in/done/1.csv", "in/done/deep/3.csv"]
        assert self.run(source, done)["moved"] == 1
        with pytest.raises(TaskFailed, match="there is no object below"):
            self.run(source, done)
        assert self.run(source, done, fields={"is_repeated": True})["moved"] == 0
        assert self.run(source, done, allow_empty=True)["moved"] == 0

    def test_nothing_is_moved_to_itself(self, bucket):
        fill(bucket, "in/1")
        for source in ("in/1", "in/"):
            with pytest.raises(TaskFailed, match=r"are the same|would be moved to itself"):
                self.run(uri(bucket, source), uri(bucket, "in/"))
        assert names(bucket) == ["in/1"]

    def test_what_was_written_meanwhile_stays_where_it_was(self, bucket, monkeypatch):
        fill(bucket, "a")
        write_before_deleting(bucket, monkeypatch)
        self.run(uri(bucket, "a"), uri(bucket, "b"))
        assert bucket.blob("a").download_as_text() == "new"
        assert bucket.blob("b").download_as_text() == "content of a"

    def test_what_could_not_be_copied_is_not_deleted(self, bucket):
        fill(bucket, "a", "b")
        with pytest.raises(TaskFailed, match="b is there with another content"):
            self.run(uri(bucket, "a"), uri(bucket, "b"), overwrite=False)
        assert names(bucket) == ["a", "b"]


class TestUpload:
    def run(self, folder, *, fields=None, **params):
        settings = {"uploads": [str(folder)]} if folder else {}
        task = context(params, operator="gcs.upload", settings=settings, **(fields or {}))
        return upload.execute(task)

    def test_files_and_texts_become_objects(self, bucket, tmp_path):
        (tmp_path / "deep").mkdir()
        (tmp_path / "day.csv").write_text("1,2\n")
        (tmp_path / "deep" / "big").write_bytes(b"0123456789abcdef" * (3 << 20))
        (tmp_path / "link").symlink_to("/etc/passwd")
        target = uri(bucket, "in/")
        result = self.run(tmp_path, source=f"{tmp_path}/", destination=target)
        assert result == {
            "destination": target,
            "uploaded": 2,
            "unchanged": 0,
            "bytes": 4 + (48 << 20),
            "writes": [target],
        }
        assert names(bucket) == ["in/day.csv", "in/deep/big"]
        assert bucket.get_blob("in/day.csv").content_type == "text/csv"
        assert bucket.get_blob("in/deep/big").size == 48 << 20
        before = generations(bucket)
        again = self.run(tmp_path, source=f"{tmp_path}/", destination=target)
        assert (again["uploaded"], again["unchanged"]) == (0, 2)
        assert generations(bucket) == before
        self.run(tmp_path, source=f"{tmp_path}/day.csv", destination=uri(bucket, "one"))
        assert bucket.blob("one").download_as_text() == "1,2\n"
        self.run(None, text="é", destination=uri(bucket, "_SUCCESS"))  # needs no directory
        assert bucket.blob("_SUCCESS").download_as_text() == "é"

    def test_only_what_the_worker_allows_is_read(self, bucket, tmp_path):
        allowed, secret = tmp_path / "exports", tmp_path / "exports2" / "key"
        secret.parent.mkdir()
        secret.write_text("secret")
        allowed.mkdir()
        (allowed / "link").symlink_to(secret)
        (allowed / "folder").symlink_to(secret.parent)
        for source in (
            secret, f"{secret.parent}/", f"{allowed}/link", f"{allowed}/folder/key",
            f"{allowed}/folder/", f"{allowed}/../exports2/key", "/proc/self/environ",
        ):  # fmt: skip
            with pytest.raises(HostLacks, match="no directory that this worker may upload from"):
                self.run(allowed, source=str(source), destination=uri(bucket, "x/"))
        with pytest.raises(HostLacks, match="add one to its setting uploads"):
            self.run(None, source=str(secret), destination=uri(bucket, "x/"))
        assert names(bucket) == []

    def test_a_directory_may_be_reached_by_a_link(self, bucket, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "a").write_text("1")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        for allowed, asked in (("link", "link"), ("link", "real"), ("real", "link")):
            source, destination = f"{tmp_path}/{asked}/a", uri(bucket, "x/")
            self.run(tmp_path / allowed, source=source, destination=destination)
        assert names(bucket) == ["x/a"]

    def test_what_was_not_read_to_its_end_is_not_uploaded(self, bucket, tmp_path):
        (tmp_path / "a").write_bytes(b"x" * (40 << 20))
        params = {"source": f"{tmp_path}/a", "destination": uri(bucket, "a")}
        task = context(params, operator="gcs.upload", settings={"uploads": [str(tmp_path)]})
        stop = threading.Event()
        stop.set()
        made = parsed_params(task, GcsUpload)
        uploader = _Uploader(task, client_of(task, None), made)
        (file,) = _files(task, made)
        assert uploader.upload(file, stop) is None
        assert names(bucket) == []

    def test_what_is_no_file_is_named(self, bucket, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for name, why in (("pipe", "is not a file"), ("none", "No such file"), ("no/", "no file")):
            with pytest.raises(TaskFailed, match=why):
                self.run(tmp_path, source=f"{tmp_path}/{name}", destination=uri(bucket, "x/"))
        with pytest.raises(TaskFailed, match="the bucket of gs://nowhere-to-be-found/x is not"):
            self.run(None, text="", destination="gs://nowhere-to-be-found/x")

    def test_another_content_and_a_lost_answer(self, bucket, monkeypatch):
        fill(bucket, "a")
        with pytest.raises(TaskFailed, match="a is there with another content"):
            self.run(None, text="b", destination=uri(bucket, "a"), overwrite=False)
        old, calls = Blob.upload_from_file, []

        def deaf(self, *args, **options):
            calls.append(1)
            old(self, *args, **options)
            if len(calls) == 1:
                raise ConnectionError("lost")

        monkeypatch.setattr(Blob, "upload_from_file", deaf)
        assert self.run(None, text="b", destination=uri(bucket, "a"))["uploaded"] == 1
        assert len(calls) == 2
        assert bucket.blob("a").download_as_text() == "b"


class TestDelete:
    def run(self, *uris, log=None, **params):
        params = {"uris": list(uris), **params}
        return delete.execute(context(params, operator="gcs.delete", log=log))

    def test_gone_already_is_success(self, bucket):
        fill(bucket, "a", "in/1", "in/2", "into")
        uris, folders = [uri(bucket, "a"), uri(bucket, "none")], [uri(bucket, "in/")]
        assert self.run(*uris, folders=folders) == {"deleted": 3, "missing": 1}
        assert names(bucket) == ["into"]
        assert self.run(*uris, folders=folders) == {"deleted": 0, "missing": 2}

    def test_a_folder_marker_does_not_mean_all_that_is_below(self, bucket):
        """As it could come from a list that a task is expanded over."""
        fill(bucket, "a", "inbox/new")
        bucket.blob("inbox/").upload_from_string("")
        with pytest.raises(TaskFailed, match=r"params of gcs\.delete: uris\[1\]: must be"):
            self.run(uri(bucket, "a"), uri(bucket, "inbox/"))
        assert names(bucket) == ["a", "inbox/", "inbox/new"]
        assert self.run(folders=[uri(bucket, "inbox/")])["deleted"] == 2
        assert names(bucket) == ["a"]

    def test_what_is_written_meanwhile_stays(self, bucket, monkeypatch):
        fill(bucket, "a")
        write_before_deleting(bucket, monkeypatch)
        log = Log()
        assert self.run(uri(bucket, "a"), log=log)["deleted"] == 0
        assert f"{uri(bucket, 'a')} was written meanwhile, and stays" in log.lines
        assert bucket.blob("a").download_as_text() == "new"


class TestCompose:
    def run(self, *sources, destination, **params):
        fields = {"try_number": params.pop("try_number", 1)}
        params = {"sources": list(sources), "destination": destination, **params}
        return compose.execute(context(params, operator="gcs.compose", **fields))

    def test_sources_are_concatenated_in_their_order(self, bucket):
        fill(bucket, "b", "a", "parts/2", "parts/1")
        sources = [uri(bucket, name) for name in ("b", "a", "parts/")]
        result = self.run(*sources, destination=uri(bucket, "all"), content_type="text/csv")
        text = "content of bcontent of acontent of parts/1content of parts/2"
        assert bucket.blob("all").download_as_text() == text
        blob = bucket.get_blob("all")
        assert blob.content_type == "text/csv"
        assert result == {
            "destination": uri(bucket, "all"),
            "sources": 4,
            "bytes": len(text),
            "generation": blob.generation,
            "reads": [uri(bucket, "b"), uri(bucket, "a"), uri(bucket, "parts/")],
            "writes": [uri(bucket, "all")],
        }

    def test_the_same_try_finds_it_done_and_another_makes_it_anew(self, bucket):
        fill(bucket, "a", "b")
        sources, whole = [uri(bucket, "a"), uri(bucket, "b")], uri(bucket, "all")
        first = self.run(*sources, destination=whole)
        assert self.run(*sources, destination=whole) == first
        second = self.run(*sources, destination=whole, try_number=2)
        assert second["generation"] > first["generation"]

    def test_more_than_32_sources_leave_nothing_behind(self, bucket):
        parts = [f"parts/{number:04d}" for number in range(70)]
        fill(bucket, *parts)
        result = self.run(uri(bucket, "parts/"), destination=uri(bucket, "parts/all"))
        assert result["sources"] == 70
        assert bucket.blob("parts/all").download_as_text() == "".join(
            f"content of {part}" for part in parts
        )
        assert names(bucket) == [*parts, "parts/all"]

    def test_a_missing_source_is_named(self, bucket):
        with pytest.raises(TaskFailed, match="none is not there"):
            self.run(uri(bucket, "none"), destination=uri(bucket, "all"))
        with pytest.raises(TaskFailed, match="no object below"):
            self.run(uri(bucket, "none/"), destination=uri(bucket, "all"))

    def test_a_call_whose_answer_was_lost_is_found_done(self, bucket, monkeypatch):
        fill(bucket, "a")
        old_compose, calls = Blob.compose, []

        def deaf(self, *args, **options):
            calls.append(1)
            old_compose(self, *args, **options)
            raise ConnectionError("lost")

        monkeypatch.setattr(Blob, "compose", deaf)
        result = self.run(uri(bucket, "a"), destination=uri(bucket, "all"))
        assert result["generation"] == bucket.get_blob("all").generation
        assert len(calls) == 2


def asked(tasks):
    """The answers that many tasks get together."""
    together = [Asked(task, wait.submit(task)) for task in tasks]
    answers = dict(wait.poll_many(together))
    return [answers[one] for one in together]


class TestTimes:
    def test_only_objects_of_the_wanted_time_are_taken(self, bucket, other):
        fill(bucket, "in/1")
        between = bucket.get_blob("in/1").time_created
        fill(bucket, "in/2")
        given = {"source": uri(bucket, "in/"), "destination": uri(other, "")}
        for times, wanted in (("older_than", ["1"]), ("newer_than", ["1", "2"])):
            params = {**given, times: between.isoformat()}
            assert copy.execute(context(params, operator="gcs.copy"))["copied"] == 1
            assert names(other) == wanted
        folders = {"folders": [uri(bucket, "in/")], "older_than": between.isoformat()}
        assert delete.execute(context(folders, operator="gcs.delete"))["deleted"] == 1
        assert names(bucket) == ["in/2"]
        params = {**given, "older_than": between.isoformat()}
        with pytest.raises(TaskFailed, match="no object of the wanted time below"):
            copy.execute(context(params, operator="gcs.copy"))

    def test_a_whole_bucket_is_a_folder(self, bucket, other):
        fill(bucket, "a", "in/1")
        params = {"source": uri(bucket, ""), "destination": uri(other, "kept/")}
        assert copy.execute(context(params, operator="gcs.copy"))["copied"] == 2
        assert names(other) == ["kept/a", "kept/in/1"]
        params = {"source": uri(bucket, "in/1"), "destination": uri(other, "")}
        assert copy.execute(context(params, operator="gcs.copy"))["copied"] == 1
        assert other.blob("1").exists()


class TestWait:
    def task(self, **params):
        return context(params, operator="gcs.wait_object")

    def ask(self, **params):
        task = self.task(**params)
        return wait.poll(task, wait.submit(task))

    def test_an_object(self, bucket):
        fill(bucket, "in/ab")
        target = uri(bucket, "in/a")
        assert self.ask(object=target) == Pending(f"object {target}: 0 of 1")
        fill(bucket, "in/a")
        done = self.ask(object=target)
        assert isinstance(done, Done)
        newest = bucket.get_blob("in/a").time_created.isoformat()
        assert done.result == {"count": 1, "bytes": 15, "newest": newest, "objects": [target]}

    def test_a_prefix_and_a_number_of_objects(self, bucket):
        fill(bucket, "in/part-1", "in/part-2", "in/other")
        found = self.ask(prefix=uri(bucket, "in/part-"), min_objects=2)
        assert found.result["objects"] == [uri(bucket, "in/part-1"), uri(bucket, "in/part-2")]
        assert self.ask(prefix=uri(bucket, "in/part-"), min_objects=3) == Pending(
            f"prefix {uri(bucket, 'in/part-')}: 2 of 3"
        )

    def test_nothing_was_written_for_a_while(self, bucket):
        fill(bucket, "in/1", "in/2")
        prefix = uri(bucket, "in/")
        waits = self.ask(prefix=prefix, quiet_for=3600)
        newest = bucket.get_blob("in/2").time_created.isoformat()
        assert waits == Pending(
            f"prefix {prefix}: 2, the newest written {newest}, less than 3600 s ago"
        )
        time.sleep(0.02)  # what is asked for is that time passes
        assert self.ask(prefix=prefix, quiet_for=0.01).result["count"] == 2
        assert isinstance(self.ask(prefix=prefix, quiet_for=0.01, min_objects=3), Pending)
        assert isinstance(self.ask(prefix=uri(bucket, "none/"), quiet_for=0.01), Pending)

    def test_no_object_is_there_any_more(self, bucket):
        fill(bucket, "in/lock", "in/other")
        bucket.blob("out/").upload_from_string("")  # a marker is no object
        lock = uri(bucket, "in/lock")
        assert self.ask(object=lock, absent=True) == Pending(f"object {lock}: 1 still there")
        bucket.blob("in/lock").delete()
        gone = Done({"count": 0, "bytes": 0, "newest": None, "objects": []})
        assert self.ask(object=lock, absent=True) == gone
        assert isinstance(self.ask(prefix=uri(bucket, "in/"), absent=True), Pending)
        assert self.ask(prefix=uri(bucket, "out/"), absent=True) == gone
        with pytest.raises(TaskFailed, match="bucket nowhere-to-be-found does not exist"):
            self.ask(object="gs://nowhere-to-be-found/x", absent=True)

    def test_a_folder_marker_is_no_object(self, bucket):
        bucket.blob("in/").upload_from_string("")
        for what in ({"prefix": uri(bucket, "in")}, {"glob": uri(bucket, "**")}):
            assert isinstance(self.ask(**what), Pending)
            asked = Asked(self.task(**what), {"connection": None})
            ((_, answer),) = wait.poll_many([asked])
            assert isinstance(answer, Pending)
        fill(bucket, "in/1")
        assert self.ask(prefix=uri(bucket, "in/")).result["objects"] == [uri(bucket, "in/1")]

    def test_a_sensor_that_was_answered_once_takes_no_refusal_for_the_end(self, bucket, url):
        task = self.task(prefix=uri(bucket, "in/"))
        refused = {"path": "/o", "reason": "forbidden", "message": "no"}
        fault(url, status=403, **refused)
        with pytest.raises(TaskFailed, match=r"forbidden: no .*roles/storage\.objectUser"):
            wait.poll(task, wait.submit(task))
        handle = wait.submit(task)
        assert isinstance(wait.poll(task, handle), Pending)
        for status in (401, 403, 404):
            fault(url, status=status, **refused)
            with pytest.raises(RemoteStateUnknown) as unknown:
                wait.poll(task, handle)
            assert unknown.value.lasting
            fault(url, status=status, **refused)
            ((_, answer),) = wait.poll_many([Asked(task, handle)])
            assert isinstance(answer, RemoteStateUnknown)
        fill(bucket, "in/1")
        assert isinstance(wait.poll(task, handle), Done)

    def test_a_glob(self, bucket):
        fill(bucket, "in/1.csv", "in/deep/2.csv", "in/3.txt")
        assert self.ask(glob=uri(bucket, "in/*.csv")).result["objects"] == [uri(bucket, "in/1.csv")]
        assert self.ask(glob=uri(bucket, "in/**.csv")).result["count"] == 2
        assert isinstance(self.ask(glob=uri(bucket, "out/*")), Pending)

    def test_only_what_is_newer_counts(self, bucket):
        fill(bucket, "in/old")
        moment = bucket.get_blob("in/old").time_created
        params = {"prefix": uri(bucket, "in/"), "newer_than": moment.isoformat()}
        assert "0 new of 1, the newest of" in self.ask(**params).state
        fill(bucket, "in/new")
        assert self.ask(**params).result["objects"] == [uri(bucket, "in/new")]
        earlier = (moment - dt.timedelta(seconds=1)).isoformat()
        assert self.ask(prefix=uri(bucket, "in/"), newer_than=earlier).result["count"] == 2

    @pytest.mark.usefixtures("bucket")
    def test_a_bucket_that_is_not_there_fails_at_once(self):
        with pytest.raises(TaskFailed, match="bucket nowhere-to-be-found does not exist"):
            self.ask(object="gs://nowhere-to-be-found/a")

    def test_many_tasks_share_lists(self, bucket, monkeypatch):
        fill(bucket, "in/3", "in/5", "z/a")
        lists = []
        client = clients.storage_client(access_to(context().settings))
        list_blobs = type(client).list_blobs

        def counted(self, *args, **options):
            lists.append(options)
            return list_blobs(self, *args, **options)

        monkeypatch.setattr(type(client), "list_blobs", counted)
        tasks = [self.task(object=uri(bucket, f"in/{number}")) for number in range(7)]
        tasks += [self.task(prefix=uri(bucket, "z/")) for _ in range(5)]
        tasks.append(self.task(object="gs://nowhere-to-be-found/a"))
        answers = asked(tasks)
        assert [isinstance(answer, Done) for answer in answers] == [
            *(number in (3, 5) for number in range(7)),
            *[True] * 5,
            False,
        ]
        assert isinstance(answers[-1], TaskFailed)
        assert len(lists) == 3

    def test_in_a_crowded_folder_the_last_ones_are_looked_for_by_name(self, bucket, monkeypatch):
        monkeypatch.setattr("workers.operators.gcs.wait._MOST_LISTED", 3)
        fill(bucket, *(f"in/{number}" for number in range(1, 8)))
        tasks = [self.task(object=uri(bucket, f"in/{n}")) for n in ("0", "1", "3", "6", "8")]
        found = [isinstance(answer, Done) for answer in asked(tasks)]
        assert found == [False, True, True, True, False]

    def test_a_list_too_long_for_a_result_is_left_out(self, bucket, monkeypatch):
        monkeypatch.setattr("workers.operators.gcs.wait._MOST_JSON", 100)
        fill(bucket, "in/1", "in/2", "in/3")
        result = self.ask(prefix=uri(bucket, "in/")).result
        assert (result["count"], result["objects"]) == (3, None)
