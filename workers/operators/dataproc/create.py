"""``dataproc.create_cluster``: a Dataproc cluster under the user's name, found by its labels."""

from __future__ import annotations

import time
from typing import Any

from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    NotFound,
)
from google.cloud.dataproc_v1 import Cluster, ClusterStatus, DiagnoseClusterResults

from pydag_dist.dag.params.dataproc import DataprocCreateCluster
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import RemoteOperator
from workers.errors import TaskFailed
from workers.google import answers, clients, errors
from workers.operators.dataproc import clusters

State = ClusterStatus.State
# In the last of them a cluster takes jobs; only changing it failed.
READY = (State.RUNNING, State.ERROR_DUE_TO_UPDATE)

_MISSING = 60.0  # seconds that a cluster may not be found until it counts as deleted
_DIAGNOSIS = 600.0  # seconds that a broken cluster's diagnosis gets before the cluster is deleted


class CreateCluster(RemoteOperator):
    """Result: cluster_name, project, region, cluster_uuid, link.

    A cluster of that name may be there already. One that an earlier execution of this task made
    is waited for, unless it is broken: then it is deleted and made again. A stranger's is used
    if the params say so. One that is being deleted is waited for, and then made; one that is
    stopped is started. One that this task made and that becomes broken is deleted, after its
    diagnosis was saved.
    """

    def local(self) -> bool:
        """Whether clusters are of a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and name of the cluster."""
        return {
            **clusters.handle_of(context, parsed_params(context, DataprocCreateCluster)),
            "leaving": False,  # another of its name must go before it can be made
            "missing_since": None,  # epoch seconds: since when Dataproc says that it isn't there
            "diagnosis": None,  # of a broken cluster: its operation, and until when it may take
        }

    def submit(self, context: TaskContext) -> Handle:
        """Begin to create the cluster, or find it."""
        handle = self.handle(context)
        clusters.note_place(context, handle)
        with answers.explained(f"Dataproc cluster {handle['cluster_name']}"):
            self._create(context, handle)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the cluster; it is there when it is RUNNING."""
        name = handle["cluster_name"]
        with answers.asking(f"Dataproc cluster {name}"):
            cluster = clusters.get(context, handle)
            state = cluster.status.state if cluster else None
        if handle["leaving"] and state != State.DELETING:
            with answers.explained(f"Dataproc cluster {name}"):
                self._create(context, handle)
            handle["leaving"] = False
            return Pending(f"Dataproc cluster {name} CREATING")
        if cluster is None:
            return self._missing(handle)
        handle["missing_since"] = None
        if state == State.ERROR:
            return self._broken(context, handle, cluster)
        if state == State.STOPPED:
            with answers.asking(f"starting Dataproc cluster {name}"):
                self._start(context, handle)
        if state not in READY:
            return Pending(f"Dataproc cluster {name} {cluster.status.state.name}")
        return Done(
            {
                "cluster_name": name,
                "project": handle["project"],
                "region": handle["region"],
                "cluster_uuid": cluster.cluster_uuid,
                "link": clients.console_link(f"clusters/{name}/monitoring", handle),
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Delete the cluster if this try made it, or found it as an earlier one's."""
        with answers.asking(f"deleting Dataproc cluster {handle['cluster_name']}"):
            cluster = clusters.get(context, handle)
            if cluster is None or not _is_of_this_task(context, cluster):
                return
            # A later try's cluster is none of the business of a cancellation that comes late.
            made_by = cluster.labels.get("pydag-try", "")
            if made_by.isdecimal() and int(made_by) <= context.try_number:
                clusters.delete(context, handle, cluster)

    def settle(self, context: TaskContext, handle: Handle) -> None:
        """Leave an earlier try's cluster alone: `submit` finds it by its name, and decides."""

    def _missing(self, handle: Handle) -> Pending:
        """Dataproc does not find it, which for a moment need not mean much."""
        name, now = handle["cluster_name"], time.time()
        handle["missing_since"] = handle["missing_since"] or now
        if now - handle["missing_since"] > _MISSING:
            raise TaskFailed(f"Dataproc cluster {name} was deleted while it was waited for")
        return Pending(f"Dataproc cluster {name} is not found")

    def _create(self, context: TaskContext, handle: Handle) -> None:
        params = parsed_params(context, DataprocCreateCluster)
        name = handle["cluster_name"]
        try:
            cluster = Cluster(
                project_id=handle["project"],
                cluster_name=name,
                config=_config(params),
                labels=params.labels | clients.labels(context),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TaskFailed(f"params of {context.operator}: config: {error}") from None
        request = {
            "project_id": handle["project"],
            "region": handle["region"],
            "cluster": cluster,
            "request_id": clusters.request_id(context),
        }
        client = clusters.client_of(context, handle)
        try:
            clients.call(context.log, client.create_cluster, request=request, retry=None)
        except AlreadyExists:
            self._adopt(context, handle, use_if_exists=params.use_if_exists)
        else:
            context.log.info("creating Dataproc cluster %s", name)

    def _adopt(self, context: TaskContext, handle: Handle, *, use_if_exists: bool) -> None:
        """Decide what "already exists" means."""
        name = handle["cluster_name"]
        cluster = clusters.get(context, handle)
        if cluster is None or cluster.status.state == State.DELETING:
            context.log.info("another Dataproc cluster %s is being deleted", name)
            handle["leaving"] = True
            return
        own = _is_of_this_task(context, cluster)
        own_try = cluster.labels.get("pydag-try") == str(context.try_number)
        if own and not own_try and cluster.status.state == State.ERROR:
            context.log.info("an earlier try left Dataproc cluster %s broken", name)
            clusters.delete(context, handle, cluster)
            handle["leaving"] = True
        elif own or use_if_exists:
            whose = "which this task made" if own else "which was there already"
            context.log.info("using Dataproc cluster %s, %s", name, whose)
        else:
            raise TaskFailed(
                f"Dataproc cluster {name} exists already in {handle['region']}, and this task did "
                "not make it: delete it, choose another name, or set use_if_exists"
            )

    def _start(self, context: TaskContext, handle: Handle) -> None:
        client = clusters.client_of(context, handle)
        request = clusters.name_of(handle)
        context.log.info("starting Dataproc cluster %s", handle["cluster_name"])
        try:
            clients.call(context.log, client.start_cluster, request=request, retry=None)
        except (NotFound, FailedPrecondition) as error:  # it has changed meanwhile: seen next time
            context.log.info("%s", error.message)

    def _broken(self, context: TaskContext, handle: Handle, cluster: Cluster) -> Pending:
        """Save the diagnosis of a cluster of ours, delete it, and fail."""
        name = handle["cluster_name"]
        what = f"Dataproc cluster {name} is in state ERROR: {cluster.status.detail or 'no detail'}"
        params = parsed_params(context, DataprocCreateCluster)
        if not (params.delete_on_error and _is_of_this_task(context, cluster)):
            raise TaskFailed(f"{what}; it was left as it is")
        if handle["diagnosis"] is None:
            context.log.error("%s", what)
            operation = self._diagnose(context, handle)
            handle["diagnosis"] = {"operation": operation, "until": time.time() + _DIAGNOSIS}
        diagnosis = handle["diagnosis"]
        where = "no diagnosis could be saved"
        if diagnosis["operation"]:
            with answers.asking(f"the diagnosis of Dataproc cluster {name}"):
                found = clusters.operation(context, handle, diagnosis["operation"])
            if not found.done and time.time() < diagnosis["until"]:
                return Pending(f"Dataproc cluster {name} ERROR, its diagnosis is being saved")
            if found.done and not found.error.code:
                where = f"its diagnosis is at {_output_uri(found)}"
        with answers.explained(f"{what}; {where}; it could not be deleted"):
            clusters.delete(context, handle, cluster)
        raise TaskFailed(f"{what}; {where}; it is being deleted")

    def _diagnose(self, context: TaskContext, handle: Handle) -> str | None:
        client = clusters.client_of(context, handle)
        request = clusters.name_of(handle)
        try:
            begun = clients.call(context.log, client.diagnose_cluster, request=request, retry=None)
        except GoogleAPICallError as error:  # of no machine that runs, for instance
            context.log.warning("it can't be diagnosed: %s", errors.explain(error))
            return None
        return str(begun.operation.name)


def _config(params: DataprocCreateCluster) -> dict[str, Any]:
    """The cluster's configuration, so that nobody can forget the cluster for ever."""
    lifecycle = params.config.get("lifecycle_config") or {}
    if params.idle_delete_ttl is None or not isinstance(lifecycle, dict):
        return params.config
    ttl = {"idle_delete_ttl": {"seconds": params.idle_delete_ttl}}
    return {**params.config, "lifecycle_config": {**ttl, **lifecycle}}


def _is_of_this_task(context: TaskContext, cluster: Cluster) -> bool:
    """Whether any try of this task of this run made it."""
    ours = {name: text for name, text in clients.labels(context).items() if name != "pydag-try"}
    return dict(cluster.labels).items() >= ours.items()


def _output_uri(operation: Any) -> str:
    results = DiagnoseClusterResults.pb(DiagnoseClusterResults())
    operation.response.Unpack(results)
    return str(results.output_uri)
