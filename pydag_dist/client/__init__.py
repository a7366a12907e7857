"""Submitting DAGs and following their runs, from any host that reaches the Redis."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydag_dist.client.client import Client

if TYPE_CHECKING:
    from pydag_dist.client.logs import LogLine
    from pydag_dist.client.resuming import Resumption
    from pydag_dist.client.run import Run

__all__ = ["Client", "LogLine", "Resumption", "Run"]

_HOMES = {"LogLine": "logs", "Resumption": "resuming", "Run": "run"}


def __getattr__(name: str) -> Any:
    """Import what few callers name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
