"""The engine's scripts on fakeredis."""

from __future__ import annotations

import fakeredis
import pytest

from tests.support.engine_bench import Bench


@pytest.fixture
def bench() -> Bench:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    return Bench(client)
