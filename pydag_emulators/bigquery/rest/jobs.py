"""https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs."""

from __future__ import annotations

import asyncio
import re
import uuid
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.errors import ApiError, error_of, invalid, unimplemented
from pydag_emulators.bigquery.jobs.job import Job, JobKey, ended_jobs
from pydag_emulators.bigquery.names import check_labels
from pydag_emulators.bigquery.rest.http import (
    answer,
    body_of,
    flag,
    number,
    offset_of,
    page_of,
    service_of,
    token_of,
    transact,
)
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.storage.catalog import now_ms
from pydag_emulators.bigquery.storage.pages import Page, read_page
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.work.kinds import CHECKS
from pydag_emulators.bigquery.work.locations import location_of, normal
from pydag_emulators.bigquery.work.query import plan_query

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_COMMON = frozenset({"dryRun", "labels", "jobTimeoutMs", "jobType", "reservation"})
_DEFAULT_WAIT_MS = 10_000
_LONGEST_WAIT_MS = 200_000
_NEW_SECONDS = 1.0
# What BigQuery's page of jobs.list says that only the projection "full" has.
_OF_FULL = frozenset({"configuration", "status", "user_email"})


def job_of(service: Service, project: str, body: dict[str, Any], upload: str | None = None) -> Job:
    """The job that a jobs.insert asks for, checked.

    Raises:
        ApiError: `invalid`, `notImplemented`.
    """
    configuration = dict(body.get("configuration") or {})
    kinds = [kind for kind in ("query", "load", "copy", "extract") if kind in configuration]
    if len(kinds) != 1:
        raise invalid("Required parameter is missing: one of query, load, copy and extract")
    kind = kinds[0]
    if kind not in CHECKS:
        raise unimplemented(f"{kind} jobs")
    for name, value in configuration.items():
        if name not in _COMMON and name != kind and value not in (None, [], {}, False):
            raise unimplemented(f"configuration.{name}")
    check_labels(configuration.get("labels"))
    CHECKS[kind](configuration)
    reference = body.get("jobReference") or {}
    job_id = str(reference.get("jobId") or f"job_{uuid.uuid4().hex}")
    if not _JOB_ID.fullmatch(job_id):
        raise invalid(
            f'Invalid job ID "{job_id}". Job IDs must be alphanumeric (plus underscores and '
            "dashes) and must be at most 1024 characters long."
        )
    configuration["jobType"] = kind.upper()
    location = location_of(service, project, reference.get("location"), configuration)
    return Job(JobKey(project, location, job_id), configuration, upload=upload)


async def insert(request: Request) -> Response:
    """jobs.insert."""
    service, body = service_of(request), await body_of(request)
    project = request.path_params["project"]
    job = await asyncio.to_thread(job_of, service, project, body)
    if job.configuration.get("dryRun"):
        return answer(await _dry_run(service, job))
    await service.start(job)
    return answer(job.resource())


async def _dry_run(service: Service, job: Job) -> dict[str, Any]:
    if job.kind != "query":
        raise invalid("dryRun is for query jobs")
    job.outcome = await asyncio.to_thread(plan_query, service, job)
    job.started = job.ended = now_ms()
    job.state = "DONE"
    resource = job.resource()
    # A dry run makes no job that could be asked for later.
    del resource["jobReference"]["jobId"], resource["id"]
    return resource


async def get(request: Request) -> Response:
    """jobs.get. Of a new job that ends soon, the first answer tells the end.

    Otherwise a client would sleep between its first question and the second: up to a second for a
    job of a few milliseconds.
    """
    job = await _job(request)
    age = (now_ms() - job.created) / 1000
    if age < _NEW_SECONDS:
        await service_of(request).ended_within(job, _NEW_SECONDS - age)
    return answer(job.resource())


async def _job(request: Request) -> Job:
    path = request.path_params
    given = request.query_params.get("location")
    location = normal(given) if given else None
    return await service_of(request).job(path["project"], path["job"], location)


async def cancel(request: Request) -> Response:
    """jobs.cancel: best effort, as in BigQuery; the answer does not wait for it."""
    service, job = service_of(request), await _job(request)
    if job.state != "DONE":
        service.runner.cancel(
            job,
            ApiError("stopped", "Job execution was cancelled: User requested cancellation"),
        )
    return answer({"kind": "bigquery#jobCancelResponse", "job": job.resource()})


async def list_(request: Request) -> Response:
    """jobs.list, newest first; child jobs only with the query parameter parentJobId."""
    service, project = service_of(request), request.path_params["project"]
    wanted = {state.upper() for state in request.query_params.getlist("stateFilter")}
    parent = request.query_params.get("parentJobId")
    low = number(request, "minCreationTime") or 0
    high = number(request, "maxCreationTime") or now_ms()
    found = {
        job.key: job
        for job in list(service.runner.live.values())
        if job.key.project == project and job.parent == parent and low <= job.created <= high
    }
    if not wanted or "DONE" in wanted:
        where = "j.project = ? AND j.parent IS NOT DISTINCT FROM ? AND j.created BETWEEN ? AND ?"
        values = [project, parent, low, high]
        ended = await transact(request, lambda cursor: ended_jobs(cursor, where, values))
        found |= {job.key: job for job in ended}
    jobs = [job for job in found.values() if not wanted or job.state in wanted]
    jobs.sort(key=lambda job: -job.created)
    is_minimal = request.query_params.get("projection") == "minimal"
    show = partial(_listed, is_minimal=is_minimal)
    return page_of(request, jobs, "bigquery#jobList", "jobs", total=False, show=show)


def _listed(job: Job, *, is_minimal: bool) -> dict[str, Any]:
    resource = job.resource()
    status = resource["status"]
    resource |= {"state": status["state"]}
    if "errorResult" in status:
        resource["errorResult"] = status["errorResult"]
    if is_minimal:
        resource = {name: it for name, it in resource.items() if name not in _OF_FULL}
    return resource


async def query(request: Request) -> Response:
    """jobs.query: start a query, and answer with its rows if it ends in time."""
    service, body = service_of(request), await body_of(request)
    for name in _QUERY_REQUEST_UNSUPPORTED:
        if body.get(name) not in (None, "", False, {}, []):
            raise unimplemented(f"{name} of jobs.query")
    config = {key: value for key, value in body.items() if key not in _QUERY_REQUEST}
    configuration: dict[str, Any] = {
        "query": {**config, "useLegacySql": body.get("useLegacySql", True)},
        **{key: body[key] for key in ("dryRun", "labels", "jobTimeoutMs") if key in body},
    }
    job_id = f"job_{uuid.uuid4().hex}"
    if body.get("requestId"):
        # The same request sent again gets the same job.
        job_id = f"job_{uuid.uuid5(uuid.NAMESPACE_OID, str(body['requestId'])).hex}"
    reference = {"jobId": job_id, "location": body.get("location")}
    project = request.path_params["project"]
    job = await asyncio.to_thread(
        job_of, service, project, {"configuration": configuration, "jobReference": reference}
    )
    if body.get("dryRun"):
        return answer(_dry_answer(await _dry_run(service, job)))
    try:
        await service.start(job)
    except ApiError as error:
        if error.reason != "duplicate" or not body.get("requestId"):
            raise
        job = await service.job(*job.key[::2], job.key.location)
    timestamps = bool((body.get("formatOptions") or {}).get("useInt64Timestamp"))
    return await _results(
        request,
        job,
        timeout_ms=body.get("timeoutMs"),
        size=body.get("maxResults"),
        start=0,
        timestamps=timestamps,
        kind="bigquery#queryResponse",
    )


_QUERY_REQUEST = frozenset(
    {
        "kind", "requestId", "location", "timeoutMs", "maxResults", "formatOptions", "dryRun",
        "labels", "jobCreationMode", "jobTimeoutMs", "preserveNulls",
    }
)  # fmt: skip
_QUERY_REQUEST_UNSUPPORTED = ("queryResultsFormat", "arrowSerializationOptions")


def _dry_answer(resource: dict[str, Any]) -> dict[str, Any]:
    statistics = resource["statistics"]["query"]
    return {
        "kind": "bigquery#queryResponse",
        "jobComplete": True,
        "jobReference": resource["jobReference"],
        "totalBytesProcessed": statistics.get("totalBytesProcessed", "0"),
        "cacheHit": False,
        "schema": statistics.get("schema", {"fields": []}),
    }


async def results(request: Request) -> Response:
    """jobs.getQueryResults."""
    job = await _job(request)
    if job.kind != "query":
        raise invalid(f"Job {job.key} is not a query job")
    start = offset_of(request.query_params.get("pageToken")) or number(request, "startIndex") or 0
    return await _results(
        request,
        job,
        timeout_ms=number(request, "timeoutMs"),
        size=number(request, "maxResults"),
        start=start,
        timestamps=flag(request, "formatOptions.useInt64Timestamp"),
        kind="bigquery#getQueryResultsResponse",
    )


async def _results(
    request: Request,
    job: Job,
    *,
    timeout_ms: int | None,
    size: int | None,
    start: int,
    timestamps: bool,
    kind: str,
) -> Response:
    wait = _DEFAULT_WAIT_MS if timeout_ms is None else min(int(timeout_ms), _LONGEST_WAIT_MS)
    content: dict[str, Any] = {"kind": kind, "jobReference": job.key.api(), "jobComplete": False}
    if not await service_of(request).ended_within(job, wait / 1000):
        return answer(content)
    if job.error:
        raise error_of(job.error)
    statistics = job.outcome.statistics
    query = statistics.get("query", {})
    content |= {
        "jobComplete": True,
        "cacheHit": False,
        "totalBytesProcessed": statistics.get("totalBytesProcessed", "0"),
    }
    for name in ("numDmlAffectedRows", "dmlStats"):
        if name in query:
            content[name] = query[name]
    ref, fields = job.outcome.result, job.outcome.schema
    if ref is None or fields is None:
        return answer(content)

    def read(cursor: Cursor) -> Page:
        return read_page(cursor, ref, fields, start, size, int64_timestamps=timestamps)

    page = await transact(request, read)
    content |= {"schema": {"fields": fields}, "totalRows": str(page.total)}
    if page.rows:
        content["rows"] = page.rows
    if page.next_row is not None:
        content["pageToken"] = token_of(page.next_row)
    return answer(content)


_BASE = "/bigquery/v2/projects/{project}"
ROUTES = [
    Route(_BASE + "/jobs", insert, methods=["POST"]),
    Route(_BASE + "/jobs", list_, methods=["GET"]),
    Route(_BASE + "/jobs/{job}", get, methods=["GET"]),
    Route(_BASE + "/jobs/{job}/cancel", cancel, methods=["POST"]),
    Route(_BASE + "/queries", query, methods=["POST"]),
    Route(_BASE + "/queries/{job}", results, methods=["GET"]),
]
