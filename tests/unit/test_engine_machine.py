"""The engine equals its reference model under random histories, on fakeredis."""

from __future__ import annotations

from unittest import mock

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine_machine import EngineMachine


def test_engine_equals_the_reference_model() -> None:
    class Machine(EngineMachine):
        pass

    Machine.client = fakeredis.FakeRedis(decode_responses=True)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
