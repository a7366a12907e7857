"""``dataproc.start_cluster``, ``.stop_cluster``, ``.update_cluster``: a cluster as it is wanted.

A change is found done by what the cluster is, so a try that is executed again changes nothing more.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from google.api_core.exceptions import FailedPrecondition, NotFound
from google.cloud.dataproc_v1 import Cluster, ClusterStatus

from pydag_dist.dag.params.dataproc import (
    ClusterParams,
    DataprocStartCluster,
    DataprocStopCluster,
    DataprocUpdateCluster,
)
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import RemoteOperator
from workers.errors import TaskFailed
from workers.google import answers, clients
from workers.operators.dataproc import clusters
from workers.operators.dataproc.create import READY

State = ClusterStatus.State
_GOING = (State.DELETING, State.ERROR)


class ChangeCluster(RemoteOperator):
    """Result: cluster_name, project, region, state, num_workers, num_secondary_workers."""

    params_model: ClassVar[type[ClusterParams]]
    begins_in: ClassVar[tuple[int, ...]]  # the states in which Dataproc takes the change

    @abstractmethod
    def is_done(self, context: TaskContext, cluster: Cluster) -> bool:
        """Whether the cluster is as it is wanted."""

    @abstractmethod
    def begin(self, context: TaskContext, handle: Handle, request: dict[str, Any]) -> Any:
        """Ask for the change of the cluster that `request` names; its operation."""

    def local(self) -> bool:
        """Whether clusters are of a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and name of the cluster; the operation is known later."""
        params = parsed_params(context, self.params_model)
        return {**clusters.handle_of(context, params), "operation": None, "ended": False}

    def submit(self, context: TaskContext) -> Handle:
        """Begin to change the cluster, if it is in a state for that."""
        handle = self.handle(context)
        with answers.explained(f"{context.operator} of {handle['cluster_name']}"):
            cluster = clusters.get(context, handle)
            if cluster is None:
                raise TaskFailed(
                    f"there is no Dataproc cluster {handle['cluster_name']} in region "
                    f"{handle['region']} of project {handle['project']}"
                )
            self._begin(context, handle, cluster)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the cluster; what it could not begin before, it begins now."""
        name = handle["cluster_name"]
        had_ended = handle["ended"]
        with answers.asking(f"Dataproc cluster {name}"):
            failed = self._failed(context, handle)
            cluster = clusters.get(context, handle)
        state = cluster.status.state if cluster else None
        if cluster is None or state in _GOING:
            how = "gone" if cluster is None else f"{cluster.status.state.name}"
            raise TaskFailed(f"Dataproc cluster {name} is {how}, so it can't be changed")
        if failed:
            raise TaskFailed(f"Dataproc cluster {name}: {failed}")
        if not self.is_done(context, cluster):
            if had_ended:
                raise TaskFailed(f"somebody else has changed Dataproc cluster {name} meanwhile")
            with answers.asking(f"Dataproc cluster {name}"):
                self._begin(context, handle, cluster)
            return Pending(f"Dataproc cluster {name} {cluster.status.state.name}")
        config = cluster.config
        return Done(
            {
                "cluster_name": name,
                "project": handle["project"],
                "region": handle["region"],
                "state": cluster.status.state.name,
                "num_workers": config.worker_config.num_instances,
                "num_secondary_workers": config.secondary_worker_config.num_instances,
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """A change can't be called back; it ends by itself."""

    def _begin(self, context: TaskContext, handle: Handle, cluster: Cluster) -> None:
        is_due = not self.is_done(context, cluster) and handle["operation"] is None
        if not is_due or cluster.status.state not in self.begins_in:
            return
        request = {**clusters.name_of(handle), "request_id": clusters.request_id(context)}
        try:
            begun = self.begin(context, handle, request)
        except (FailedPrecondition, NotFound) as error:  # it has changed meanwhile: seen next time
            context.log.info("%s", error.message)
            return
        handle["operation"] = str(begun.operation.name)
        context.log.info("%s of Dataproc cluster %s began", context.operator, cluster.cluster_name)

    def _failed(self, context: TaskContext, handle: Handle) -> str:
        """Why its operation failed; nothing if it hasn't."""
        if handle["operation"] is None:
            return ""
        found = clusters.operation(context, handle, handle["operation"])
        handle["ended"] = bool(found.done)
        return str(found.error.message) if found.done and found.error.code else ""


class StartCluster(ChangeCluster):
    """Starts a cluster that is stopped; one that runs already is left as it is."""

    params_model = DataprocStartCluster
    begins_in = (State.STOPPED,)

    def is_done(self, context: TaskContext, cluster: Cluster) -> bool:  # noqa: ARG002
        """Whether it runs."""
        return cluster.status.state in READY

    def begin(self, context: TaskContext, handle: Handle, request: dict[str, Any]) -> Any:
        """Start it."""
        client = clusters.client_of(context, handle)
        return clients.call(context.log, client.start_cluster, request=request, retry=None)


class StopCluster(ChangeCluster):
    """Stops a cluster: its jobs end, and its disks stay."""

    params_model = DataprocStopCluster
    begins_in = READY

    def is_done(self, context: TaskContext, cluster: Cluster) -> bool:  # noqa: ARG002
        """Whether it is stopped."""
        return bool(cluster.status.state == State.STOPPED)

    def begin(self, context: TaskContext, handle: Handle, request: dict[str, Any]) -> Any:
        """Stop it."""
        client = clusters.client_of(context, handle)
        return clients.call(context.log, client.stop_cluster, request=request, retry=None)


class UpdateCluster(ChangeCluster):
    """Gives a cluster that runs another number of machines."""

    params_model = DataprocUpdateCluster
    begins_in = READY

    def is_done(self, context: TaskContext, cluster: Cluster) -> bool:
        """Whether it has so many machines, and runs."""
        wanted = _sizes(parsed_params(context, DataprocUpdateCluster))
        config = cluster.config
        has_them = all(getattr(config, name).num_instances == n for name, n in wanted.items())
        return has_them and cluster.status.state in READY

    def begin(self, context: TaskContext, handle: Handle, request: dict[str, Any]) -> Any:
        """Resize it."""
        params = parsed_params(context, DataprocUpdateCluster)
        wanted = _sizes(params)
        cluster = {"config": {name: {"num_instances": n} for name, n in wanted.items()}}
        request |= {
            "cluster": cluster,
            "update_mask": {"paths": [f"config.{name}.num_instances" for name in wanted]},
        }
        if params.decommission_timeout:
            request["graceful_decommission_timeout"] = {"seconds": params.decommission_timeout}
        client = clusters.client_of(context, handle)
        return clients.call(context.log, client.update_cluster, request=request, retry=None)


def _sizes(params: DataprocUpdateCluster) -> dict[str, int]:
    given = {
        "worker_config": params.num_workers,
        "secondary_worker_config": params.num_secondary_workers,
    }
    return {name: number for name, number in given.items() if number is not None}
