"""``dataproc.submit_job``: Spark, Hive, … on a Dataproc cluster, under the id of the try."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.api_core.exceptions import FailedPrecondition
from google.cloud.dataproc_v1 import Job, JobStatus, ListJobsRequest

from pydag_dist.dag.params.dataproc import DataprocSubmitJob
from workers.contract.answer import Asked, Handle
from workers.contract.context import TaskContext, parsed_params
from workers.google import clients
from workers.google.access import access_of
from workers.operators.dataproc.spark import SparkOperator, SparkRun, work_of

State = JobStatus.State
FINAL = (State.DONE, State.ERROR, State.CANCELLED)
ACTIVE = ListJobsRequest.JobStateMatcher.ACTIVE


@dataclass(frozen=True)
class JobSpec:
    """What to run and where; None is what the worker's connection says."""

    region: str
    cluster_name: str
    work: dict[str, Any]  # one field of Dataproc's Job: pyspark_job, hive_job, …
    connection: str | None = None
    project: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


class SubmitJob(SparkOperator):
    """Runs `spec`; result: job_id, project, region, cluster_name, link, driver_output."""

    noun, service = "job", "dataproc"
    kind = "Dataproc jobs"
    place_names = ("connection", "project", "region", "cluster_name")

    def spec(self, context: TaskContext) -> JobSpec:
        """The job of a task."""
        params = parsed_params(context, DataprocSubmitJob)
        return JobSpec(
            params.region,
            params.cluster_name,
            _work(params),
            params.connection,
            params.project,
            params.labels,
        )

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's job, and how far its output was read."""
        spec = self.spec(context)
        return self.handle_in(
            context,
            spec.connection,
            spec.project,
            region=spec.region,
            cluster_name=spec.cluster_name,
        )

    def create(self, context: TaskContext, handle: Handle) -> None:
        """Submit the job to its cluster."""
        spec, project = self.spec(context), handle["project"]
        job = Job(
            reference={"project_id": project, "job_id": handle["job_id"]},
            placement={"cluster_name": spec.cluster_name},
            labels=spec.labels | clients.labels(context),
            **spec.work,
        )
        request = {"project_id": project, "region": spec.region, "job": job}
        client = _client(context, handle)
        clients.call(context.log, client.submit_job, request=request, retry=None)
        context.log.info("submitted %s to %s", self.name(handle), spec.cluster_name)

    def run_of(self, job: Job) -> SparkRun:
        """How a job is."""
        state = job.status.state
        return SparkRun(
            state.name,
            over=state in FINAL,
            failed=state in (State.ERROR, State.CANCELLED),
            message=job.status.details or "no details",
            output_uri=job.driver_output_resource_uri,
        )

    def identity(self, handle: Handle) -> dict[str, Any]:
        """Region and cluster."""
        return {
            "region": handle["region"],
            "cluster_name": handle["cluster_name"],
            "link": clients.console_link(f"jobs/{handle['job_id']}", handle),
        }

    def active(self, asked: Sequence[Asked], timeout: float) -> dict[Hashable, Job]:
        """The cluster's jobs that have not ended."""
        first, *_ = asked
        request = {name: first.handle[name] for name in ("region", "cluster_name")}
        request |= {"project_id": first.handle["project"], "job_state_matcher": ACTIVE}
        client = _client(first.context, first.handle)
        jobs = client.list_jobs(request=request, retry=None, timeout=timeout)
        return {job.reference.job_id: job for job in jobs}

    def job(self, context: TaskContext, handle: Handle) -> Job:
        """The job as Dataproc has it now."""
        client = _client(context, handle)
        return clients.call(context.log, client.get_job, request=_reference(handle), retry=None)

    def stop(self, context: TaskContext, handle: Handle) -> bool:
        """Tell Dataproc to stop the job."""
        cancel_job = partial(
            _client(context, handle).cancel_job, request=_reference(handle), retry=None
        )
        try:
            return clients.is_there(context, cancel_job)
        except FailedPrecondition as error:  # it has ended, or is being cancelled
            context.log.info("%s", error.message)
            return True


def _work(params: DataprocSubmitJob) -> dict[str, Any]:
    """The field of a job that says what it runs."""
    work = work_of(params) | {"properties": params.properties}
    if params.queries:
        work["query_list"] = {"queries": params.queries}
    if params.query_variables:
        work["script_variables"] = params.query_variables
    for name in ("continue_on_failure", "output_format", "client_tags", "savepoint_uri"):
        if value := getattr(params, name):
            work[name] = value
    return {f"{params.kind}_job": work}


def _client(context: TaskContext, handle: Handle) -> clients.JobClient:
    return clients.job_client(access_of(context, handle), handle["region"])


def _reference(handle: Handle) -> dict[str, str]:
    return {
        "project_id": handle["project"],
        "region": handle["region"],
        "job_id": handle["job_id"],
    }
