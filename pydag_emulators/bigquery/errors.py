"""Errors as BigQuery reports them: a reason, a message, and the HTTP status that goes with it.

Reasons and statuses: https://cloud.google.com/bigquery/docs/error-messages
"""

from __future__ import annotations

from typing import Any

_STATUS = {
    "accessDenied": 403,
    "backendError": 503,
    "bytesBilledLimitExceeded": 400,
    "conditionNotMet": 412,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "notFound": 404,
    "notImplemented": 501,
    "rateLimitExceeded": 429,
    "resourceInUse": 400,
    "resourcesExceeded": 400,
    "stopped": 499,
    "timeout": 400,
}
_CANONICAL = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """An error that the client sees: as an HTTP answer, or as the `errorResult` of a job."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        status: int | None = None,
        location: str | None = None,
        details: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = status or _STATUS.get(reason, 400)
        self.location = location
        self.details = details or []

    def proto(self) -> dict[str, str]:
        """BigQuery's ErrorProto: what `status.errorResult` of a job holds."""
        proto = {"reason": self.reason, "message": self.message}
        if self.location is not None:
            proto["location"] = self.location
        return proto

    def body(self) -> dict[str, Any]:
        """The JSON of the HTTP answer."""
        return {
            "error": {
                "code": self.status,
                "message": self.message,
                "errors": [{**self.proto(), "domain": "global"}],
                "status": _CANONICAL.get(self.status, "UNKNOWN"),
            }
        }


def error_of(proto: dict[str, str]) -> ApiError:
    """The error that a stored `errorResult` stands for."""
    return ApiError(proto["reason"], proto["message"], location=proto.get("location"))


def not_found(what: str, name: str, location: str | None = None) -> ApiError:
    """`what` (Table, Dataset, Job) of that name does not exist."""
    where = f" was not found in location {location}" if location else ""
    return ApiError("notFound", f"Not found: {what} {name}{where}")


def duplicate(what: str, name: str) -> ApiError:
    """`what` of that name exists already."""
    return ApiError("duplicate", f"Already Exists: {what} {name}")


def invalid(message: str) -> ApiError:
    """The request itself is wrong."""
    return ApiError("invalid", message)


def invalid_query(message: str) -> ApiError:
    """The SQL is wrong."""
    return ApiError("invalidQuery", message, location="query")


def unimplemented(what: str) -> ApiError:
    """Right for BigQuery, but this local service cannot do it."""
    return ApiError("notImplemented", f"The local BigQuery service does not support {what}")
