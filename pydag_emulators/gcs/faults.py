"""Faults that tests order by a POST of JSON to `/-/faults`.

A fault happens to the next `count` requests (by default 1; null means all) whose method is `method`
(by default any) and whose path matches the regular expression `path`. They wait `delay` seconds and
get `status` as an error.
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
    count: int | None = 1
    delay: float = 0
    reason: str = "backendError"
    message: str = "a fault that was ordered"

    def error(self) -> Refused:
        """What the request gets."""
        return Refused(self.status, self.reason, self.message)

    def meets(self, operation: str | None, name: str | None) -> bool:
        """Whether it is meant for a request of that method and path."""
        return self.method in (None, operation) and bool(re.search(self.path, name or ""))


def fault_of(body: dict[str, Any]) -> Fault:
    """The fault of a JSON object; `Refused` if it has a field that would have no effect."""
    if unknown := set(body) - {field.name for field in fields(Fault)}:
        raise invalid(f"Unknown fields of a fault: {', '.join(sorted(unknown))}")
    return Fault(**body)
