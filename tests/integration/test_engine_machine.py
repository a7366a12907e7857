"""The engine equals its reference model under random histories, on real servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.engine_machine import machine_on
from tests.support.redis_server import SERVER_KINDS, RedisServer, server_binary

pytestmark = pytest.mark.big


@pytest.fixture(params=SERVER_KINDS)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[redis.Redis]:
    with (
        RedisServer(server_binary(request.param), tmp_path) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        yield client


@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_engine_equals_the_reference_model(client: redis.Redis) -> None:
    run_state_machine_as_test(
        machine_on(client),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "100")),
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
