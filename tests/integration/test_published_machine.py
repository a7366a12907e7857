"""Published DAGs equal their reference model under random histories, on real servers."""

from __future__ import annotations

import os

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.backfills_machine import backfill_machine_on
from tests.model.chained_machine import chained_machine_on
from tests.model.published_machine import machine_on

pytestmark = pytest.mark.big


@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_published_dags_equal_their_reference_model(client_of_each_kind: redis.Redis) -> None:
    run_state_machine_as_test(
        machine_on(client_of_each_kind),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "100")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)
def test_backfills_equal_their_reference_model(client_of_each_kind: redis.Redis) -> None:
    run_state_machine_as_test(
        backfill_machine_on(client_of_each_kind),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "20")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)
def test_runs_that_start_runs_equal_their_reference_model(
    client_of_each_kind: redis.Redis,
) -> None:
    run_state_machine_as_test(
        chained_machine_on(client_of_each_kind),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "20")),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
