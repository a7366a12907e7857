"""``dataproc.workflow_template``: a workflow of Dataproc's, under the request id of the try.

Dataproc names a workflow itself, in its answer to the request. So that answer is noted in Redis: a
try that is executed again asks for the workflow that is noted. If a worker dies before it could
note it, the request is repeated with its id, of which Dataproc runs no second workflow at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    NotFound,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.dataproc_v1 import WorkflowMetadata, WorkflowNode, WorkflowTemplate

from pydag_dist.dag.params.dataproc import DataprocWorkflowTemplate
from workers.contract.answer import Answer, Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import RemoteOperator
from workers.contract.wait import wait_until_over
from workers.errors import RemoteJobLost, RemoteStateUnknown, TaskFailed
from workers.google import answers, clients, remote_ids
from workers.google.access import access_of, connection_and_project
from workers.operators.dataproc import driver_output
from workers.process import until_redis_can

Node = WorkflowNode.NodeState

_REMEMBERED = 7 * 86400  # seconds
_ASKED_FOR = "-"  # the note of a workflow whose name is not known yet
_SHOWN = 5  # jobs that an error tells of


class RunWorkflow(RemoteOperator):
    """Result: operation, template, version, cluster_name, jobs, project, region, link."""

    first_interval = 5.0  # a cluster of its own needs a minute to begin

    def local(self) -> bool:
        """Whether workflows are of a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and request id; the operation, if it is known already."""
        params = parsed_params(context, DataprocWorkflowTemplate)
        request_id = remote_ids.of_try("request", context)
        what = f"Dataproc workflow {request_id}"
        local = self.local()
        return {
            **connection_and_project(context, what, params.connection, params.project, local=local),
            "region": params.region,
            "request_id": request_id,
            "operation": None,
        }

    def submit(self, context: TaskContext) -> Handle:
        """Begin the workflow, or find the one that this try began."""
        handle = self.handle(context)
        with answers.explained(of=_name(handle)):
            noted = _noted(context, handle)
            if noted and noted != _ASKED_FOR:
                context.log.info("found %s, which this try began", _name(handle))
                return {**handle, "operation": noted}
            return {**handle, "operation": self._begin(context, handle)}

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the workflow's operation."""
        with answers.asking(of=_name(handle)):
            operation = _operation(context, handle)
            workflow = _metadata(operation)
        if not operation.done:
            return Pending(f"Dataproc workflow {_progress(workflow)}")
        if operation.error.code:
            raise TaskFailed(_why_failed(context, handle, operation))
        name = handle["operation"]
        page = f"workflows/instances/{handle['region']}/{name.rpartition('/')[2]}"
        return Done(
            {
                "operation": name,
                "template": workflow.template.rpartition("/")[2],
                "version": workflow.version,
                "cluster_name": workflow.cluster_name,
                "jobs": {node.step_id: node.job_id for node in workflow.graph.nodes},
                "project": handle["project"],
                "region": handle["region"],
                "link": clients.console_link(page, handle),
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Cancel its operation: that ends its jobs, and deletes a cluster of its own."""
        with answers.asking("cancelling", of=_name(handle)):
            handle["operation"] = handle["operation"] or self._known(context, handle)
            if handle["operation"] is None or not self._is_there(context, handle):
                return
            if _operation(context, handle).done:
                return
            client, request = _client(context, handle), {"name": handle["operation"]}
            try:
                clients.call(context.log, client.cancel_operation, request=request, retry=None)
            except FailedPrecondition as error:  # it has ended meanwhile
                context.log.info("%s", error.message)
        wait_until_over(context, _name(handle), lambda: self._is_over(context, handle))

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:
        """How a workflow is that was told to stop."""
        with answers.asking(of=_name(handle)):
            handle["operation"] = handle["operation"] or self._known(context, handle)
            if handle["operation"] is None:
                return None
            try:
                operation = _operation(context, handle)
            except NotFound:
                return None
        if not operation.done:
            return Pending(f"Dataproc workflow {_progress(_metadata(operation))}")
        if operation.error.code:
            return TaskFailed("it has ended, and not well")
        return self.poll(context, handle)

    def _begin(self, context: TaskContext, handle: Handle) -> str:
        """Ask for a workflow, and note which one it is."""
        params = parsed_params(context, DataprocWorkflowTemplate)
        client, place = _client(context, handle), _place(handle)
        request: dict[str, Any] = {"request_id": handle["request_id"]}
        instantiate: Callable[..., Any]
        if params.template_id is not None:
            request |= {
                "name": f"{place}/workflowTemplates/{params.template_id}",
                "version": params.version or 0,
                "parameters": params.parameters,
            }
            instantiate = client.instantiate_workflow_template
        else:
            request |= {"parent": place, "template": _template(context, params, handle)}
            instantiate = client.instantiate_inline_workflow_template
        _note(context, handle, _ASKED_FOR)
        try:
            begun = clients.call(context.log, instantiate, request=request, retry=None)
        except AlreadyExists as error:  # as the answer to a repeated request, for all that is known
            raise RemoteJobLost(
                f"Dataproc has {_name(handle)}, and does not say which it is: {error.message}. "
                f"Look at it, then `pydag resume {context.run_id}` or `pydag mark`"
            ) from None
        except (GoogleAPICallError, GoogleAuthError):  # it was refused, so there is none
            if not context.is_repeated:
                _note(context, handle, "")
            raise
        name = str(begun.operation.name)
        _note(context, handle, name)
        context.log.info("began %s: %s", _name(handle), name)
        return name

    def _known(self, context: TaskContext, handle: Handle) -> str | None:
        """The name of the try's workflow, None if none was asked for.

        If only that much is known, it is asked for again: that tells the name of one that runs.
        """
        noted = _noted(context, handle)
        return self._begin(context, handle) if noted == _ASKED_FOR else noted or None

    def _is_there(self, context: TaskContext, handle: Handle) -> bool:
        client, request = _client(context, handle), {"name": handle["operation"]}
        return clients.is_there(context, partial(client.get_operation, request=request, retry=None))

    def _is_over(self, context: TaskContext, handle: Handle) -> bool:
        with answers.asking("whether it has stopped", of=_name(handle)):
            return bool(_operation(context, handle).done)


def _template(
    context: TaskContext, params: DataprocWorkflowTemplate, handle: Handle
) -> WorkflowTemplate:
    """The template of the params; its labels go to its jobs and its cluster."""
    try:
        template = WorkflowTemplate({"id": handle["request_id"], **(params.template or {})})
        template.labels.update(params.labels | clients.labels(context))
    except (KeyError, TypeError, ValueError) as error:
        raise TaskFailed(f"params of {context.operator}: template: {error}", final=True) from None
    return template


def _operation(context: TaskContext, handle: Handle) -> Any:
    client, request = _client(context, handle), {"name": handle["operation"]}
    return clients.call(context.log, client.get_operation, request=request, retry=None)


def _metadata(operation: Any) -> WorkflowMetadata:
    found = WorkflowMetadata()
    operation.metadata.Unpack(WorkflowMetadata.pb(found))
    return found


def _progress(workflow: WorkflowMetadata) -> str:
    """As "RUNNING, jobs: 2 COMPLETED, 1 RUNNING"."""
    counts = Counter(node.state.name for node in workflow.graph.nodes)
    jobs = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{workflow.state.name}, jobs: {jobs}"


def _why_failed(context: TaskContext, handle: Handle, operation: Any) -> str:
    """The operation's error, those of its jobs, and the last output of the first that failed."""
    nodes = [node for node in _metadata(operation).graph.nodes if node.state == Node.FAILED]
    ran = [node for node in nodes if node.job_id]
    why = [f"{operation.error.message} ({_name(handle)})"]
    why += [f"step {node.step_id}, job {node.job_id}: {node.error}" for node in ran[:_SHOWN]]
    if ran and (last := _last_output(context, handle, ran[0].job_id)):
        why.append(last)
    return "\n".join(why)


def _last_output(context: TaskContext, handle: Handle, job_id: str) -> str:
    """Logs what a job's driver has printed; its end."""
    access = access_of(context, handle)
    request = {"project_id": handle["project"], "region": handle["region"], "job_id": job_id}
    cursor = driver_output.new_cursor()
    try:
        client = clients.job_client(access, handle["region"])
        job = clients.call(context.log, client.get_job, request=request, retry=None)
    except (GoogleAPICallError, GoogleAuthError, RemoteStateUnknown) as error:
        context.log.warning("the output of job %s can't be read: %s", job_id, error)
        return ""
    if uri := job.driver_output_resource_uri:
        driver_output.follow(context, access, uri, cursor, over=True)
    return driver_output.last_lines(cursor)


def _noted(context: TaskContext, handle: Handle) -> str:
    key = _key_of_notes(context)
    return str(until_redis_can(partial(context.redis.hget, key, handle["request_id"])) or "")


def _note(context: TaskContext, handle: Handle, text: str) -> None:
    key = _key_of_notes(context)
    until_redis_can(partial(context.redis.hset, key, handle["request_id"], text))
    until_redis_can(partial(context.redis.expire, key, _REMEMBERED))


def _key_of_notes(context: TaskContext) -> str:
    return f"{context.key_prefix}:workflows:{context.run_id}"


def _client(context: TaskContext, handle: Handle) -> clients.WorkflowClient:
    return clients.workflow_client(access_of(context, handle), handle["region"])


def _place(handle: Handle) -> str:
    return f"projects/{handle['project']}/regions/{handle['region']}"


def _name(handle: Handle) -> str:
    return f"Dataproc workflow {handle['request_id']}"
