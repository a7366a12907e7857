"""``dataproc.submit_batch``: Spark without a cluster, under the id of the try."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from google.api_core.exceptions import AlreadyExists, FailedPrecondition
from google.cloud.dataproc_v1 import Batch

from pydag_dist.dag.params.dataproc import DataprocSubmitBatch
from workers.contract.answer import Asked, Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.wait import wait_until_over
from workers.errors import TaskFailed
from workers.google import answers, clients, remote_ids
from workers.google.access import access_of, access_to, project_of
from workers.google.clients import is_there
from workers.google.job import GoogleJob
from workers.operators.dataproc import driver_output, spark_work

State = Batch.State
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
_ACTIVE = "state = PENDING or state = RUNNING"


class SubmitBatch(GoogleJob):
    """Result: batch_id, project, region, link, driver_output."""

    kind = "Dataproc batches"
    place_names = ("connection", "project", "region")

    first_interval = 5.0  # a batch needs a minute to begin

    def local(self) -> bool:
        """Whether batches go to a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's batch, and how far its output was read."""
        params = parsed_params(context, DataprocSubmitBatch)
        access = access_to(context.settings, params.connection, params.project)
        batch_id = remote_ids.job_id(
            "batch", context.dag_id, context.run_id, context.task_id, context.try_number
        )
        with answers.explained(f"Dataproc batch {batch_id}"):
            project = project_of(access, local=self.local())
        return {
            "connection": params.connection,
            "project": project,
            "region": params.region,
            "batch_id": batch_id,
            "output": driver_output.new_cursor(),
        }

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:  # noqa: ARG002
        """None: the handle says it all."""
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Create the batch; if its id is there, it is this try's own."""
        params = parsed_params(context, DataprocSubmitBatch)
        handle = self.handle(context)
        batch_id = handle["batch_id"]
        try:
            batch = Batch(
                labels=params.labels | clients.labels(context), **spark_work.of_batch(params)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TaskFailed(f"params of {context.operator}: environment: {error}") from None
        request = {"parent": _parent(handle), "batch": batch, "batch_id": batch_id}
        with answers.explained(f"Dataproc batch {batch_id}"):
            client = _client(context, handle)
            try:
                clients.call(context.log, client.create_batch, request=request, retry=None)
                context.log.info("submitted Dataproc batch %s", batch_id)
            except AlreadyExists:
                context.log.info("found Dataproc batch %s, which this try submitted", batch_id)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the batch, and log what its driver has printed since."""
        with answers.asking(f"Dataproc batch {handle['batch_id']}"):
            found = _get(context, handle)
        return self.progress(context, handle, found)

    def progress(self, context: TaskContext, handle: Handle, job: Batch) -> Pending | Done:
        """How a batch comes along; logs what its driver has printed since."""
        batch_id, state = handle["batch_id"], job.state
        run = spark_work.Run(
            f"Dataproc batch {batch_id}",
            state.name,
            over=state in FINAL,
            failed=state in (State.FAILED, State.CANCELLED),
            said=job.state_message or "no message",
            output_uri=job.runtime_info.output_uri,
        )
        if pending := spark_work.pending(context, handle, run):
            return pending
        return Done(
            {
                "batch_id": batch_id,
                "project": handle["project"],
                "region": handle["region"],
                "link": clients.console_link(f"batches/{handle['region']}/{batch_id}", handle),
                "driver_output": job.runtime_info.output_uri,
            }
        )

    def active(self, asked: Sequence[Asked], timeout: float) -> dict[Hashable, Batch]:
        """The region's batches that have not ended."""
        first, *_ = asked
        request = {"parent": _parent(first.handle), "filter": _ACTIVE}
        client = _client(first.context, first.handle)
        batches = client.list_batches(request=request, retry=None, timeout=timeout)
        return {batch.name.rpartition("/")[2]: batch for batch in batches}

    def id_of(self, handle: Handle) -> Hashable:
        """Ids are unique within a project's region."""
        return str(handle["batch_id"])

    def job(self, context: TaskContext, handle: Handle) -> Batch:
        """The batch as Dataproc has it now."""
        return _get(context, handle)

    def ended(self, job: Batch) -> bool | None:
        """Whether a batch has ended well; None if it has not ended."""
        return job.state == State.SUCCEEDED if job.state in FINAL else None

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Cancel the batch's operation, which ends it, and wait until it has."""
        name = f"Dataproc batch {handle['batch_id']}"
        with answers.asking(f"cancelling {name}"):
            if not is_there(context, lambda **_: _get(context, handle)):
                return
            batch = _get(context, handle)
            if batch.state in FINAL:
                return
            request = {"name": batch.operation}
            client = _client(context, handle)
            try:
                clients.call(context.log, client.cancel_operation, request=request, retry=None)
            except FailedPrecondition as error:  # it has ended meanwhile
                context.log.info("%s", error.message)
        wait_until_over(context, name, lambda: self.is_over(context, handle))


def _client(context: TaskContext, handle: Handle) -> clients.BatchClient:
    return clients.batch_client(access_of(context, handle), handle["region"])


def _get(context: TaskContext, handle: Handle) -> Batch:
    client = _client(context, handle)
    request = {"name": f"{_parent(handle)}/batches/{handle['batch_id']}"}
    return clients.call(context.log, client.get_batch, request=request, retry=None)


def _parent(handle: Handle) -> str:
    return f"projects/{handle['project']}/locations/{handle['region']}"
