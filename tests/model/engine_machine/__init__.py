"""Drives the engine and its reference model side by side, and compares them after every step."""

from __future__ import annotations

from tests.model.engine_machine.comparison import WORKERS
from tests.model.engine_machine.dags import QUEUES, TIMEOUT
from tests.model.engine_machine.machine import STEPS, EngineMachine, machine_on
from tests.model.engine_machine.workers import DEFERRED

__all__ = ["DEFERRED", "QUEUES", "STEPS", "TIMEOUT", "WORKERS", "EngineMachine", "machine_on"]
