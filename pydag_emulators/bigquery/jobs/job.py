"""What a job is: its id, its configuration, its state, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.catalog import Resource, etag, now_ms
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one


class JobKey(NamedTuple):
    """A job's full id: the same job id may exist once in each location of a project."""

    project: str
    location: str
    job_id: str

    def __str__(self) -> str:
        return f"{self.project}:{self.location}.{self.job_id}"

    def api(self) -> dict[str, str]:
        """The REST form, `JobReference`."""
        return {"projectId": self.project, "jobId": self.job_id, "location": self.location}


class Stopping(BaseException):
    """The service ends: nothing of the job is recorded, and it runs again at the next start."""


class Control:
    """Stops a running job; a script shares it with its child jobs.

    A job can be stopped until its commit begins. After that it succeeds or fails by itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: BaseException | None = None
        self._cursor: Cursor | None = None  # interruptible just now
        self._told = asyncio.Event()

    def running_on(self, cursor: Cursor | None) -> None:
        """Set the cursor that an interrupt goes to; None means no cursor."""
        with self._lock:
            self._cursor = cursor

    async def wait_for_stop(self, seconds: float) -> None:
        """Wait this many seconds, or until the job is told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), seconds)

    def stop(self, reason: BaseException) -> None:
        """Make the job raise `reason` at its next check; the first reason given counts.

        To be called in the event loop.
        """
        self._told.set()
        with self._lock:
            self._stop = self._stop or reason

    def reason(self) -> BaseException | None:
        """Why the job was told to stop, if it was."""
        with self._lock:
            return self._stop

    def interrupt(self) -> None:
        """Break off the statement that runs, once the job is told to stop.

        Repeat it until the job has ended: DuckDB forgets an interrupt that comes when no statement
        runs.
        """
        with self._lock:
            if self._stop is not None and self._cursor is not None:
                self._cursor.interrupt()

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        with self._lock:
            if self._stop is not None:
                raise self._stop

    def enter_commit(self) -> None:
        """Check for the last time; after this nothing is interrupted."""
        with self._lock:
            if self._stop is not None:
                raise self._stop
            self._cursor = None


@dataclass
class Outcome:
    """What is recorded of a job's work, besides its effect on tables."""

    statistics: Resource = field(default_factory=dict)
    """The job's `statistics` without its times."""
    wrote: TableRef | None = None
    """The table whose rows it changed."""
    rows: int | None = None
    """How many rows it returned, changed or loaded; for the journal."""
    result: TableRef | None = None
    """The table that holds the query's rows."""
    schema: list[Field] | None = None
    """The columns of `result`."""
    errors: list[dict[str, str]] = field(default_factory=list)
    """What went wrong without failing the job: bad records within `maxBadRecords`."""


@dataclass(eq=False)
class Job:
    """A job that has not ended yet, or the record of one that has."""

    key: JobKey
    configuration: Resource
    created: int = field(default_factory=now_ms)
    parent: str | None = None
    """The job id of the script that this is a statement of."""
    upload: str | None = None
    """The name of the uploaded file that a load job reads, in the service's directory."""
    state: str = "PENDING"
    started: int | None = None
    ended: int | None = None
    error: dict[str, str] | None = None
    outcome: Outcome = field(default_factory=Outcome)
    control: Control = field(default_factory=Control)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kind(self) -> str:
        """query, load, …: the part of the configuration that says what to do."""
        return str(self.configuration.get("jobType", "")).lower()

    def fail(self, error: ApiError) -> None:
        """Note the error that ends the job."""
        self.error = error.proto()
        self.outcome.errors = [self.error, *error.details]

    def resource(self) -> Resource:
        """The job as jobs.get shows it."""
        times = {"creationTime": self.created, "startTime": self.started, "endTime": self.ended}
        statistics: Resource = {
            **{name: str(at) for name, at in times.items() if at is not None},
            **self.outcome.statistics,
        }
        if self.parent:
            statistics["parentJobId"] = self.parent
        if self.started is not None and self.ended is not None:
            slots = str(max(self.ended - self.started, 1))  # as if one slot had worked all the time
            statistics["totalSlotMs"] = slots
            if "query" in statistics:
                statistics["query"] = {**statistics["query"], "totalSlotMs": slots}
        status: Resource = {"state": self.state}
        if self.error:
            status["errorResult"] = self.error
        if self.outcome.errors:
            status["errors"] = self.outcome.errors
        resource: Resource = {
            "kind": "bigquery#job",
            "id": str(self.key),
            "jobReference": self.key.api(),
            "user_email": "local@localhost",
            "configuration": self._shown_configuration(),
            "statistics": statistics,
            "status": status,
        }
        return {**resource, "etag": etag(resource)}

    def _shown_configuration(self) -> Resource:
        """The configuration; a query gets the table that holds its rows."""
        query = self.configuration.get("query")
        told = self.outcome.statistics.get("query", {})
        written = None if self.outcome.result is None else self.outcome.result.api()
        if told.get("statementType") == "CREATE_TABLE_AS_SELECT":
            written = told.get("ddlTargetTable")
        if query is None or written is None or query.get("destinationTable"):
            return self.configuration
        shown = {**query, "destinationTable": written}
        return {**self.configuration, "query": shown}


# -- in the store -------------------------------------------------------------------------------


def insert_job(cursor: Cursor, job: Job) -> None:
    """Make the job durable; it has not run yet."""
    cursor.execute(
        "INSERT INTO pydag.jobs VALUES (?, ?, ?, ?, ?, ?, ?)",
        [*job.key, job.created, job.parent, json.dumps(job.configuration), job.upload],
    )


def insert_end(cursor: Cursor, job: Job) -> None:
    """Record the end of the job, in the transaction of its effect."""
    outcome = job.outcome
    record = {
        "started": job.started,
        "ended": job.ended,
        "error": job.error,
        "errors": outcome.errors,
        "statistics": outcome.statistics,
        "rows": outcome.rows,
        "result": outcome.result,
        "schema": outcome.schema,
    }
    wrote = None if outcome.wrote is None else str(outcome.wrote)
    cursor.execute(
        "INSERT INTO pydag.job_ends VALUES (?, ?, ?, ?, ?, ?)",
        [*job.key, job.ended, wrote, json.dumps(record)],
    )


_COLUMNS = """
SELECT j.project, j.location, j.job_id, j.created, j.parent, j.configuration, j.upload, e.record
FROM pydag.jobs j LEFT JOIN pydag.job_ends e USING (project, location, job_id)
"""


def find_job(cursor: Cursor, key: JobKey) -> Job | None:
    """The job of that id, or None."""
    row = fetch_one(
        cursor, f"{_COLUMNS} WHERE j.project = ? AND j.location = ? AND j.job_id = ?", [*key]
    )
    return None if row is None else _job(row)


def is_known(cursor: Cursor, key: JobKey) -> bool:
    """Whether the job's id is taken."""
    where = "project = ? AND location = ? AND job_id = ?"  # the primary key: no join, no scan
    return fetch_one(cursor, f"SELECT 1 FROM pydag.jobs WHERE {where}", [*key]) is not None


def unfinished_jobs(cursor: Cursor) -> list[Job]:
    """Jobs without an end, oldest first."""
    return [
        _job(row)
        for row in cursor.execute(
            f"{_COLUMNS} WHERE e.record IS NULL ORDER BY j.created"
        ).fetchall()
    ]


def ended_jobs(
    cursor: Cursor, where: str = "true", parameters: list[Any] | None = None
) -> list[Job]:
    """Jobs with an end, newest first, that fulfil an SQL condition on `j` (pydag.jobs)."""
    rows = cursor.execute(
        f"{_COLUMNS} WHERE e.record IS NOT NULL AND {where} ORDER BY j.created DESC, j.job_id",
        parameters or [],
    ).fetchall()
    return [_job(row) for row in rows]


def _job(row: tuple[Any, ...]) -> Job:
    project, location, job_id, created, parent, configuration, upload, record = row
    job = Job(JobKey(project, location, job_id), json.loads(configuration), created, parent, upload)
    if record is not None:
        end = json.loads(record)
        job.state = "DONE"
        job.started, job.ended, job.error = end["started"], end["ended"], end["error"]
        job.outcome = Outcome(
            statistics=end["statistics"],
            rows=end["rows"],
            result=TableRef(*end["result"]) if end["result"] else None,
            schema=end["schema"],
            errors=end["errors"],
        )
        job.finished.set()
    return job
