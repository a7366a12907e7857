"""``dataproc.submit_batch``: Spark without a cluster, under the id of the try."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from google.api_core.exceptions import FailedPrecondition
from google.cloud.dataproc_v1 import Batch

from pydag_dist.dag.params.dataproc import DataprocSubmitBatch
from workers.contract.answer import Asked, Handle
from workers.contract.context import TaskContext, parsed_params
from workers.errors import TaskFailed
from workers.google import clients
from workers.google.access import access_of
from workers.operators.dataproc.spark import SparkOperator, SparkRun, work_of

State = Batch.State
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
_ACTIVE = "state = PENDING or state = RUNNING"


class SubmitBatch(SparkOperator):
    """Result: batch_id, project, region, link, driver_output."""

    noun, service = "batch", "batch"
    kind = "Dataproc batches"
    place_names = ("connection", "project", "region")

    first_interval = 5.0  # a batch needs a minute to begin

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's batch, and how far its output was read."""
        params = parsed_params(context, DataprocSubmitBatch)
        return self.handle_in(context, params.connection, params.project, region=params.region)

    def create(self, context: TaskContext, handle: Handle) -> None:
        """Create the batch."""
        params = parsed_params(context, DataprocSubmitBatch)
        try:
            batch = Batch(labels=params.labels | clients.labels(context), **_work(params))
        except (KeyError, TypeError, ValueError) as error:
            raise TaskFailed(f"params of {context.operator}: environment: {error}") from None
        request = {"parent": _parent(handle), "batch": batch, "batch_id": handle["batch_id"]}
        client = _client(context, handle)
        clients.call(context.log, client.create_batch, request=request, retry=None)
        context.log.info("submitted %s", self.name(handle))

    def run_of(self, job: Batch) -> SparkRun:
        """How a batch is."""
        return SparkRun(
            job.state.name,
            over=job.state in FINAL,
            failed=job.state in (State.FAILED, State.CANCELLED),
            message=job.state_message or "no message",
            output_uri=job.runtime_info.output_uri,
        )

    def identity(self, handle: Handle) -> dict[str, Any]:
        """Its region."""
        page = f"batches/{handle['region']}/{handle['batch_id']}"
        return {"region": handle["region"], "link": clients.console_link(page, handle)}

    def active(self, asked: Sequence[Asked], timeout: float) -> dict[Hashable, Batch]:
        """The region's batches that have not ended."""
        first, *_ = asked
        request = {"parent": _parent(first.handle), "filter": _ACTIVE}
        client = _client(first.context, first.handle)
        batches = client.list_batches(request=request, retry=None, timeout=timeout)
        return {batch.name.rpartition("/")[2]: batch for batch in batches}

    def job(self, context: TaskContext, handle: Handle) -> Batch:
        """The batch as Dataproc has it now."""
        client = _client(context, handle)
        request = {"name": f"{_parent(handle)}/batches/{handle['batch_id']}"}
        return clients.call(context.log, client.get_batch, request=request, retry=None)

    def stop(self, context: TaskContext, handle: Handle) -> bool:
        """Cancel the batch's operation, which ends it."""
        if not clients.is_there(context, lambda **_: self.job(context, handle)):
            return False
        batch = self.job(context, handle)
        if batch.state in FINAL:
            return False
        request = {"name": batch.operation}
        client = _client(context, handle)
        try:
            clients.call(context.log, client.cancel_operation, request=request, retry=None)
        except FailedPrecondition as error:  # it has ended meanwhile
            context.log.info("%s", error.message)
        return True


def _work(params: DataprocSubmitBatch) -> dict[str, Any]:
    """The fields of a batch that say what it runs, and on what."""
    work = work_of(params)
    if params.query_variables:
        work["query_variables"] = params.query_variables
    runtime = {
        "version": params.runtime_version,
        "container_image": params.container_image,
        "properties": params.properties,
    }
    return {
        f"{params.kind}_batch": work,
        "runtime_config": {name: value for name, value in runtime.items() if value},
        "environment_config": params.environment,
    }


def _client(context: TaskContext, handle: Handle) -> clients.BatchClient:
    return clients.batch_client(access_of(context, handle), handle["region"])


def _parent(handle: Handle) -> str:
    return f"projects/{handle['project']}/locations/{handle['region']}"
