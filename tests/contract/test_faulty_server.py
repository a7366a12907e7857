"""The faults that tests commit on Redis are those that they mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.acceptance.chaos.links import Link
from tests.faults.faulty_server import FaultyServer, needs_faketime
from tests.support import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def client(server: FaultyServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


def test_a_full_disk_refuses_writes_and_keeps_what_was_written(
    server: FaultyServer, client: Any
) -> None:
    client.set("before", 1)
    server.fill_disk()

    def refused() -> bool:
        try:
            client.set("meanwhile", 1)
        except redis.ResponseError as error:
            return str(error).startswith("MISCONF ")
        return False

    wait_until(refused, "writes are refused")
    assert client.get("before") == "1"
    server.free_disk()
    wait_until(lambda: not refused(), "writes are taken again")
    server.kill()
    server.start()
    assert client.get("meanwhile") == "1"


def test_the_clock_steps_back_and_on(server: FaultyServer, client: Any) -> None:
    needs_faketime()
    for offset in (-7200, 3600, 0):
        server.set_clock(offset)
        # It is looked at again within a second.
        wait_until(lambda: abs(client.time()[0] - time.time() - offset) < 30, f"{offset} s")  # noqa: B023
    server.set_clock(-60)
    server.restart()
    assert client.time()[0] - time.time() == pytest.approx(-60, abs=30)


def test_a_cut_link_closes_nothing_and_what_was_sent_arrives(
    server: FaultyServer, client: Any
) -> None:
    with (
        Link(server.port) as link,
        redis.Redis.from_url(link.url, socket_timeout=2, retry=None) as linked,
    ):
        assert linked.ping()
        link.cut()
        with pytest.raises(redis.TimeoutError):
            linked.incr("sent")
        assert client.get("sent") is None
        link.heal()
        wait_until(lambda: client.get("sent") == "1", "what was sent arrives")
        assert linked.ping()
        server.kill()
        with pytest.raises(redis.ConnectionError):
            linked.ping()
