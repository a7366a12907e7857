"""``dataproc.submit_job``: Spark on a Dataproc cluster, under the id of the try."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    NotFound,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.dataproc_v1 import Job, JobStatus, ListJobsRequest

from pydag_dist.dag.dataproc_params import DataprocSubmitJob
from workers import google, patience, remote_ids
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators import driver_output, spark_work
from workers.operators.base import (
    Answer,
    Asked,
    Done,
    Handle,
    Pending,
    RemoteOperator,
    TaskContext,
    answer_of,
    parsed_params,
    wait_until_over,
)
from workers.operators.polling import answers_at_once, by_place

State = JobStatus.State
FINAL = (State.DONE, State.ERROR, State.CANCELLED)
ACTIVE = ListJobsRequest.JobStateMatcher.ACTIVE

_WORTH_A_LIST = 3  # jobs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobSpec:
    """What to run and where; None is what the worker's connection says."""

    region: str
    cluster_name: str
    work: dict[str, Any]  # one field of Dataproc's Job: pyspark_job, spark_job, spark_sql_job
    connection: str | None = None
    project: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


class SubmitJob(RemoteOperator):
    """Runs `spec`; result: job_id, project, region, cluster_name, link, driver_output."""

    def spec(self, context: TaskContext) -> JobSpec:
        """The job of a task."""
        params = parsed_params(context, DataprocSubmitJob)
        return JobSpec(
            params.region,
            params.cluster_name,
            spark_work.of_job(params),
            params.connection,
            params.project,
            params.labels,
        )

    def local(self) -> bool:
        """Whether jobs go to a Dataproc on this machine."""
        return google.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's job, and how far its output was read."""
        spec = self.spec(context)
        access = google.access(context.settings, spec.connection, spec.project)
        job_id = remote_ids.job_id(
            "dataproc", context.dag_id, context.run_id, context.task_id, context.try_number
        )
        with google.explained(f"Dataproc job {job_id}"):
            project = google.project_of(access, local=self.local())
        return {
            "connection": spec.connection,
            "project": project,
            "region": spec.region,
            "cluster_name": spec.cluster_name,
            "job_id": job_id,
            "output": driver_output.new_cursor(),
        }

    def submit(self, context: TaskContext) -> Handle:
        """Submit the job; if its id is there, it is this try's own."""
        spec = self.spec(context)
        handle = self.handle(context)
        job_id, project = handle["job_id"], handle["project"]
        with google.explained(f"Dataproc job {job_id}"):
            job = Job(
                reference={"project_id": project, "job_id": job_id},
                placement={"cluster_name": spec.cluster_name},
                labels=spec.labels | google.labels(context),
                **spec.work,
            )
            request = {"project_id": project, "region": spec.region, "job": job}
            client = _client(context, handle)
            try:
                google.call(context.log, client.submit_job, request=request, retry=None)
                context.log.info("submitted Dataproc job %s to %s", job_id, spec.cluster_name)
            except AlreadyExists:
                context.log.info("found Dataproc job %s, which this try submitted", job_id)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the job, and log what its driver has printed since."""
        with google.explained(f"Dataproc job {handle['job_id']}"):
            return self._progress(context, handle, _get(context, handle))

    def _progress(self, context: TaskContext, handle: Handle, job: Job) -> Pending | Done:
        job_id, state = handle["job_id"], job.status.state
        over = state in FINAL
        if uri := job.driver_output_resource_uri:
            driver_output.follow(
                context, _access(context, handle), uri, handle["output"], over=over
            )
            if over and patience.is_out():
                return Pending(f"Dataproc job {state.name}, its output is being read")
        if state in (State.ERROR, State.CANCELLED):
            said = job.status.details or "no details"
            last = driver_output.last_lines(handle["output"])
            raise TaskFailed(f"Dataproc job {job_id} ended as {state.name}: {said}\n{last}".strip())
        if not over:
            return Pending(f"Dataproc job {state.name}")
        return Done(
            {
                "job_id": job_id,
                "project": handle["project"],
                "region": handle["region"],
                "cluster_name": handle["cluster_name"],
                "link": google.console_link(f"jobs/{job_id}", handle),
                "driver_output": job.driver_output_resource_uri,
            }
        )

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """One list a cluster has the jobs that still run; only the others are asked for."""
        for some in by_place(asked, "connection", "project", "region", "cluster_name"):
            try:
                active = _active(some)
            except RemoteStateUnknown as error:
                log.warning("Dataproc jobs can't be listed: %s", error)
                continue
            others = []
            for one in some:
                if patience.is_out():
                    return
                if job := active.get(one.handle["job_id"]):
                    ask = partial(self._progress, one.context, one.handle, job)
                    yield one, answer_of(ask)
                else:
                    others.append(one)
            yield from answers_at_once(self, others)

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Tell Dataproc to stop the job, and wait until it has."""
        name = f"Dataproc job {handle['job_id']}"
        with google.explained(f"cancelling {name}"):
            client = _client(context, handle)
            try:
                google.call(context.log, client.cancel_job, request=_name(handle), retry=None)
            except NotFound as error:
                context.log.info("nothing to cancel: %s", error.message)
                return
            except FailedPrecondition as error:  # it has ended, or is being cancelled
                context.log.info("%s", error.message)
            wait_until_over(context, name, lambda: _get(context, handle).status.state in FINAL)


def _access(context: TaskContext, handle: Handle) -> google.Access:
    return google.access(context.settings, handle["connection"], handle["project"])


def _client(context: TaskContext, handle: Handle) -> google.JobClient:
    return google.job_client(_access(context, handle), handle["region"])


def _get(context: TaskContext, handle: Handle) -> Job:
    client = _client(context, handle)
    return google.call(context.log, client.get_job, request=_name(handle), retry=None)


def _active(asked: Sequence[Asked]) -> dict[str, Job]:
    """Id -> job of the jobs that have not ended on the tries' cluster; maybe not of all."""
    if len(asked) < _WORTH_A_LIST:
        return {}
    first, *_ = asked
    request = {
        "project_id": first.handle["project"],
        "region": first.handle["region"],
        "cluster_name": first.handle["cluster_name"],
        "job_state_matcher": ACTIVE,
    }

    def listed(timeout: float) -> list[Job]:
        return list(client.list_jobs(request=request, retry=None, timeout=timeout))

    try:
        client = _client(first.context, first.handle)
        jobs = google.call(log, listed)
    except (GoogleAPICallError, GoogleAuthError, TaskFailed) as error:
        log.warning("Dataproc jobs can't be listed, they are asked for one by one: %s", error)
        return {}
    return {job.reference.job_id: job for job in jobs}


def _name(handle: Handle) -> dict[str, str]:
    return {
        "project_id": handle["project"],
        "region": handle["region"],
        "job_id": handle["job_id"],
    }
