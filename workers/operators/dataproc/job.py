"""``dataproc.submit_job``: Spark on a Dataproc cluster, under the id of the try."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.api_core.exceptions import AlreadyExists, FailedPrecondition
from google.cloud.dataproc_v1 import Job, JobStatus, ListJobsRequest

from pydag_dist.dag.params.dataproc import DataprocSubmitJob
from workers.contract.answer import Asked, Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.wait import wait_until_over
from workers.google import answers, clients, remote_ids
from workers.google.access import access_of, access_to, project_of
from workers.google.clients import is_there
from workers.google.job import GoogleJob
from workers.operators.dataproc import driver_output, spark_work

State = JobStatus.State
FINAL = (State.DONE, State.ERROR, State.CANCELLED)
ACTIVE = ListJobsRequest.JobStateMatcher.ACTIVE


@dataclass(frozen=True)
class JobSpec:
    """What to run and where; None is what the worker's connection says."""

    region: str
    cluster_name: str
    work: dict[str, Any]  # one field of Dataproc's Job: pyspark_job, spark_job, spark_sql_job
    connection: str | None = None
    project: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


class SubmitJob(GoogleJob):
    """Runs `spec`; result: job_id, project, region, cluster_name, link, driver_output."""

    kind = "Dataproc jobs"
    place_names = ("connection", "project", "region", "cluster_name")

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
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's job, and how far its output was read."""
        spec = self.spec(context)
        access = access_to(context.settings, spec.connection, spec.project)
        job_id = remote_ids.job_id(
            "dataproc", context.dag_id, context.run_id, context.task_id, context.try_number
        )
        with answers.explained(f"Dataproc job {job_id}"):
            project = project_of(access, local=self.local())
        return {
            "connection": spec.connection,
            "project": project,
            "region": spec.region,
            "cluster_name": spec.cluster_name,
            "job_id": job_id,
            "output": driver_output.new_cursor(),
        }

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:  # noqa: ARG002
        """None: the handle says it all."""
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Submit the job; if its id is there, it is this try's own."""
        spec = self.spec(context)
        handle = self.handle(context)
        job_id, project = handle["job_id"], handle["project"]
        with answers.explained(f"Dataproc job {job_id}"):
            job = Job(
                reference={"project_id": project, "job_id": job_id},
                placement={"cluster_name": spec.cluster_name},
                labels=spec.labels | clients.labels(context),
                **spec.work,
            )
            request = {"project_id": project, "region": spec.region, "job": job}
            client = _client(context, handle)
            try:
                clients.call(context.log, client.submit_job, request=request, retry=None)
                context.log.info("submitted Dataproc job %s to %s", job_id, spec.cluster_name)
            except AlreadyExists:
                context.log.info("found Dataproc job %s, which this try submitted", job_id)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the job, and log what its driver has printed since."""
        with answers.asking(f"Dataproc job {handle['job_id']}"):
            found = _get(context, handle)
        return self.progress(context, handle, found)

    def progress(self, context: TaskContext, handle: Handle, job: Job) -> Pending | Done:
        """How a job comes along; logs what its driver has printed since."""
        job_id, state = handle["job_id"], job.status.state
        run = spark_work.Run(
            f"Dataproc job {job_id}",
            state.name,
            over=state in FINAL,
            failed=state in (State.ERROR, State.CANCELLED),
            said=job.status.details or "no details",
            output_uri=job.driver_output_resource_uri,
        )
        if pending := spark_work.pending(context, handle, run):
            return pending
        return Done(
            {
                "job_id": job_id,
                "project": handle["project"],
                "region": handle["region"],
                "cluster_name": handle["cluster_name"],
                "link": clients.console_link(f"jobs/{job_id}", handle),
                "driver_output": job.driver_output_resource_uri,
            }
        )

    def active(self, asked: Sequence[Asked], timeout: float) -> dict[Hashable, Job]:
        """The cluster's jobs that have not ended."""
        first, *_ = asked
        request = {name: first.handle[name] for name in ("region", "cluster_name")}
        request |= {"project_id": first.handle["project"], "job_state_matcher": ACTIVE}
        client = _client(first.context, first.handle)
        jobs = client.list_jobs(request=request, retry=None, timeout=timeout)
        return {job.reference.job_id: job for job in jobs}

    def id_of(self, handle: Handle) -> Hashable:
        """Ids are unique within a project's region."""
        return str(handle["job_id"])

    def job(self, context: TaskContext, handle: Handle) -> Job:
        """The job as Dataproc has it now."""
        return _get(context, handle)

    def ended(self, job: Job) -> bool | None:
        """Whether a job has ended well; None if it has not ended."""
        return job.status.state == State.DONE if job.status.state in FINAL else None

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Tell Dataproc to stop the job, and wait until it has."""
        name = f"Dataproc job {handle['job_id']}"
        with answers.asking(f"cancelling {name}"):
            client = _client(context, handle)
            try:
                if not is_there(
                    context, partial(client.cancel_job, request=_name(handle), retry=None)
                ):
                    return
            except FailedPrecondition as error:  # it has ended, or is being cancelled
                context.log.info("%s", error.message)
        wait_until_over(context, name, lambda: self.is_over(context, handle))


def _client(context: TaskContext, handle: Handle) -> clients.JobClient:
    return clients.job_client(access_of(context, handle), handle["region"])


def _get(context: TaskContext, handle: Handle) -> Job:
    client = _client(context, handle)
    return clients.call(context.log, client.get_job, request=_name(handle), retry=None)


def _name(handle: Handle) -> dict[str, str]:
    return {
        "project_id": handle["project"],
        "region": handle["region"],
        "job_id": handle["job_id"],
    }
