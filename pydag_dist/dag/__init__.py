"""The model: what a DAG is, how it is read and checked, and what its edges say. No I/O."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydag_dist.dag.fields import Task, TriggerRule
    from pydag_dist.dag.model import Dag
    from pydag_dist.dag.reading.json_schema import schema
    from pydag_dist.dag.script import ScriptPath
    from pydag_dist.errors import InvalidDag, Problem

__all__ = ["Dag", "InvalidDag", "Problem", "ScriptPath", "Task", "TriggerRule", "schema"]

_HOMES = {
    "Dag": "pydag_dist.dag.model",
    "InvalidDag": "pydag_dist.errors",
    "Problem": "pydag_dist.errors",
    "ScriptPath": "pydag_dist.dag.script",
    "Task": "pydag_dist.dag.fields",
    "TriggerRule": "pydag_dist.dag.fields",
    "schema": "pydag_dist.dag.reading.json_schema",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: ids and limits need no pydantic."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
