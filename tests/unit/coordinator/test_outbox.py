"""What is sent on the side: again while its receiver is away, bounded, never waited for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from pydag_dist.coordinator.line import Line
from pydag_dist.coordinator.watching import outbox as module
from pydag_dist.coordinator.watching.outbox import Outbox
from tests.support import wait_until
from tests.support.collector import Collector


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(module, "FIRST_DELAY", 0.001)


@contextmanager
def sending(url: str, headers: Any = None) -> Iterator[Outbox[str]]:
    stopping = threading.Event()

    def bodies(thing: str) -> list[bytes]:
        if thing == "bad":
            raise ValueError("a bug")
        return [thing.encode()]

    outbox = Outbox("traces", Line(url, headers or {}), bodies, stopping)
    thread = threading.Thread(target=outbox.run)
    thread.start()
    yield outbox
    stopping.set()
    thread.join()


def test_it_is_sent_in_order_and_again_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Collector(statuses=(503, 429)) as there, sending(there.url, {"X-Key": "k"}) as outbox:
        outbox.put_all(["a", "b"])
        wait_until(lambda: len(there.taken) == 2, "both are there")
    assert [each.body for each in there.taken] == [b"a", b"b"]
    assert there.taken[0].headers["x-key"] == "k"
    assert caplog.text.count("traces wait for their receiver: status 503") == 1
    assert "traces go on; 0 were left out" in caplog.text


@pytest.mark.parametrize(("closes", "connections"), [(False, 1), (True, 3)])
def test_a_connection_is_kept_as_long_as_the_receiver_keeps_it(
    closes: bool, connections: int
) -> None:
    with Collector(closes=closes) as there, sending(there.url) as outbox:
        outbox.put_all(["a", "b", "c"])
        wait_until(lambda: len(there.taken) == 3, "all are there")
    assert [each.body for each in there.taken] == [b"a", b"b", b"c"]
    assert there.connections == connections


def test_a_receiver_that_drips_is_waited_for_no_longer_than_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pydag_dist.coordinator.line.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_drip, args=(server,))
        thread.start()
        line = Line(f"http://127.0.0.1:{server.getsockname()[1]}/x", {})
        assert line.post(b"a") == "no answer in 0.2 s"
        thread.join()


def test_a_header_that_cannot_be_sent_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with Collector() as there:
        with closing(Line(there.url, {"X-Key": "T0KEN\n"})) as line:
            assert line.post(b"a") is None
        assert there.taken[0].headers["x-key"] == "T0KEN"
        assert Line(there.url, {"X-Key": "T0\nKEN"}).post(b"a") == "ValueError"
        with sending(there.url, {"X-Key": "T0\nKEN"}) as outbox:
            outbox.put_all(["a"])
            wait_until(lambda: "traces wait for their receiver: ValueError" in caplog.text, "told")
    assert "KEN" not in caplog.text


def _drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"x" * 10_000:
            connection.send(bytes([byte]))
            time.sleep(0.01)


def test_what_is_refused_is_left_out_at_once() -> None:
    with Collector(statuses=(400,)) as there, sending(there.url) as outbox:
        outbox.put_all(["refused", "b"])
        wait_until(lambda: there.taken, "the next one is there")
    assert ([each.body for each in there.taken], there.asked) == ([b"b"], 2)


def test_what_can_not_be_made_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with Collector() as there, sending(there.url) as outbox:
        outbox.put_all(["bad", "b"])
        wait_until(lambda: there.taken, "the next one is there")
    assert "a bug" in caplog.text


def test_what_waits_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "WAITING", 3)
    outbox = Outbox[str](
        "traces", Line("http://127.0.0.1:1/T0KEN", {}), lambda _: [], threading.Event()
    )
    outbox.put_all(map(str, range(100)))
    assert caplog.text.count("traces wait for their receiver: it takes less than there is") == 1


def test_a_stop_does_not_wait_for_a_receiver_that_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sending("http://127.0.0.1:1/T0KEN") as outbox:
        outbox.put_all(["a", "b", "c"])
        wait_until(lambda: "wait for their receiver" in caplog.text, "it was tried")
    assert "T0KEN" not in caplog.text


def test_a_stop_sends_what_waits() -> None:
    with Collector() as there:
        with sending(there.url) as outbox:
            outbox.put_all(map(str, range(20)))
        assert len(there.taken) == 20
