"""The engine equals its reference model under random histories, on fakeredis."""

from __future__ import annotations

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine_machine import machine_on


def test_engine_equals_the_reference_model() -> None:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    run_state_machine_as_test(
        machine_on(client),
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
