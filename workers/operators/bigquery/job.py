"""BigQuery jobs under the id of their try: insert, find, poll one or many, cancel."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from google.api_core.exceptions import Conflict, NotFound, RetryError
from google.api_core.retry import Retry, if_exception_type
from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryParams
from workers.contract.answer import Asked, Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import answers, clients, errors, remote_ids
from workers.google.access import access_of, access_to, connection_and_project
from workers.google.job import GoogleJob

_PAGE = 1000  # jobs of one answer of BigQuery's

# After a Conflict, BigQuery sometimes doesn't find the job at first:
# https://github.com/googleapis/python-bigquery/issues/2134
_FIND_AFTER_CONFLICT = 10.0  # seconds

_ERRORS = 5  # of a job, beside the one that ended it

# What of a job's result is in the task's log.
_LOGGED = ("statement_type", "rows", "bytes_processed", "slot_ms")


@dataclass(frozen=True)
class Place:
    """Where a job runs and with which connection; None is what the worker's settings say."""

    connection: str | None = None
    project: str | None = None
    location: str | None = None


class Job(GoogleJob):
    """Any BigQuery job, under the id of its try: what a kind of job adds is its insert call.

    Result: job_id, project, location, link, slot time, and what the kind of job tells.
    """

    params_model: ClassVar[type[BigQueryParams]]
    kind = "BigQuery jobs"
    place_names = ("connection", "project")

    def place(self, context: TaskContext) -> Place:
        """Where a task's job runs."""
        params = parsed_params(context, self.params_model)
        return Place(params.connection, params.project, params.location)

    @abstractmethod
    def insert(
        self, context: TaskContext, client: bigquery.Client, options: Mapping[str, Any]
    ) -> Any:
        """Insert the job, by one call of the client with `options`: id, project, no retry."""

    @abstractmethod
    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:
        """What a job that succeeded tells besides who it is."""

    def local(self) -> bool:
        """Whether jobs go to a BigQuery on this machine."""
        return clients.local_bigquery()

    def handle(self, context: TaskContext) -> Handle:
        """Project, location and id of this try's job."""
        place = self.place(context)
        job_id = remote_ids.of_try("bigquery", context)
        location = access_to(context.settings, place.connection, place.project).location
        # Ids are unique within a location, so one that BigQuery chose by the tables of the query
        # could differ when the same try inserts the job again.
        return {
            **connection_and_project(
                context,
                f"BigQuery job {job_id}",
                place.connection,
                place.project,
                local=self.local(),
            ),
            "location": place.location or location,
            "job_id": job_id,
            "created": None,  # when, by BigQuery's clock; known once the job is there
        }

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """What was written and read is looked at again when a result is kept for other runs."""
        return {} if context.cache_seconds is None else context.params

    def submit(self, context: TaskContext) -> Handle:
        """Insert the job; if the insert says that its id is there, it is this try's own."""
        handle = self.handle(context)
        options = {name: handle[name] for name in ("job_id", "project", "location")}
        with answers.explained(of=self.name(handle)):
            client = client_of(context, handle)
            try:
                job = self.insert(context, client, {**options, "retry": None})
                context.log.info("started %s", self.name(handle))
            except Conflict as conflict:
                job = _find(context, client, handle, conflict)
                context.log.info("found %s, which this try started", self.name(handle))
        return {**handle, "created": job and job.created and job.created.timestamp()}

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the job; its own error is reason, location and message."""
        with answers.asking(of=self.name(handle)):
            client = client_of(context, handle)
            job = _get(context, client, handle)
            state = job.state
        if state != "DONE":
            return self.progress(context, handle, state)
        if job.error_result:
            why = f"{_why_failed(job)} ({self.name(handle)})"
            raise TaskFailed(why, final=errors.is_final(job.error_result))
        facts = self.result(context, client, job)
        logged = (f"{name} {facts[name]}" for name in _LOGGED if facts.get(name) is not None)
        context.log.info("BigQuery job done: %s", ", ".join(logged))
        return Done({**_identity(handle), **facts})

    def about(self, context: TaskContext, **what: Any) -> dict[str, Any]:
        """What decides the effect of a job, besides what it reads; for `Inputs`."""
        handle = self.handle(context)
        places = {name: handle[name] for name in ("connection", "project", "location")}
        return {**places, "params": context.params, **what}

    def ended_at(self, context: TaskContext) -> float | None:
        """When BigQuery was done with the try's job."""
        handle = self.handle(context)
        job = _get(context, client_of(context, handle), handle)
        return float(job.ended.timestamp())

    def active(self, asked: Sequence[Asked], timeout: float) -> dict[Hashable, str]:
        """Location and id -> state of jobs that have not ended.

        All that the worker's account has in the project from the first of the tries' jobs to the
        last: everybody may list the jobs that they created.
        """
        first, *_ = asked
        created = [at for each in asked if (at := each.handle["created"])]
        if not created:  # nothing is known of any of them but that it is there
            return {}
        which: dict[str, Any] = {
            "state_filter": ["pending", "running"],
            "min_creation_time": datetime.fromtimestamp(min(created), UTC),
            "max_creation_time": datetime.fromtimestamp(max(created), UTC),
            "page_size": _PAGE,
            "retry": None,
        }
        client = client_of(first.context, first.handle)
        jobs: Any = client.list_jobs(first.handle["project"], timeout=timeout, **which)
        # Not their configurations, in which the text of each query is. The client can't make a
        # `QueryJob` of what is left, and that would take most of a poll's time.
        jobs.extra_params["projection"] = "minimal"
        jobs.item_to_value = lambda _, job: job
        ids = ((job, job["jobReference"]) for job in jobs)
        return {(each.get("location"), each["jobId"]): job["state"] for job, each in ids}

    def id_of(self, handle: Handle) -> Hashable:
        """Ids are unique within a location."""
        return handle["location"], handle["job_id"]

    def progress(self, context: TaskContext, handle: Handle, job: str) -> Pending:  # noqa: ARG002
        """What to say of a job in a state that is no end."""
        return Pending(f"BigQuery job {job}")

    def job(self, context: TaskContext, handle: Handle) -> Any:
        """The job as BigQuery has it now."""
        return _get(context, client_of(context, handle), handle)

    def ended(self, job: Any) -> bool | None:
        """Whether a job has ended well; None if it has not ended."""
        return not job.error_result if job.state == "DONE" else None

    def name(self, handle: Handle) -> str:
        """The job with its project and location, as BigQuery writes it."""
        return f"BigQuery job {handle['project']}:{handle['location']}.{handle['job_id']}"

    def stop(self, context: TaskContext, handle: Handle) -> bool:
        """Tell BigQuery to stop the job."""
        where = {field: handle[field] for field in ("project", "location")}
        cancel_job = partial(client_of(context, handle).cancel_job, handle["job_id"], **where)
        is_there = clients.is_there(context, partial(cancel_job, retry=None))
        if not is_there:
            context.log.info("%s was never there", self.name(handle))
        return is_there


def _get(context: TaskContext, client: bigquery.Client, handle: Handle) -> Any:
    return clients.call(
        context.log,
        client.get_job,
        handle["job_id"],
        project=handle["project"],
        location=handle["location"],
        retry=None,
    )


def _find(context: TaskContext, client: bigquery.Client, handle: Handle, conflict: Conflict) -> Any:
    """The job of that id; None if nothing is known of it but that it is there.

    Raises `conflict` if it wasn't about the job but the query's own error.
    """
    retry = Retry(predicate=if_exception_type(NotFound), initial=0.2, timeout=_FIND_AFTER_CONFLICT)
    try:
        with answers.asking("it"):
            return retry(_get)(context, client, handle)
    except RemoteStateUnknown as error:
        if handle["job_id"] in str(conflict.message):
            context.log.warning("it is there, says the insert; asked for it: %s", error)
            return None
        if isinstance(error.__cause__, RetryError):
            raise conflict from None
        raise


def client_of(context: TaskContext, handle: Handle) -> bigquery.Client:
    """The client that a handle's job is asked for with."""
    return clients.bigquery_client(access_of(context, handle))


def slot_ms(job: Any) -> int | None:
    """The slot time of a job that isn't a query: the client reads it of queries only."""
    spent = job._properties["statistics"].get("totalSlotMs")  # noqa: SLF001
    return None if spent is None else int(spent)


def _why_failed(job: Any) -> str:
    """The error that ended a job, and the first that led to it, as of bad records."""
    others = [error for error in job.errors or () if error != job.error_result]
    why = [errors.explain_details(error) for error in (job.error_result, *others[:_ERRORS])]
    if len(others) > _ERRORS:
        why.append(f"and {len(others) - _ERRORS} more")
    if job.error_result.get("reason") in errors.TRANSIENT_REASONS:
        why.append("this passes as a rule: with retries, the task's next try has a new job")
    return "; ".join(why)


def _identity(handle: Handle) -> dict[str, Any]:
    return {
        **{name: handle[name] for name in ("job_id", "project", "location")},
        "link": _link(handle),
    }


def _link(handle: Handle) -> str:
    project, location, job_id = handle["project"], handle["location"], handle["job_id"]
    if host := os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return f"{host}/bigquery/v2/projects/{project}/jobs/{job_id}?location={location}"
    return (
        "https://console.cloud.google.com/bigquery"
        f"?project={project}&j=bq:{location}:{job_id}&page=queryresults"
    )
