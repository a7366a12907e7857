"""The servers behind every other test keep what they answered for."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from pydag_dist.errors import LocalServiceError
from tests.support.redis_server import SERVER_KINDS, RedisServer, server_binary


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_an_append_only_server_keeps_answered_writes_through_kill_9(kind: str, tmp_path: Path):
    with RedisServer(server_binary(kind), tmp_path) as server:
        client = redis.Redis.from_url(server.url)
        client.set("answered", "yes")
        port = server.port
        server.kill()
        server.start()
        assert server.port == port
        assert client.get("answered") == b"yes"
        client.close()


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_the_server_refuses_writes_rather_than_evict(kind: str, tmp_path: Path):
    with (
        RedisServer(server_binary(kind), tmp_path) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.info("memory")["maxmemory_policy"] == "noeviction"


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path):
    with RedisServer(server_binary("valkey"), tmp_path / "one") as server:
        second = RedisServer(server_binary("valkey"), tmp_path / "two", port=server.port)
        with pytest.raises(LocalServiceError, match="Address already in use"):
            second.start()
