"""Load jobs whose data comes with the request.

Both protocols: https://cloud.google.com/bigquery/docs/reference/api-uploads
"""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.errors import invalid, not_found
from pydag_emulators.bigquery.jobs.job import Job
from pydag_emulators.bigquery.rest.http import answer, body_of, json_object, service_of
from pydag_emulators.bigquery.rest.jobs import job_of
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bodies import BadBody, two_parts

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_RESUME_INCOMPLETE = 308


@dataclass
class _Session:
    """A resumable upload that has begun."""

    body: dict[str, Any]
    name: str
    size: int = 0
    job: Job | None = None


async def upload(request: Request) -> Response:
    """POST: a whole multipart upload, or the start of a resumable one."""
    kind = request.query_params.get("uploadType")
    if kind == "multipart":
        return await _multipart(request)
    if kind == "resumable":
        return await _start(request)
    raise invalid(f"Unknown uploadType {kind}: multipart or resumable")


async def _multipart(request: Request) -> Response:
    service = service_of(request)
    content_type = request.headers.get("content-type", "")
    try:
        about, _, data = two_parts(await request.body(), content_type)
    except BadBody as error:
        raise invalid(str(error)) from error
    body = json_object(about)
    name = uuid.uuid4().hex
    await asyncio.to_thread((service.uploads / name).write_bytes, data)
    job = await _insert(request, service, body, name)
    return answer(job.resource())


async def _start(request: Request) -> Response:
    service = service_of(request)
    name = uuid.uuid4().hex
    body = await body_of(request)
    (service.uploads / name).touch()
    _sessions(request)[name] = _Session(body, name)
    location = request.url.include_query_params(upload_id=name)
    return Response(status_code=200, headers={"Location": str(location)})


async def resume(request: Request) -> Response:
    """PUT: the next piece of a resumable upload, or a question how far it is."""
    service = service_of(request)
    session = _sessions(request).get(request.query_params.get("upload_id", ""))
    if session is None:
        raise not_found("Upload", request.query_params.get("upload_id", ""))
    match = _RANGE.fullmatch(request.headers.get("content-range", ""))
    start, _, total = match.groups() if match else ("0", None, "*")
    if session.job is None:
        if start is not None and int(start) == session.size:
            await _append(request, service.uploads / session.name, session)
        if match is not None and total != str(session.size):
            return _incomplete(session)
        session.job = await _insert(request, service, session.body, session.name)
    return answer(session.job.resource())


async def _append(request: Request, path: Path, session: _Session) -> None:
    with path.open("ab") as file:
        async for piece in request.stream():
            file.write(piece)
        session.size = file.tell()


def _incomplete(session: _Session) -> Response:
    headers = {"Range": f"bytes=0-{session.size - 1}"} if session.size else {}
    return Response(status_code=_RESUME_INCOMPLETE, headers=headers)


async def _insert(request: Request, service: Service, body: dict[str, Any], name: str) -> Job:
    """Start the load job that reads the uploaded file."""
    try:
        job = await asyncio.to_thread(
            job_of, service, request.path_params["project"], body, upload=name
        )
        return await service.start(job)
    except BaseException:
        (service.uploads / name).unlink(missing_ok=True)
        raise


def _sessions(request: Request) -> dict[str, _Session]:
    sessions: dict[str, _Session] = request.app.state.uploads
    return sessions


_PATH = "/upload/bigquery/v2/projects/{project}/jobs"
ROUTES = [
    Route(_PATH, upload, methods=["POST"]),
    Route(_PATH, resume, methods=["PUT"]),
]
