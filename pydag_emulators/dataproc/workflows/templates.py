"""Workflow templates: what clients may ask of them. `running` carries their workflows out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping

import grpc
from google.cloud.dataproc_v1 import (
    CreateWorkflowTemplateRequest,
    DeleteWorkflowTemplateRequest,
    GetWorkflowTemplateRequest,
    InstantiateInlineWorkflowTemplateRequest,
    InstantiateWorkflowTemplateRequest,
    ListWorkflowTemplatesRequest,
    ListWorkflowTemplatesResponse,
    UpdateWorkflowTemplateRequest,
    WorkflowMetadata,
    WorkflowNode,
    WorkflowTemplate,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pydag_emulators.dataproc.calls.checks import check_request_id
from pydag_emulators.dataproc.calls.lifecycle import moment
from pydag_emulators.dataproc.calls.listing import page
from pydag_emulators.dataproc.calls.operations import end_in_error
from pydag_emulators.dataproc.calls.paths import id_of, scope_of
from pydag_emulators.dataproc.calls.refused import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
)
from pydag_emulators.dataproc.store import Scope, Store
from pydag_emulators.dataproc.workflows.checks import check_template
from pydag_emulators.dataproc.workflows.parameters import filled
from pydag_emulators.dataproc.workflows.records import Records, Workflow

_KIND = "workflowTemplates"


class Templates:
    """Implements google.cloud.dataproc.v1.WorkflowTemplateService.

    `start` is told of every workflow that is new, or whose cancellation was asked for.
    """

    def __init__(self, store: Store, *, start: Callable[[], None]) -> None:
        self._store = store
        self._records = Records(store)
        self._start = start

    def create(self, request: CreateWorkflowTemplateRequest) -> WorkflowTemplate:
        """Add a template."""
        scope, template = scope_of(request.parent), request.template
        check_template(template)
        template.name = f"{request.parent}/{_KIND}/{template.id}"
        template.version = 1
        template.create_time = template.update_time = moment(time.time())
        with self._store.transaction():
            if self._records.template(scope, template.id):
                raise already_exists(f"Workflow template {template.name}")
            self._records.put_template(scope, template)
        return template

    def get(self, request: GetWorkflowTemplateRequest) -> WorkflowTemplate:
        """A template as it is now: earlier versions are not kept."""
        template = self._require(request.name)
        if request.version not in (0, template.version):
            raise not_found(f"Version {request.version} of workflow template {request.name}")
        return template

    def find(self, request: ListWorkflowTemplatesRequest) -> ListWorkflowTemplatesResponse:
        """A page of a region's templates."""
        found = self._records.templates(scope_of(request.parent))
        some, token = page(found, request.page_size, request.page_token)
        return ListWorkflowTemplatesResponse(templates=list(some), next_page_token=token)

    def update(self, request: UpdateWorkflowTemplateRequest) -> WorkflowTemplate:
        """Replace a template, whose version must be the one that is there."""
        template = request.template
        check_template(template)
        with self._store.transaction():
            before = self._require(template.name)
            _check_version(before, template.version)
            template.id, template.create_time = before.id, before.create_time
            template.version, template.update_time = before.version + 1, moment(time.time())
            self._records.put_template(id_of(template.name, _KIND)[0], template)
        return template

    def delete(self, request: DeleteWorkflowTemplateRequest) -> empty_pb2.Empty:
        """Forget a template; its workflows go on."""
        scope, template_id = id_of(request.name, _KIND)
        with self._store.transaction():
            template = self._require(request.name)
            _check_version(template, request.version)
            self._records.drop_template(scope, template_id)
        return empty_pb2.Empty()

    def instantiate(self, request: InstantiateWorkflowTemplateRequest) -> operations_pb2.Operation:
        """Begin a workflow; while one of that request_id runs, there is no second one."""
        template = self._require(request.name)
        _check_version(template, request.version)
        made = filled(template, request.parameters)
        return self._begin(
            id_of(request.name, _KIND)[0], made, request.request_id, request.parameters
        )

    def instantiate_inline(
        self, request: InstantiateInlineWorkflowTemplateRequest
    ) -> operations_pb2.Operation:
        """Likewise, of a template that is nowhere else."""
        scope, template = scope_of(request.parent), request.template
        template.id = template.id or f"inline-{uuid.uuid4()}"
        check_template(template)
        if template.parameters:
            raise invalid("An inline template can't have parameters: they would have no values")
        template.name = f"{request.parent}/{_KIND}/{template.id}"
        return self._begin(scope, template, request.request_id, {})

    def operation(self, name: str) -> operations_pb2.Operation | None:
        """The long-running operation of that name, if it is a workflow's."""
        workflow = self._records.workflow(name)
        return _operation(workflow) if workflow else None

    def cancel(self, name: str) -> bool:
        """Ask for a workflow's end; False if that operation is no workflow's."""
        workflow = self._records.workflow(name)
        if workflow and "dag_end_time" not in workflow.metadata:
            self._records.cancel(name)
            self._start()
        return workflow is not None

    def _begin(
        self,
        scope: Scope,
        template: WorkflowTemplate,
        request_id: str,
        parameters: Mapping[str, str],
    ) -> operations_pb2.Operation:
        check_request_id(request_id)
        metadata = WorkflowMetadata(
            template=template.name,
            version=template.version,
            state=WorkflowMetadata.State.PENDING,
            parameters=parameters,
            start_time=moment(time.time()),
            dag_timeout=template.dag_timeout,
        )
        for job in template.jobs:
            steps = list(job.prerequisite_step_ids)
            node = WorkflowNode(
                step_id=job.step_id,
                prerequisite_step_ids=steps,
                state=WorkflowNode.NodeState.BLOCKED if steps else WorkflowNode.NodeState.RUNNABLE,
            )
            metadata.graph.nodes.append(node)
        made = Workflow(f"{scope}/operations/{uuid.uuid4()}", template, metadata)
        with self._store.transaction():
            earlier = self._records.of_request(scope, request_id)
            if earlier and not earlier.is_over:
                return _operation(earlier)
            self._records.add(made, request_id)
        self._start()
        return _operation(made)

    def _require(self, name: str) -> WorkflowTemplate:
        template = self._records.template(*id_of(name, _KIND))
        if template is None:
            raise not_found(f"Workflow template {name}")
        return template


def _operation(workflow: Workflow) -> operations_pb2.Operation:
    operation = operations_pb2.Operation(name=workflow.operation, done=workflow.is_over)
    operation.metadata.Pack(WorkflowMetadata.pb(workflow.metadata))
    if not workflow.is_over:
        return operation
    if workflow.cancelled:
        end_in_error(operation, grpc.StatusCode.CANCELLED, "Workflow was cancelled.")
    elif workflow.error:
        end_in_error(operation, grpc.StatusCode.ABORTED, workflow.error)
    else:
        operation.response.Pack(empty_pb2.Empty())
    return operation


def _check_version(template: WorkflowTemplate, wanted: int) -> None:
    if wanted not in (0, template.version):
        raise failed_precondition(
            f"Workflow template {template.name} has version {template.version}, not {wanted}"
        )
