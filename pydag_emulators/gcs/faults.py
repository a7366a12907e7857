"""Faults that tests order by a POST of JSON to ``/_internal/faults``.

Each meets the next `count` requests whose method is `method` (left out: any) and whose path
matches the regular expression `path`: they wait `delay` seconds and get `status` as an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from pydag_emulators.gcs.errors import Refused, invalid


@dataclass
class Fault:
    """See the module."""

    status: int
    path: str = ""
    method: str | None = None
    count: int = 1
    delay: float = 0
    reason: str = "backendError"
    message: str = "a fault that was ordered"

    def error(self) -> Refused:
        """What the request gets."""
        return Refused(self.status, self.reason, self.message)


class Faults:
    """Those that are still to come. Used in the event loop only."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, body: dict[str, Any]) -> None:
        """Order one more."""
        if unknown := set(body) - {field.name for field in fields(Fault)}:
            raise invalid(f"Unknown fields of a fault: {', '.join(sorted(unknown))}")
        self._faults.append(Fault(**body))

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, used up once more."""
        for fault in self._faults:
            if fault.method in (None, method) and re.search(fault.path, path):
                fault.count -= 1
                if fault.count <= 0:
                    self._faults.remove(fault)
                return fault
        return None
