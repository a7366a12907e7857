"""Published DAGs equal their reference model under random histories, on real servers."""

from __future__ import annotations

import os
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model import published_machine
from tests.model.backfills_machine import backfill_machine_on
from tests.model.chained_machine import chained_machine_on

pytestmark = pytest.mark.big


@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
@pytest.mark.parametrize(
    ("machine_on", "examples", "steps"),
    [
        pytest.param(published_machine.machine_on, 50, 40, id="published"),
        pytest.param(backfill_machine_on, 10, 40, id="backfills"),
        pytest.param(chained_machine_on, 10, 20, id="runs-that-start-runs"),
    ],
)
def test_it_equals_its_reference_model(
    client_of_each_kind: redis.Redis, machine_on: Any, examples: int, steps: int
) -> None:
    run_state_machine_as_test(
        machine_on(client_of_each_kind),
        settings=settings(
            max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", str(examples))),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
