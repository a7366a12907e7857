"""The spec of a task: what its operator gets to know, besides run, task and try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydag_dist.coordinator.branches import Choice
from pydag_dist.dag import Dag, Task


@dataclass(frozen=True)
class RunParams:
    """What a run was submitted with: params over the DAG's own, and its logical date.

    The logical date is ISO 8601 in UTC, such as ``2026-11-22T18:00:00+00:00``.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    logical_date: str = ""


def spec_of(dag: Dag, task: Task, choice: Choice | None, run: RunParams) -> str:  # noqa: ARG001
    """The spec as JSON; `choice`: of a branch."""
    spec = {
        "dag_id": dag.dag_id,
        "operator": task.operator,
        "script": task.script.path if task.script else None,
        "params": task.params,
        "script_cache": dag.script_cache,
        "expire_cache": dag.expire_cache,
    }
    return json.dumps(spec if choice is None else spec | {"branch": choice})
