"""Faults that tests order: slow, refused and lost requests, and slow or failing jobs.

A fault is a JSON object posted to `/-/faults`. It happens to the next `count` requests (by default
1; null means all) whose operation is `method` (jobs.insert, tables.get, …) and whose job id matches
the regular expression `job_id`. Without `method` or `job_id` it happens to any request. It has
these effects, in this order:

- `delay`: the request waits this many seconds
- `drop`: the connection is closed without an answer, "before" or "after" the request is carried out
- `status`, `reason`, `message`: the answer is that error, and nothing is carried out

With the method "run", it happens to jobs when they start: `delay` makes the job take this many
seconds longer (no thread waits), and `reason` and `message` make it fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from pydag_emulators.bigquery.errors import ApiError, invalid

RUN = "run"
_OPERATIONS = [
    (method, re.compile(rf"(?:/upload)?/bigquery/v2/projects/[^/]+{path}"), name)
    for method, path, name in [
        ("POST", "/jobs", "jobs.insert"),
        ("PUT", "/jobs", "jobs.insert"),
        ("GET", "/jobs", "jobs.list"),
        ("GET", "/jobs/(?P<job>[^/]+)", "jobs.get"),
        ("POST", "/jobs/(?P<job>[^/]+)/cancel", "jobs.cancel"),
        ("POST", "/queries", "jobs.query"),
        ("GET", "/queries/(?P<job>[^/]+)", "jobs.getQueryResults"),
        ("POST", "/datasets", "datasets.insert"),
        ("GET", "/datasets", "datasets.list"),
        ("GET", "/datasets/[^/]+", "datasets.get"),
        ("PATCH", "/datasets/[^/]+", "datasets.patch"),
        ("DELETE", "/datasets/[^/]+", "datasets.delete"),
        ("POST", "/datasets/[^/]+/tables", "tables.insert"),
        ("GET", "/datasets/[^/]+/tables", "tables.list"),
        ("GET", "/datasets/[^/]+/tables/[^/]+", "tables.get"),
        ("PATCH", "/datasets/[^/]+/tables/[^/]+", "tables.patch"),
        ("DELETE", "/datasets/[^/]+/tables/[^/]+", "tables.delete"),
        ("GET", "/datasets/[^/]+/tables/[^/]+/data", "tabledata.list"),
    ]
]
_METHODS = frozenset({RUN, *(name for _, _, name in _OPERATIONS)})


@dataclass
class Fault:
    """See the module."""

    method: str | None = None
    job_id: str | None = None
    count: int | None = 1
    delay: float = 0
    drop: str | None = None
    status: int | None = None
    reason: str | None = None
    message: str = "a fault that was ordered"

    def error(self) -> ApiError | None:
        """The error that the request or job ends with."""
        if self.status is None and self.reason is None:
            return None
        return ApiError(self.reason or "backendError", self.message, status=self.status)

    def meets(self, operation: str | None, name: str | None) -> bool:
        """Whether it is for a request of that operation, or a job's start, with that job id."""
        # At a job's start only faults with the method "run" happen.
        if self.method != operation and (self.method is not None or operation == RUN):
            return False
        return self.job_id is None or bool(re.search(self.job_id, name or ""))


def fault_of(body: dict[str, Any]) -> Fault:
    """The fault of a JSON object.

    Raises:
        ApiError: `invalid`, for a field or value that would have no effect.
    """
    unknown = set(body) - {field.name for field in fields(Fault)}
    if unknown:
        raise invalid(f"Unknown fields of a fault: {', '.join(sorted(unknown))}")
    fault = Fault(**body)
    if fault.method not in {None, *_METHODS}:
        raise invalid(f"Unknown method {fault.method}: one of {', '.join(sorted(_METHODS))}")
    if fault.drop not in (None, "before", "after") or (fault.drop and fault.method == RUN):
        raise invalid('drop is "before" or "after", and for requests')
    return fault


def operation_of(method: str, path: str) -> tuple[str | None, str | None]:
    """The name of a request's operation, and the job id in its path."""
    for known, pattern, name in _OPERATIONS:
        match = pattern.fullmatch(path) if method == known else None
        if match is not None:
            return name, match.groupdict().get("job")
    return None, None
