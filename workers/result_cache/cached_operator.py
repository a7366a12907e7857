"""What an operator tells about a task, so that it need not run again while nothing has changed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.contract.context import TaskContext
from workers.contract.operator import Operator


class NotCached(Exception):
    """Why it can't be told whether anything changed."""


@dataclass(frozen=True)
class Version:
    """A table or some objects at one moment."""

    state: str  # differs after any change
    changed: float  # the last change, epoch seconds by the service's clock


@dataclass(frozen=True)
class Inputs:
    """What decides a task's result: its text and params, and what it reads."""

    about: Mapping[str, Any]  # JSON-able
    reads: Mapping[str, Version]  # by the name of a table or a gs:// URI
    writes: Sequence[str]  # the names of what it writes


class CachedOperator(Operator):
    """An operator of which `cache: "inputs"` may be asked. Its results are objects."""

    @abstractmethod
    def inputs(self, context: TaskContext) -> Inputs:
        """What the task would read now. Raises `NotCached` if that can't be told for certain."""

    @abstractmethod
    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """What it writes, as it is now: those of `names` that are there."""

    def ended_at(self, context: TaskContext) -> float | None:  # noqa: ARG002
        """When the service was done with the try, epoch seconds; None: just now.

        Whatever is newer was not written by the try.
        """
        return None
