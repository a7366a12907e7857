"""Faults that tests order: each meets the next requests that it is for, and is used up by them."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar


class Fault(Protocol):
    """What an emulator's own class of faults needs to have."""

    count: int | None
    """How many more requests it meets; None: all."""

    def meets(self, operation: str | None, name: str | None) -> bool:
        """Whether it is for a request of that operation, about what has that name."""


F = TypeVar("F", bound=Fault)


class Faults(Generic[F]):
    """The faults that are still to come. Used in the event loop only."""

    def __init__(self) -> None:
        self._faults: list[F] = []

    def add(self, fault: F) -> None:
        """Order one more."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget all."""
        self._faults.clear()

    def left(self) -> list[dict[str, Any]]:
        """Those that are still to come, as they were posted."""
        return [dict(vars(fault)) for fault in self._faults]

    def take(self, operation: str | None, name: str | None) -> F | None:
        """The first fault that meets this request, used up once more."""
        for fault in self._faults:
            if fault.meets(operation, name):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                return fault
        return None
