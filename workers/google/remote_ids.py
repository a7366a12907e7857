"""Ids of remote jobs: the same try of a task has the same id, whoever computes it, whenever.

An id is readable text and a hash of all that identifies the try, so that cutting and replacing
characters for a service's rules never makes two tries share one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from workers.contract.context import TaskContext

Service = Literal["bigquery", "dataproc", "request", "batch"]

_HASH = 32  # hexadecimal digits: 128 bits
_WORTH_READING = 8  # characters
_READABLE = re.compile(r"[^A-Za-z0-9_-]+")
_BATCH = re.compile(r"[^a-z0-9-]+")
_LABEL = re.compile(r"[^a-z0-9_-]+")
_LABEL_LENGTH = 63


@dataclass(frozen=True)
class _Rules:
    length: int
    forbidden: re.Pattern[str]
    lower: bool = False


_RULES: dict[Service, _Rules] = {
    # https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference
    "bigquery": _Rules(1024, _READABLE),
    # https://cloud.google.com/dataproc/docs/reference/rest/v1/JobReference
    "dataproc": _Rules(100, _READABLE),
    # request_id of google.cloud.dataproc.v1.CreateClusterRequest and others
    "request": _Rules(40, _READABLE),
    # batch_id of google.cloud.dataproc.v1.CreateBatchRequest
    "batch": _Rules(63, _BATCH, lower=True),
}


def job_id(service: Service, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
    """The id of a try's job: "pydag-", as much of task, try and run as fits, and the hash."""
    rules = _RULES[service]
    readable = f"{task_id}-{try_number}-{run_id}"
    if rules.lower:
        readable = readable.lower()
    room = rules.length - len("pydag--") - _HASH
    readable = rules.forbidden.sub("-", readable)[:room]
    digest = _digest(dag_id, run_id, task_id, str(try_number))
    return f"pydag-{readable}-{digest}" if room >= _WORTH_READING else f"pydag-{digest}"


def of_try(service: Service, context: TaskContext) -> str:
    """The id of the job that the try of `context` has in a service."""
    return job_id(service, context.dag_id, context.run_id, context.task_id, context.try_number)


def label(text: str) -> str:
    """`text` as the value of a label: itself where Google allows it, else shortened with a hash.

    Source: https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    if len(text) <= _LABEL_LENGTH and not _LABEL.search(text):
        return text
    readable = _LABEL.sub("-", text.lower())[: _LABEL_LENGTH - _HASH - 1]
    return f"{readable}-{_digest(text)}"


def _digest(*parts: str) -> str:
    # No part can contain the separator: ids are [A-Za-z0-9_.-]+.
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:_HASH]
