"""Reading a driver's output while it grows, against objects in memory."""

from __future__ import annotations

import pytest
import requests
from google.api_core.exceptions import Forbidden, NotFound, RequestRangeNotSatisfiable

from tests.unit.workers.support import Log, context
from workers.google import clients
from workers.google.access import Access
from workers.operators.dataproc import driver_output
from workers.operators.dataproc.driver_output import follow, last_lines, new_cursor

URI = "gs://staging/jobs/1/driveroutput"


class Storage:
    """The one call that is used of a storage client."""

    def __init__(self):
        self.objects: dict[int, bytes] = {}
        self.error: Exception | None = None
        self.passing: list[Exception] = []

    def bucket(self, name):
        assert name == "staging"
        return self

    def blob(self, name):
        self.part = int(name.removeprefix("jobs/1/driveroutput."))
        return self

    def download_as_bytes(self, start, end, **_options):
        if self.error:
            raise self.error
        if self.passing:
            raise self.passing.pop()
        if self.part not in self.objects:
            raise NotFound("no object")
        data = self.objects[self.part]
        if start >= len(data):
            raise RequestRangeNotSatisfiable("416")
        return data[start : end + 1]


class Reader:
    """A poll after the other."""

    def __init__(self):
        self.cursor = new_cursor()
        self.log = Log()

    def read(self, *, over=False):
        self.log.lines.clear()
        access = Access(None, None, "US")
        follow(context(log=self.log), access, URI, self.cursor, over=over)
        return list(self.log.lines)


@pytest.fixture
def storage(monkeypatch):
    storage = Storage()
    monkeypatch.setattr(clients, "storage_client", lambda _access: storage)
    return storage


def test_only_new_lines_are_read(storage):
    reader = Reader()
    assert reader.read() == []
    storage.objects[0] = b"one\ntwo\n"
    assert reader.read() == ["one", "two"]
    assert reader.read() == []
    storage.objects[0] += b"three\n"
    assert reader.read() == ["three"]


def test_a_line_is_waited_for_until_the_job_is_over(storage):
    reader = Reader()
    storage.objects[0] = "one\ntw\u00f6".encode()[:-1]
    assert reader.read() == ["one"]
    storage.objects[0] = "one\ntw\u00f6".encode()
    assert reader.read() == []
    assert reader.read(over=True) == ["tw\u00f6"]
    assert reader.read(over=True) == []


def test_parts_follow_each_other(storage):
    reader = Reader()
    storage.objects = {0: b"one\n", 1: b"two\n"}
    assert reader.read() == ["one", "two"]
    storage.objects[2] = b"three"
    storage.objects[3] = b"\nfour\n"
    assert reader.read() == ["three", "", "four"]


def test_much_output_is_read_in_chunks(storage, monkeypatch):
    monkeypatch.setattr(driver_output, "_CHUNK", 10)
    storage.objects[0] = b"1\n22\n333\n4444\n" + b"x" * 25 + b"\nend\n"
    assert Reader().read() == ["1", "22", "333", "4444", "x" * 10, "x" * 10, "x" * 5, "end"]


def test_output_that_cannot_be_read_is_said_once_and_fails_nothing(storage):
    reader = Reader()
    storage.error = Forbidden("no access")
    assert len(reader.read()) == 1
    assert reader.read() == []
    storage.error = None
    storage.objects[0] = b"one\n"
    assert reader.read() == ["one"]


def test_an_error_that_passes_is_not_worth_a_word(storage, monkeypatch):
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _seconds: None)
    storage.objects[0] = b"one\n"
    storage.passing.append(requests.exceptions.ConnectionError("reset"))
    assert Reader().read() == ["one"]


def test_the_last_lines_are_without_sparks_chatter(storage):
    reader = Reader()
    storage.objects[0] = (
        b"26/01/01 00:00:00 INFO SparkContext: running\n"
        b"Traceback (most recent call last):\n"
        b"26/01/01 00:00:00 ERROR Executor: failed\n"
        b"ValueError: mine\n"
    )
    reader.read()
    assert last_lines(reader.cursor).splitlines() == [
        "Traceback (most recent call last):",
        "26/01/01 00:00:00 ERROR Executor: failed",
        "ValueError: mine",
    ]
