"""``dataproc.submit_batch``: Spark without a cluster, under the id of the try."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from google.api_core.exceptions import AlreadyExists, GoogleAPICallError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.dataproc_v1 import Batch

from pydag_dist.dag.dataproc_params import DataprocSubmitBatch
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

State = Batch.State
FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
_ACTIVE = "state = PENDING or state = RUNNING"
_WORTH_A_LIST = 3  # batches

log = logging.getLogger(__name__)


class SubmitBatch(RemoteOperator):
    """Result: batch_id, project, region, link, driver_output."""

    first_interval = 5.0  # a batch needs a minute to begin

    def local(self) -> bool:
        """Whether batches go to a Dataproc on this machine."""
        return google.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and id of this try's batch, and how far its output was read."""
        params = parsed_params(context, DataprocSubmitBatch)
        access = google.access(context.settings, params.connection, params.project)
        batch_id = remote_ids.job_id(
            "batch", context.dag_id, context.run_id, context.task_id, context.try_number
        )
        with google.explained(f"Dataproc batch {batch_id}"):
            project = google.project_of(access, local=self.local())
        return {
            "connection": params.connection,
            "project": project,
            "region": params.region,
            "batch_id": batch_id,
            "output": driver_output.new_cursor(),
        }

    def submit(self, context: TaskContext) -> Handle:
        """Create the batch; if its id is there, it is this try's own."""
        params = parsed_params(context, DataprocSubmitBatch)
        handle = self.handle(context)
        batch_id = handle["batch_id"]
        try:
            batch = Batch(
                labels=params.labels | google.labels(context), **spark_work.of_batch(params)
            )
        except (TypeError, ValueError) as error:
            raise TaskFailed(f"params of {context.operator}: environment: {error}") from None
        request = {"parent": _parent(handle), "batch": batch, "batch_id": batch_id}
        with google.explained(f"Dataproc batch {batch_id}"):
            client = _client(context, handle)
            try:
                google.call(context.log, client.create_batch, request=request, retry=None)
                context.log.info("submitted Dataproc batch %s", batch_id)
            except AlreadyExists:
                context.log.info("found Dataproc batch %s, which this try submitted", batch_id)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the batch, and log what its driver has printed since."""
        with google.explained(f"Dataproc batch {handle['batch_id']}"):
            return self._progress(context, handle, _get(context, handle))

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """One list a region has the batches that still run; only the others are asked for."""
        for some in by_place(asked, "connection", "project", "region"):
            try:
                active = _active(some)
            except RemoteStateUnknown as error:
                log.warning("Dataproc batches can't be listed: %s", error)
                continue
            others = []
            for one in some:
                if patience.is_out():
                    return
                if batch := active.get(one.handle["batch_id"]):
                    yield one, answer_of(partial(self._progress, one.context, one.handle, batch))
                else:
                    others.append(one)
            yield from answers_at_once(self, others)

    def _progress(self, context: TaskContext, handle: Handle, batch: Batch) -> Pending | Done:
        batch_id, state = handle["batch_id"], batch.state
        over = state in FINAL
        if uri := batch.runtime_info.output_uri:
            driver_output.follow(
                context, _access(context, handle), uri, handle["output"], over=over
            )
            if over and patience.is_out():
                return Pending(f"Dataproc batch {state.name}, its output is being read")
        if state in (State.FAILED, State.CANCELLED):
            said = batch.state_message or "no message"
            last = driver_output.last_lines(handle["output"])
            raise TaskFailed(
                f"Dataproc batch {batch_id} ended as {state.name}: {said}\n{last}".strip()
            )
        if not over:
            return Pending(f"Dataproc batch {state.name}")
        return Done(
            {
                "batch_id": batch_id,
                "project": handle["project"],
                "region": handle["region"],
                "link": google.console_link(f"batches/{handle['region']}/{batch_id}", handle),
                "driver_output": batch.runtime_info.output_uri,
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Cancel the batch's operation, which ends it, and wait until it has."""
        name = f"Dataproc batch {handle['batch_id']}"
        with google.explained(f"cancelling {name}"):
            client = _client(context, handle)
            try:
                batch = _get(context, handle)
            except NotFound as error:
                context.log.info("nothing to cancel: %s", error.message)
                return
            if batch.state in FINAL:
                return
            request = {"name": batch.operation}
            google.call(context.log, client.cancel_operation, request=request, retry=None)
            wait_until_over(context, name, lambda: _get(context, handle).state in FINAL)


def _access(context: TaskContext, handle: Handle) -> google.Access:
    return google.access(context.settings, handle["connection"], handle["project"])


def _client(context: TaskContext, handle: Handle) -> google.BatchClient:
    return google.batch_client(_access(context, handle), handle["region"])


def _get(context: TaskContext, handle: Handle) -> Batch:
    client = _client(context, handle)
    request = {"name": f"{_parent(handle)}/batches/{handle['batch_id']}"}
    return google.call(context.log, client.get_batch, request=request, retry=None)


def _active(asked: Sequence[Asked]) -> dict[str, Batch]:
    """Id -> batch of those that have not ended in the tries' region; maybe not of all."""
    if len(asked) < _WORTH_A_LIST:
        return {}
    first, *_ = asked
    request = {"parent": _parent(first.handle), "filter": _ACTIVE}

    def listed(timeout: float) -> list[Batch]:
        return list(client.list_batches(request=request, retry=None, timeout=timeout))

    try:
        client = _client(first.context, first.handle)
        batches = google.call(log, listed)
    except (GoogleAPICallError, GoogleAuthError, TaskFailed) as error:
        log.warning("Dataproc batches can't be listed, they are asked for one by one: %s", error)
        return {}
    return {batch.name.rpartition("/")[2]: batch for batch in batches}


def _parent(handle: Handle) -> str:
    return f"projects/{handle['project']}/locations/{handle['region']}"
