"""What is told to many at once reaches each of them once and in order, however slowly it reads."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from pydag_dist.web.entry.connections import Connection
from pydag_dist.web.live import topic as topics
from pydag_dist.web.live.hub import follow
from pydag_dist.web.live.topic import Topic, frame
from pydag_dist.web.routes.live import _Admitted

FRAMES, PADDING = 100, 100_000  # together more than the buffers of a connection


class Numbers(Topic):
    """Tells the numbers from 1 on."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0

    def snapshot(self) -> bytes:
        return frame("snapshot", {"last": self.last})

    def tell(self) -> None:
        with self.lock:
            self.last += 1
            self.add(frame("changes", {"last": self.last, "padding": "x" * PADDING}))
            if self.last == FRAMES:
                self.add(frame("end", {}))
                self.is_over = True
        self.wake()


@pytest.fixture
def told(monkeypatch):
    """How often a frame was written to a connection by the topic; False: that one was too slow."""
    found = []

    def tell(connection, chunk):
        found.append(tell.before(connection, chunk))
        return found[-1]

    tell.before = Connection.tell
    monkeypatch.setattr(Connection, "tell", tell)
    return found


@pytest.fixture
def served(told):
    """A topic, and the port of its stream."""
    numbers = Numbers()

    async def app(scope, receive, send):
        stream = follow(numbers, None, "", scope["wire"])
        await _Admitted(lambda: None, stream, {})(scope, receive, send)

    config = uvicorn.Config(app, http=Connection, ws="none", log_config=None, lifespan="off")
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield numbers, listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def connected(port):
    """A stream of which the snapshot has been read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    while b"snapshot" not in answer.readline():
        pass
    return connection, answer


def read(stream, seen=lambda _: None):
    """The kinds of the frames, each number being one more than the last, and the last one."""
    connection, answer = stream
    kinds, last = [], 0
    while line := answer.readline():
        name, _, value = line.decode().rstrip().partition(": ")
        if name == "event":
            kinds.append(value)
        elif name == "data" and (number := json.loads(value).get("last")):
            assert kinds[-1] == "snapshot" or number == last + 1
            last = number
            seen(last)
    connection.close()
    return kinds, last


def test_each_gets_all_in_order_and_who_is_slow_is_told_anew(served, told, monkeypatch):
    monkeypatch.setattr(topics, "RING_BYTES", 10 * PADDING)
    numbers, port = served
    quick, slow, seen = [connected(port) for _ in range(5)], connected(port), queue.Queue()
    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read, each, seen.put) for each in quick]
        for number in range(1, FRAMES + 1):
            numbers.tell()
            assert {seen.get(timeout=30) for _ in quick} == {number}
        found = [each.result() for each in reading]
    assert [last for _, last in found] == [FRAMES] * 5
    kinds, last = read(slow)
    assert (last, "reset" in kinds) == (FRAMES, True)
    assert told.count(True) > FRAMES
    assert not numbers._viewers
