"""The engine equals its reference model under random histories, on fakeredis."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.engine_machine import (
    DEFERRED,
    QUEUES,
    STEPS,
    TIMEOUT,
    WORKERS,
    EngineMachine,
    machine_on,
)

pytestmark = pytest.mark.slow


def machine() -> type[EngineMachine]:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    return machine_on(client)


@pytest.mark.timeout(900)  # hypothesis makes what it found smaller for up to 300 s
def test_engine_equals_the_reference_model() -> None:
    run_state_machine_as_test(
        machine(),
        settings=settings(
            max_examples=10,  # many more on real servers: tests/integration/test_engine_machine.py
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Draws:
    """Draws what is named by the label, in the place of hypothesis."""

    def __init__(self, **named: Any) -> None:
        self.named = named

    def draw(self, _: Any, label: str) -> Any:
        return self.named[label]


@pytest.mark.parametrize("step", sorted({step for step in STEPS if step > 0}))
def test_no_first_step_of_the_clock_is_a_timeout(step: int) -> None:
    history = machine()()
    task = {
        "task_id": "t",
        "operator": "bigquery.query",
        "params": {"sql": "SELECT 1"},
        "dependencies": [],
        "queue": QUEUES[0],
        "trigger_rule": "all_success",
        "retries": 0,
        "allow_failure": False,
        "timeout": TIMEOUT,
    }
    for worker in WORKERS:
        history.heard_of(worker, 0)
    history.worker_slots(QUEUES[0], 1)
    history.submit({"t": task}, 0, 1)
    history.begin_planning(Draws(run="r0"))
    history.go_on_planning(Draws(run="r0", planner=history.newest["r0"]), 3)
    history.work(Draws(queue=QUEUES[0], does=0, group=DEFERRED[0]), ["success"])
    history.time_passes(step)
    history.same()
