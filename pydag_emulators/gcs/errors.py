"""Errors as Cloud Storage reports them: a status, a reason and a message.

Reasons and statuses: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any


class Refused(Exception):
    """An error as the answer to a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [error]}}


def no_bucket(name: str) -> Refused:
    """There is no such bucket."""
    return Refused(404, "notFound", f"The specified bucket does not exist: {name}")


def no_object(bucket: str, name: str) -> Refused:
    """There is no such object, or not of that generation."""
    return Refused(404, "notFound", f"No such object: {bucket}/{name}")


def invalid(message: str) -> Refused:
    """The request itself is wrong."""
    return Refused(400, "invalid", message)


def number(name: str, text: str) -> int:
    """The whole number that a parameter of a request is.

    Raises:
        Refused: `invalid`.

    """
    try:
        return int(text)
    except ValueError:
        raise invalid(f"Invalid value '{text}' of {name}: a whole number") from None


def condition_not_met(what: str) -> Refused:
    """A precondition does not hold."""
    message = f"At least one of the pre-conditions you specified did not hold: {what}"
    return Refused(412, "conditionNotMet", message)


def unimplemented(what: str) -> Refused:
    """Right for Cloud Storage, but this local service can't do it."""
    return Refused(501, "notImplemented", f"The local Cloud Storage does not support {what}")


@dataclass
class Fault:
    """An error that tests order by a POST of JSON to `/-/faults`.

    It happens to the next `count` requests (by default 1; null means all) whose method is `method`
    (by default any) and whose path matches the regular expression `path`. They wait `delay` seconds
    and get `status` as an error; with `after` they are carried out before that.
    """

    status: int
    path: str = ""
    method: str | None = None
    count: int | None = 1
    delay: float = 0
    after: bool = False
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
