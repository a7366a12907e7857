"""Runs that start runs equal their reference model under random histories, on fakeredis."""

from __future__ import annotations

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.chained_machine import chained_machine_on


@pytest.mark.big
@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_runs_that_start_runs_equal_their_reference_model() -> None:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    run_state_machine_as_test(
        chained_machine_on(client),
        settings=settings(
            max_examples=5,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
