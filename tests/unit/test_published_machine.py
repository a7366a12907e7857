"""Published DAGs equal their reference model under random histories, on fakeredis."""

from __future__ import annotations

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.published_machine import machine_on


@pytest.mark.big
@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_published_dags_equal_their_reference_model() -> None:
    run_state_machine_as_test(
        machine_on(fakeredis.FakeRedis(decode_responses=True)),
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
