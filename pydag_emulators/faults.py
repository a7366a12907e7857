"""Faults that tests order. A fault happens to the next requests that it is meant for."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar


class Fault(Protocol):
    """What an emulator's own class of faults needs to have."""

    count: int | None
    """To how many more requests it happens; None means to all."""

    def meets(self, operation: str | None, name: str | None) -> bool:
        """Whether it is meant for a request of that operation, about the thing of that name."""


F = TypeVar("F", bound=Fault)


class Faults(Generic[F]):
    """The faults that are still to happen. Use it in the event loop only."""

    def __init__(self) -> None:
        self._faults: list[F] = []

    def add(self, fault: F) -> None:
        """Order a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget all."""
        self._faults.clear()

    def left(self) -> list[dict[str, Any]]:
        """The faults that are still to happen, in the form in which they were posted."""
        return [dict(vars(fault)) for fault in self._faults]

    def take(self, operation: str | None, name: str | None) -> F | None:
        """The first fault that is meant for this request; it is counted down."""
        for fault in self._faults:
            if fault.meets(operation, name):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                return fault
        return None
