"""Errors as Cloud Storage reports them: a status, a reason and a message.

Reasons and statuses: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

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


def condition_not_met(what: str) -> Refused:
    """A precondition does not hold."""
    message = f"At least one of the pre-conditions you specified did not hold: {what}"
    return Refused(412, "conditionNotMet", message)


def unimplemented(what: str) -> Refused:
    """Right for Cloud Storage, but this local service can't do it."""
    return Refused(501, "notImplemented", f"The local Cloud Storage does not support {what}")
