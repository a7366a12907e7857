"""An installation in memory, for tests of what talks to one."""

from __future__ import annotations

import fakeredis
import pytest
import redis

from tests.support.installation import Installation

# Of servers that tests have had: the engine's functions, which take 7 ms to compile.
_functions = []


@pytest.fixture
def server():
    """A Redis in memory; empty, but with the functions of one that an earlier test had."""
    server = fakeredis.FakeServer()
    server._lua_functions = _functions.pop() if _functions else None
    yield server
    if server._lua_functions is not None:
        _functions.append(server._lua_functions)
        server._lua_functions = None  # whatever still uses it compiles its own


@pytest.fixture
def connection(server, monkeypatch, tmp_path):
    """A Redis in memory, to which every client connects whatever its URL; nobody's history."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))

    def connect(*_, **__):
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    monkeypatch.setattr(redis.Redis, "from_url", connect)
    return connect()


@pytest.fixture
def installation(connection):
    """A coordinator and a worker on `connection`."""
    return Installation(connection)
