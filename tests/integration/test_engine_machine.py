"""The engine equals its reference model under random histories, on real servers."""

from __future__ import annotations

import os

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.engine_machine import machine_on

pytestmark = pytest.mark.big


@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_engine_equals_the_reference_model(client_of_each_kind: redis.Redis) -> None:
    run_state_machine_as_test(
        machine_on(client_of_each_kind),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "50")),
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
