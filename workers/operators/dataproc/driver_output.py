"""What a Dataproc job's driver prints, read from Cloud Storage while the job runs.

Dataproc writes it to objects ``<driver_output_resource_uri>.000000000``, ``….000000001`` and so
on, which grow or follow each other:
https://cloud.google.com/dataproc/docs/guides/dataproc-job-output
"""

from __future__ import annotations

import re
from typing import Any

import requests.exceptions
from google.api_core.exceptions import GoogleAPIError, NotFound, RequestRangeNotSatisfiable
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError

from workers import time_limit
from workers.contract.context import TaskContext
from workers.google import clients, errors
from workers.google.access import Access

_CHUNK = 1 << 20  # bytes of one read
_TAIL = 30  # lines
_TAIL_LINE = 500  # characters of each: the cursor is kept in Redis
_READ = 5.0  # seconds in which a read is tried again: the job's state is more urgent
_NOISE = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (DEBUG|INFO|WARN) ")

Cursor = dict[str, Any]


def new_cursor() -> Cursor:
    """Where reading begins; JSON-able, and changed by `follow`."""
    return {"part": 0, "offset": 0, "tail": [], "warned": False}


def follow(context: TaskContext, access: Access, uri: str, cursor: Cursor, *, over: bool) -> None:
    """Log the lines that are new at `uri`, and keep the last ones in the cursor's tail.

    A last line without its end is waited for, unless the job is `over`. If there is no time for
    more, the next call goes on.
    Output that can't be read is no failure of the task: it is said once, and tried again later.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    try:
        objects = clients.storage_client(access).bucket(bucket)
        while not time_limit.is_out():
            data = _read(objects, f"{name}.{cursor['part']:09d}", cursor["offset"])
            if data is None:
                return
            lines = data[: data.rfind(b"\n") + 1]
            if len(data) == _CHUNK and not lines:  # a line longer than a read
                lines = data
            cursor["offset"] += len(lines)
            _log(context, lines, cursor)
            if lines:
                continue
            more = _read(objects, f"{name}.{cursor['part'] + 1:09d}", 0) is not None
            if more or over:
                _log(context, data, cursor)
                cursor["offset"] += len(data)
            if not more:
                return
            cursor["part"] += 1
            cursor["offset"] = 0
    except (GoogleAPIError, GoogleAuthError, requests.exceptions.RequestException) as error:
        if not cursor["warned"]:
            cursor["warned"] = True
            context.log.warning("the driver's output at %s can't be read: %s", uri, error)


def last_lines(cursor: Cursor) -> str:
    """The end of the output that was read, without log lines below ERROR."""
    return "\n".join(cursor["tail"])


def _read(bucket: Any, name: str, offset: int) -> bytes | None:
    """At most a chunk from `offset`, nothing if there is no more; None if there is no object."""
    retry = Retry(predicate=errors.transient, initial=0.1, timeout=min(_READ, time_limit.of_call()))
    try:
        data: bytes = retry(bucket.blob(name).download_as_bytes)(
            start=offset,
            end=offset + _CHUNK - 1,
            checksum=None,  # the object may grow while it is read
            retry=None,
            timeout=time_limit.of_attempt(clients.TIMEOUT),
        )
    except NotFound:
        return None
    except RequestRangeNotSatisfiable:
        return b""
    return data


def _log(context: TaskContext, data: bytes, cursor: Cursor) -> None:
    for line in data.decode(errors="replace").splitlines():
        context.log.info("%s", line)
        if not _NOISE.match(line):
            cursor["tail"] = [*cursor["tail"], line[:_TAIL_LINE]][-_TAIL:]
