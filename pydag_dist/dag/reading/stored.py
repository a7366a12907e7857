"""Reads the JSON that `Dag.to_json` has written, which was checked before."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import TypeAdapter

from pydag_dist.dag import limits
from pydag_dist.dag.fields import DagFields, Expand, Task, TriggerRule
from pydag_dist.dag.graph import Graph
from pydag_dist.dag.script import ScriptPath

_FIELDS: Final = TypeAdapter(DagFields)
_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "script": ScriptPath.parse,
    "expand": lambda expand: Expand(**expand),
    "trigger_rule": TriggerRule,
}


class NotAsWritten(ValueError):
    """The text is not what `Dag.to_json` writes of a DAG: only a full check says what is wrong."""


def read_stored(text: str) -> tuple[DagFields, dict[str, Task], Graph]:
    """A DAG's fields, its tasks by their ids, and its edges; raises `NotAsWritten`.

    Its tasks were checked when it was submitted, and a check costs more than a plan. What is
    looked at all the same is what a planner can't do without: ids, their types, and edges that
    lead somewhere and in no circle.
    """
    try:
        if len(text) > limits.DAG_BYTES:
            raise ValueError  # noqa: TRY301
        content = json.loads(text)
        raw = content.pop("tasks")
        fields = _FIELDS.validate_python(content)
        _ = fields.schedule  # its dates are read
        tasks = {task["task_id"]: _task(task, fields.retries) for task in raw}
        graph = Graph({task_id: task.dependencies for task_id, task in tasks.items()})
        graph.check()
        if not len(raw) == len(tasks) <= limits.TASKS or not tasks:
            raise ValueError  # noqa: TRY301
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise NotAsWritten from error
    return fields, tasks, graph


def _task(raw: dict[str, Any], retries: int) -> Task:
    for name in _READ.keys() & raw.keys():
        raw[name] = _READ[name](raw[name])
    raw.setdefault("retries", retries)
    task = Task(**raw)
    if type(task.task_id) is not str or type(task.params) is not dict or not task.operator:
        raise TypeError
    return task
