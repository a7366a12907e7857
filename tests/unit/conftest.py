"""An installation in memory, for tests of what talks to one."""

from __future__ import annotations

import fakeredis
import pytest
import redis

from tests.support.installation import Installation


@pytest.fixture
def connection(monkeypatch, tmp_path):
    """A Redis in memory, to which every client connects whatever its URL; nobody's history."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    server = fakeredis.FakeServer()

    def connect(*_, **__):
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    monkeypatch.setattr(redis.Redis, "from_url", connect)
    return connect()


@pytest.fixture
def installation(connection):
    """A coordinator and a worker on `connection`."""
    return Installation(connection)
