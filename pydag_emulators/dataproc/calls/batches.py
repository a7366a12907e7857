"""Batches: what clients may ask of them. Each is carried out as a job without a cluster."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from itertools import pairwise
from zlib import crc32

import grpc
from google.cloud.dataproc_v1 import (
    Batch,
    BatchOperationMetadata,
    CreateBatchRequest,
    DeleteBatchRequest,
    GetBatchRequest,
    Job,
    JobReference,
    JobStatus,
    ListBatchesRequest,
    ListBatchesResponse,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pydag_emulators.dataproc.calls.checks import check_batch_id, check_labels, check_request_id
from pydag_emulators.dataproc.calls.jobs import CANCELLABLE, enter
from pydag_emulators.dataproc.calls.kinds import check_batch, work_of_batch
from pydag_emulators.dataproc.calls.lifecycle import moment
from pydag_emulators.dataproc.calls.listing import Filter, page
from pydag_emulators.dataproc.calls.operations import end_in_error
from pydag_emulators.dataproc.calls.paths import find_id, id_of, scope_of
from pydag_emulators.dataproc.calls.refused import (
    already_exists,
    failed_precondition,
    not_found,
    unimplemented,
)
from pydag_emulators.dataproc.store import BatchKey, JobKey, Store

State = Batch.State
# A batch's state as it follows from that of its job.
_STATES = {
    JobStatus.State.PENDING: State.PENDING,
    JobStatus.State.SETUP_DONE: State.RUNNING,
    JobStatus.State.RUNNING: State.RUNNING,
    JobStatus.State.CANCEL_PENDING: State.CANCELLING,
    JobStatus.State.CANCEL_STARTED: State.CANCELLING,
    JobStatus.State.CANCELLED: State.CANCELLED,
    JobStatus.State.DONE: State.SUCCEEDED,
    JobStatus.State.ERROR: State.FAILED,
}
_FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
ID_LABEL = "goog-dataproc-batch-id"


class Batches:
    """Implements google.cloud.dataproc.v1.BatchController.

    `start` is told of the job of every new batch, `cancel` of one whose cancellation was asked
    for; `make_bucket` creates a bucket unless it is there.
    """

    def __init__(
        self,
        store: Store,
        *,
        make_bucket: Callable[[str, str], None],
        start: Callable[[JobKey], None],
        cancel: Callable[[JobKey], None],
    ) -> None:
        self._store = store
        self._make_bucket = make_bucket
        self._start = start
        self._cancel = cancel

    def create(self, request: CreateBatchRequest) -> operations_pb2.Operation:
        """Accept a batch; a request_id that was used before answers with the batch of then."""
        scope, batch = scope_of(request.parent), request.batch
        check_request_id(request.request_id)
        check_labels(batch.labels)
        check_batch(batch)
        batch_id = request.batch_id or str(uuid.uuid4())
        check_batch_id(batch_id)
        key = BatchKey(scope, batch_id)
        job = self._fill_in(key, batch)
        with self._store.transaction():
            if earlier := self._store.request("batch", scope, request.request_id):
                return self._operation(BatchKey(scope, earlier))
            if self._store.batch(key):
                raise already_exists(f"Failed to create batch: {key}")
            job_key = JobKey(scope, job.reference.job_id)
            self._store.add_job(job_key, job, operation=str(uuid.uuid4()))
            self._store.add_batch(key, batch, job_key.id)
            self._store.put_request("batch", scope, request.request_id, batch_id)
        self._start(job_key)
        return self._operation(key)

    def get(self, request: GetBatchRequest) -> Batch:
        """One batch as it is now."""
        return self._require(_key(request.name))

    def find(self, request: ListBatchesRequest) -> ListBatchesResponse:
        """A page of the batches that pass the filter, newest first."""
        if request.order_by not in ("", "create_time desc"):
            raise unimplemented(f"Ordering batches by {request.order_by}")
        scope = scope_of(request.parent)
        wanted = Filter(request.filter, ["state", "batch_id"])
        found = []
        for batch_id in self._store.batches(scope):
            batch = self._require(BatchKey(scope, batch_id))
            facts = {"state": {batch.state.name}, "batch_id": {batch_id}}
            if wanted.accepts(facts, batch.labels):
                found.append(batch)
        some, token = page(found, request.page_size, request.page_token)
        return ListBatchesResponse(batches=list(some), next_page_token=token)

    def delete(self, request: DeleteBatchRequest) -> empty_pb2.Empty:
        """Forget a batch that has ended."""
        key = _key(request.name)
        with self._store.transaction():
            batch = self._require(key)
            if batch.state not in _FINAL:
                raise failed_precondition(
                    f"Cannot delete batch {key} in state {batch.state.name}: cancel it before"
                )
            self._store.drop_batch(key)
        return empty_pb2.Empty()

    def operation(self, name: str) -> operations_pb2.Operation | None:
        """The long-running operation of that name, if it is a batch's."""
        key = self.key_of_operation(name)
        return self._operation(key) if key else None

    def key_of_operation(self, name: str) -> BatchKey | None:
        """The batch whose operation has that name."""
        found = find_id(name, "operations")
        job = self._store.job_of_operation(*found) if found else None
        return self._store.batch_of_job(job) if job else None

    def cancel(self, key: BatchKey) -> None:
        """Ask for the end of a batch; nothing if it has ended."""
        with self._store.transaction():
            found = self._store.batch(key)
            if found is None:
                raise not_found(str(key))
            job_key = JobKey(key.scope, found[1])
            job = self._store.require_job(job_key)
            if job.status.state not in CANCELLABLE:
                return
            enter(job, JobStatus.State.CANCEL_PENDING)
            self._store.update_job(job_key, job, active=True)
        self._cancel(job_key)

    def _fill_in(self, key: BatchKey, batch: Batch) -> Job:
        """What Google fills in for a new batch; the job that carries it out."""
        scope = key.scope
        batch.name = f"projects/{scope.project}/locations/{scope.region}/batches/{key.id}"
        batch.uuid = str(uuid.uuid4())
        batch.create_time = moment(time.time())
        bucket = batch.environment_config.execution_config.staging_bucket
        if not bucket:
            bucket = f"dataproc-staging-{scope.region}-{crc32(scope.project.encode()):010d}-local"
            self._make_bucket(scope.project, bucket)
        job_id = f"srvls-batch-{batch.uuid}"
        folder = f"gs://{bucket}/google-cloud-dataproc-metainfo/{batch.uuid}/jobs/{job_id}/"
        return Job(
            **work_of_batch(batch),
            reference=JobReference(project_id=scope.project, job_id=job_id),
            labels={**batch.labels, ID_LABEL: key.id},
            job_uuid=batch.uuid,
            status=JobStatus(state=JobStatus.State.PENDING, state_start_time=batch.create_time),
            driver_control_files_uri=folder,
            driver_output_resource_uri=f"{folder}driveroutput",
        )

    def _require(self, key: BatchKey) -> Batch:
        found = self._store.batch(key)
        if found is None:
            raise not_found(str(key))
        batch, job_key = found[0], JobKey(key.scope, found[1])
        job = self._store.require_job(job_key)
        batch.state = State(_STATES[job.status.state])
        batch.state_message = job.status.details.replace("Job ", "Batch ", 1)
        batch.state_time = job.status.state_start_time
        batch.state_history = [
            Batch.StateHistory(state=_STATES[was.state], state_start_time=was.state_start_time)
            for was, then in pairwise([*job.status_history, job.status])
            if _STATES[was.state] != _STATES[then.state]
        ]
        batch.runtime_info.output_uri = job.driver_output_resource_uri
        batch.operation = f"{key.scope}/operations/{self._store.job_operation(job_key)}"
        return batch

    def _operation(self, key: BatchKey) -> operations_pb2.Operation:
        batch = self._require(key)
        operation = operations_pb2.Operation(name=batch.operation)
        metadata = BatchOperationMetadata(
            batch=batch.name,
            batch_uuid=batch.uuid,
            create_time=batch.create_time,
            operation_type=BatchOperationMetadata.BatchOperationType.BATCH,
            description="Batch",
            labels=batch.labels,
        )
        operation.metadata.Pack(BatchOperationMetadata.pb(metadata))
        operation.done = batch.state in _FINAL
        if batch.state == State.SUCCEEDED:
            operation.response.Pack(Batch.pb(batch))
        elif batch.state == State.FAILED:
            end_in_error(operation, grpc.StatusCode.ABORTED, batch.state_message)
        elif batch.state == State.CANCELLED:
            end_in_error(operation, grpc.StatusCode.CANCELLED, batch.state_message)
        return operation


def _key(name: str) -> BatchKey:
    return BatchKey(*id_of(name, "batches"))
