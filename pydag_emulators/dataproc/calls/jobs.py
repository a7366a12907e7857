"""Jobs: what clients may ask of them. `runner` carries them out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import grpc
from google.cloud.dataproc_v1 import (
    CancelJobRequest,
    ClusterStatus,
    DeleteJobRequest,
    GetJobRequest,
    Job,
    JobMetadata,
    JobReference,
    JobStatus,
    ListJobsRequest,
    ListJobsResponse,
    SubmitJobRequest,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pydag_emulators.dataproc.calls.checks import check_job_id, check_labels, check_request_id
from pydag_emulators.dataproc.calls.clusters import Clusters
from pydag_emulators.dataproc.calls.kinds import check_job
from pydag_emulators.dataproc.calls.lifecycle import moment
from pydag_emulators.dataproc.calls.listing import Filter, page
from pydag_emulators.dataproc.calls.operations import end_in_error
from pydag_emulators.dataproc.calls.paths import find_id
from pydag_emulators.dataproc.calls.refused import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
)
from pydag_emulators.dataproc.store import JobKey, Scope, Store

State = JobStatus.State
FINAL = (State.DONE, State.ERROR, State.CANCELLED)
# Google can't cancel a job in SETUP_DONE either. There it lasts for seconds, here nobody sees it.
CANCELLABLE = (State.PENDING, State.SETUP_DONE, State.RUNNING)


class Jobs:
    """Implements google.cloud.dataproc.v1.JobController.

    `start` is told of every new job, `cancel` of every job whose cancellation was asked for.
    """

    def __init__(
        self,
        store: Store,
        clusters: Clusters,
        *,
        start: Callable[[JobKey], None],
        cancel: Callable[[JobKey], None],
    ) -> None:
        self._store = store
        self._clusters = clusters
        self._start = start
        self._cancel = cancel

    def submit(self, request: SubmitJobRequest) -> Job:
        """Accept a job; a request_id that was used before answers with the job of then."""
        return self.require(self._submit(request))

    def submit_as_operation(self, request: SubmitJobRequest) -> operations_pb2.Operation:
        """Like `submit`; the operation ends when the job does."""
        return self._operation(self._submit(request))

    def get(self, request: GetJobRequest) -> Job:
        """One job as it is now."""
        return self.require(JobKey(Scope(request.project_id, request.region), request.job_id))

    def find(self, request: ListJobsRequest) -> ListJobsResponse:
        """A page of the jobs that match, newest first."""
        matcher = ListJobsRequest.JobStateMatcher(request.job_state_matcher)
        wanted = Filter(request.filter, ["status.state", "clusterName"])
        found = []
        scope = Scope(request.project_id, request.region)
        for job in self._store.jobs(scope, active=matcher.name == "ACTIVE"):
            activity = "NON_ACTIVE" if job.status.state in FINAL else "ACTIVE"
            facts = {
                "status.state": {activity, job.status.state.name},
                "clusterName": {job.placement.cluster_name},
            }
            if (
                job.placement.cluster_name  # else it is a batch's
                and matcher.name in ("ALL", activity)
                and request.cluster_name in ("", job.placement.cluster_name)
                and wanted.accepts(facts, job.labels)
            ):
                found.append(job)
        some, token = page(found, request.page_size, request.page_token)
        return ListJobsResponse(jobs=list(some), next_page_token=token)

    def cancel(self, request: CancelJobRequest) -> Job:
        """Ask for the end of an active job; FAILED_PRECONDITION if it has ended."""
        key = JobKey(Scope(request.project_id, request.region), request.job_id)
        with self._store.transaction():
            job = self.require(key)
            state = job.status.state
            if state not in CANCELLABLE:
                raise failed_precondition(
                    f"Cannot cancel jobId '{key.id}' in projectId '{key.scope.project}' in state: "
                    f"'{state.name}'; cancellable states: '[PENDING, RUNNING]'"
                )
            enter(job, State.CANCEL_PENDING)
            self._store.update_job(key, job, active=True)
        self._cancel(key)
        return job

    def delete(self, request: DeleteJobRequest) -> empty_pb2.Empty:
        """Forget a job that has ended."""
        key = JobKey(Scope(request.project_id, request.region), request.job_id)
        with self._store.transaction():
            job = self.require(key)
            if job.status.state not in FINAL:
                raise failed_precondition(
                    f"Cannot delete jobId '{key.id}' in state: '{job.status.state.name}'"
                )
            self._store.drop_job(key)
        return empty_pb2.Empty()

    def require(self, key: JobKey) -> Job:
        """The job as it is now; NOT_FOUND if there is none."""
        job = self._store.job(key)
        if job is None or not job.placement.cluster_name:  # the job of a batch can't be asked for
            raise not_found(str(key))
        return job

    def operation(self, name: str) -> operations_pb2.Operation | None:
        """The long-running operation of that name, if it is a job's."""
        key = self.key_of_operation(name)
        return self._operation(key) if key else None

    def key_of_operation(self, name: str) -> JobKey | None:
        """The job whose operation has that name."""
        found = find_id(name, "operations")
        return self._store.job_of_operation(*found) if found else None

    def _submit(self, request: SubmitJobRequest) -> JobKey:
        job, scope = request.job, Scope(request.project_id, request.region)
        check_request_id(request.request_id)
        _check(scope, job)
        key = JobKey(scope, job.reference.job_id or str(uuid.uuid4()))
        check_job_id(key.id)
        with self._store.transaction():
            if earlier := self._store.request("submit", scope, request.request_id):
                return JobKey(scope, earlier)
            if self._store.job(key):
                raise already_exists(str(key))
            self._fill_in(key, job)
            self._store.add_job(key, job, operation=str(uuid.uuid4()))
            self._store.put_request("submit", scope, request.request_id, key.id)
        self._start(key)
        return key

    def _fill_in(self, key: JobKey, job: Job) -> None:
        """What Google fills in for a new job."""
        name = job.placement.cluster_name
        cluster = self._clusters.require(key.scope, name)
        if cluster.status.state != ClusterStatus.State.RUNNING:
            raise failed_precondition(
                f"Unable to submit job, cluster '{name}' is in state {cluster.status.state.name} "
                "and cannot accept jobs."
            )
        job.reference = JobReference(project_id=key.scope.project, job_id=key.id)
        job.placement.cluster_uuid = cluster.cluster_uuid
        job.job_uuid = str(uuid.uuid4())
        job.done = False
        job.status_history = []
        job.status = JobStatus(state=State.PENDING, state_start_time=moment(time.time()))
        job.driver_control_files_uri = (
            f"gs://{cluster.config.config_bucket}/google-cloud-dataproc-metainfo/"
            f"{cluster.cluster_uuid}/jobs/{key.id}/"
        )
        job.driver_output_resource_uri = f"{job.driver_control_files_uri}driveroutput"

    def _operation(self, key: JobKey) -> operations_pb2.Operation:
        job = self.require(key)
        name = f"{key.scope}/operations/{self._store.job_operation(key)}"
        operation = operations_pb2.Operation(name=name)
        metadata = JobMetadata(
            job_id=key.id,
            status=job.status,
            operation_type=Job.pb(job).WhichOneof("type_job"),
            start_time=(
                job.status_history[0] if job.status_history else job.status
            ).state_start_time,
        )
        operation.metadata.Pack(JobMetadata.pb(metadata))
        state = job.status.state
        operation.done = state in FINAL
        if state == State.DONE:
            operation.response.Pack(Job.pb(job))
        elif state == State.ERROR:
            end_in_error(operation, grpc.StatusCode.ABORTED, job.status.details)
        elif state == State.CANCELLED:
            end_in_error(operation, grpc.StatusCode.CANCELLED, job.status.details)
        return operation


def enter(job: Job, state: int, details: str = "") -> None:
    """Give the job its next state, and keep the one before in its history."""
    if job.status.state == state:
        return
    job.status_history.append(job.status)
    job.status = JobStatus(state=state, details=details, state_start_time=moment(time.time()))
    job.done = state in FINAL


def _check(scope: Scope, job: Job) -> None:
    check_labels(job.labels)
    if job.reference.project_id not in ("", scope.project):
        raise invalid(f"JobReference.project_id {job.reference.project_id} is not {scope.project}")
    check_job(job)
    if not job.placement.cluster_name:
        raise invalid("JobPlacement.cluster_name is required")
