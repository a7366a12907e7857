"""A distributed DAG executor for Google Cloud pipelines, on Celery and Redis."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydag_dist.client import Client, LogLine, Run
    from pydag_dist.dag import Dag, InvalidDag, Task
    from pydag_dist.errors import Fail, Skip

__all__ = ["Client", "Dag", "Fail", "InvalidDag", "LogLine", "Run", "Skip", "Task"]

_HOMES = {
    "Client": "pydag_dist.client",
    "Dag": "pydag_dist.dag.model",
    "Fail": "pydag_dist.errors",
    "InvalidDag": "pydag_dist.errors",
    "LogLine": "pydag_dist.client.logs",
    "Run": "pydag_dist.client.run",
    "Skip": "pydag_dist.errors",
    "Task": "pydag_dist.dag.fields",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: no part pays for another part's imports."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
