"""What an operator is given: one try of a task, and what the worker lends to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from pydantic import BaseModel

from pydag_dist.dag.planning import results
from workers.settings import WorkerSettings

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class TaskContext:
    """One try of one task, and what the worker lends to it."""

    run_id: str
    dag_id: str
    task_id: str
    try_number: int
    operator: str
    script: str | None
    params: dict[str, Any]
    script_cache: bool
    expire_cache: int  # seconds; 0: for ever
    log: logging.Logger  # its lines go to the task's log
    settings: WorkerSettings
    redis: redis.Redis  # with decode_responses; operators keep cached scripts and budgets there
    key_prefix: str = "pydag"
    branch: dict[str, Any] | None = None  # of a branch: its downstream tasks, what each reaches
    # Tasks that are expanded over the result, and where in it their lists are.
    expanded_by: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    budget_bytes: int | None = None  # that the run's queries may bill
    cache_seconds: float | None = None  # that its result is kept, of a task with `cache`
    # Whether the try was begun before, perhaps: then its job may be there, whatever a submit says.
    is_repeated: bool = False


def parsed_params(context: TaskContext, model: type[Model]) -> Model:
    """The task's params as `model`; a final `TaskFailed` with every problem."""
    return results.parsed(context.operator, context.params, model)
