"""The task that is measured: nothing, so that what remains is the cost of running a task."""

from __future__ import annotations


def noop() -> None:
    """Do nothing."""
