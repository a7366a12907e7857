"""The engine equals its reference model under random histories, on fakeredis."""

from __future__ import annotations

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine_machine import EngineMachine


def test_engine_equals_the_reference_model() -> None:
    class Machine(EngineMachine):
        pass

    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    Machine.client = client
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
