"""Carries workflows out: a cluster, the jobs in the order of their prerequisites, no cluster.

Each step is found done by what the database has, so that a service that was killed goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta

from google.cloud.dataproc_v1 import (
    CancelJobRequest,
    ClusterStatus,
    CreateClusterRequest,
    DeleteClusterRequest,
    Job,
    JobStatus,
    ListClustersRequest,
    SubmitJobRequest,
    WorkflowMetadata,
    WorkflowNode,
)

from pydag_emulators.dataproc.calls.clusters import Clusters
from pydag_emulators.dataproc.calls.jobs import FINAL, Jobs
from pydag_emulators.dataproc.calls.lifecycle import moment
from pydag_emulators.dataproc.calls.refused import Refused
from pydag_emulators.dataproc.store import JobKey, Store
from pydag_emulators.dataproc.workflows.checks import job_of
from pydag_emulators.dataproc.workflows.records import Records, Workflow

LOOK = 0.1  # seconds between two looks at what runs
_SUFFIX = 13  # characters that make a cluster's or job's name unique

State, Node = WorkflowMetadata.State, WorkflowNode.NodeState
_OPEN = (Node.BLOCKED, Node.RUNNABLE, Node.RUNNING)

log = logging.getLogger(__name__)


class Running:
    """One thread that takes all workflows further."""

    def __init__(self, store: Store, clusters: Clusters, jobs: Jobs) -> None:
        self._store = store
        self._records = Records(store)
        self._clusters = clusters
        self._jobs = jobs
        self._wanted, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="dataproc-workflows", daemon=True)

    def begin(self) -> None:
        """Go on where an earlier service stopped or was killed."""
        self.start()
        self._thread.start()

    def start(self) -> None:
        """Look at all workflows: one is new, or is to end."""
        self._wanted.set()

    def stop(self) -> None:
        """Leave the workflows as they are."""
        self._stopped.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopped.is_set():
            self._wanted.clear()
            for workflow in (active := self._records.active()):
                self._advance(workflow)
            if active:
                self._stopped.wait(LOOK)
                self._wanted.set()

    def _advance(self, workflow: Workflow) -> None:
        """Do what can be done now."""
        try:
            self._take_further(workflow)
        except Exception as error:  # of its cluster, or a bug: it must not go on for ever
            why = error.message if isinstance(error, Refused) else f"It failed here: {error!r}"
            log.warning("%s: %s", workflow.operation, why, exc_info=True)
            workflow.error = workflow.error or why
            self._end_nodes(workflow, why)
            self._finish(workflow)
        self._records.update(workflow)

    def _take_further(self, workflow: Workflow) -> None:
        metadata = workflow.metadata
        metadata.state = State(State.RUNNING)
        if "dag_start_time" not in metadata and not self._has_cluster(workflow):
            return
        if "dag_end_time" not in metadata:
            if self._is_to_end(workflow):
                self._end_jobs(workflow)
            self._look_at_jobs(workflow)
            if any(node.state in _OPEN for node in metadata.graph.nodes):
                return
            metadata.dag_end_time = moment(time.time())
        if self._is_cluster_gone(workflow):
            self._finish(workflow)

    def _has_cluster(self, workflow: Workflow) -> bool:
        """Whether there is a cluster for the jobs, or none will be."""
        metadata, scope = workflow.metadata, workflow.scope
        placement = workflow.template.placement
        if workflow.cancelled and not metadata.cluster_name:
            metadata.dag_start_time = moment(time.time())
            return True
        if "managed_cluster" in placement:
            managed = placement.managed_cluster
            metadata.cluster_name = (
                f"{managed.cluster_name}-{workflow.uuid.replace('-', '')[:_SUFFIX]}"
            )
            cluster = {
                "cluster_name": metadata.cluster_name,
                "config": managed.config,
                "labels": {**workflow.template.labels, **managed.labels, **_own_labels(workflow)},
            }
            operation = self._clusters.create(
                CreateClusterRequest(
                    project_id=scope.project,
                    region=scope.region,
                    cluster=cluster,
                    request_id=workflow.uuid,
                )
            )
            metadata.create_cluster.operation_id = operation.name
            metadata.create_cluster.done = operation.done
            if not operation.done:
                return False
            if operation.error.code:
                metadata.create_cluster.error = workflow.error = operation.error.message
        else:
            metadata.cluster_name = self._selected(workflow)
        if metadata.cluster_name and not workflow.error:
            cluster = self._clusters.require(scope, metadata.cluster_name)
            metadata.cluster_uuid = cluster.cluster_uuid
        metadata.dag_start_time = moment(time.time())
        return True

    def _selected(self, workflow: Workflow) -> str:
        """The name of a running cluster that has the selector's labels."""
        labels = workflow.template.placement.cluster_selector.cluster_labels
        terms = [f"labels.{key} = {value}" for key, value in labels.items()]
        request = ListClustersRequest(
            project_id=workflow.scope.project,
            region=workflow.scope.region,
            filter=" AND ".join(["status.state = RUNNING", *terms]),
        )
        found = self._clusters.find(request).clusters
        if not found:
            workflow.error = f"No running cluster has the labels {dict(labels)}"
            return ""
        return str(found[0].cluster_name)

    def _is_to_end(self, workflow: Workflow) -> bool:
        metadata = workflow.metadata
        if "dag_timeout" in metadata and metadata.dag_timeout > timedelta(0):
            until = metadata.dag_start_time.timestamp() + metadata.dag_timeout.total_seconds()
            if time.time() > until:
                workflow.error = workflow.error or "Workflow exceeded its dag_timeout."
        return workflow.cancelled or bool(workflow.error)

    def _end_jobs(self, workflow: Workflow) -> None:
        """Cancel the jobs that run, and let no other begin."""
        for node in workflow.metadata.graph.nodes:
            if node.state != Node.RUNNING:
                continue
            scope = workflow.scope
            with suppress(Refused):  # it has ended, or is being cancelled
                self._jobs.cancel(
                    CancelJobRequest(
                        project_id=scope.project, region=scope.region, job_id=node.job_id
                    )
                )
        self._end_nodes(workflow, workflow.error or "Workflow was cancelled.", running=False)

    def _end_nodes(self, workflow: Workflow, why: str, *, running: bool = True) -> None:
        for node in workflow.metadata.graph.nodes:
            if node.state in _OPEN and (running or node.state != Node.RUNNING):
                _enter(node, Node.FAILED, why)

    def _look_at_jobs(self, workflow: Workflow) -> None:
        nodes = workflow.metadata.graph.nodes
        for node in nodes:
            if node.state == Node.RUNNING:
                self._look_at_job(workflow, node)
        done = {node.step_id for node in nodes if node.state == Node.COMPLETED}
        for node in nodes:
            if node.state in (Node.BLOCKED, Node.RUNNABLE) and done.issuperset(
                node.prerequisite_step_ids
            ):
                self._submit(workflow, node)

    def _look_at_job(self, workflow: Workflow, node: WorkflowNode) -> None:
        job = self._job(workflow, node)
        if job is not None and job.status.state not in FINAL:
            return
        if job is not None and job.status.state == JobStatus.State.DONE:
            _enter(node, Node.COMPLETED)
            return
        _enter(node, Node.FAILED, job.status.details if job else "Job was deleted.")
        if not workflow.cancelled:
            workflow.error = workflow.error or f"Job {node.job_id} failed: {node.error}"

    def _submit(self, workflow: Workflow, node: WorkflowNode) -> None:
        if workflow.error or workflow.cancelled:
            return
        (step,) = (job for job in workflow.template.jobs if job.step_id == node.step_id)
        node.job_id = f"{node.step_id}-{workflow.uuid.replace('-', '')[:_SUFFIX]}"
        _enter(node, Node.RUNNING)
        if self._job(workflow, node):
            return  # by a service that was killed before it could note so
        job = job_of(step)
        job.reference.job_id = node.job_id
        job.placement.cluster_name = workflow.metadata.cluster_name
        job.labels.update(workflow.template.labels)
        job.labels.update(_own_labels(workflow))
        job.labels["goog-dataproc-workflow-step-id"] = node.step_id.lower()
        scope = workflow.scope
        request = SubmitJobRequest(project_id=scope.project, region=scope.region, job=job)
        try:
            self._jobs.submit(request)
        except Refused as refused:
            _enter(node, Node.FAILED, refused.message)
            workflow.error = f"Step {node.step_id}: {refused.message}"

    def _job(self, workflow: Workflow, node: WorkflowNode) -> Job | None:
        return self._store.job(JobKey(workflow.scope, node.job_id))

    def _is_cluster_gone(self, workflow: Workflow) -> bool:
        """Whether the workflow's own cluster was deleted, or it has none."""
        metadata, scope = workflow.metadata, workflow.scope
        is_own = "managed_cluster" in workflow.template.placement
        cluster = self._clusters.current(scope, metadata.cluster_name) if is_own else None
        if cluster is None:
            metadata.delete_cluster.done = is_own and bool(metadata.cluster_name)
            return True
        if cluster.status.state != ClusterStatus.State.DELETING:
            operation = self._clusters.delete(
                DeleteClusterRequest(
                    project_id=scope.project,
                    region=scope.region,
                    cluster_name=metadata.cluster_name,
                )
            )
            metadata.delete_cluster.operation_id = operation.name
        return False

    def _finish(self, workflow: Workflow) -> None:
        workflow.metadata.state = State(State.DONE)
        workflow.metadata.end_time = moment(time.time())


def _enter(node: WorkflowNode, state: int, error: str = "") -> None:
    node.state, node.error = Node(state), error


def _own_labels(workflow: Workflow) -> dict[str, str]:
    return {
        "goog-dataproc-workflow-instance-id": workflow.uuid,
        "goog-dataproc-workflow-template-id": workflow.template.id.lower(),
    }
