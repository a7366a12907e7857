"""``dataproc.delete_cluster``: no Dataproc cluster of that name; gone already is success."""

from __future__ import annotations

from typing import Any

from pydag_dist.dag.params.dataproc import DataprocDeleteCluster
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import RemoteOperator
from workers.errors import TaskFailed
from workers.google import answers, clients
from workers.operators.dataproc import clusters


class DeleteCluster(RemoteOperator):
    """Result: cluster_name, project, region, deleted."""

    def local(self) -> bool:
        """Whether clusters are of a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and name of the cluster; which one of that name is known later."""
        params = parsed_params(context, DataprocDeleteCluster)
        return {**clusters.handle_of(context, params), "uuid": None, "operation": None}

    def submit(self, context: TaskContext) -> Handle:
        """Begin to delete the cluster that is there."""
        params = parsed_params(context, DataprocDeleteCluster)
        handle = self.handle(context)
        name = handle["cluster_name"]
        with answers.explained(f"deleting Dataproc cluster {name}"):
            cluster = clusters.get(context, handle)
            if cluster is None:
                where = f"region {handle['region']} of project {handle['project']}"
                if elsewhere := clusters.made_elsewhere(context, handle):
                    raise TaskFailed(
                        f"there is no Dataproc cluster {name} in {where}: this run made it in "
                        f"{elsewhere}, where it may still run"
                    )
                context.log.warning(
                    "there is no Dataproc cluster %s in %s: nothing was deleted", name, where
                )
                return handle
            run = clients.labels(context)["pydag-run"]
            if params.only_own and cluster.labels.get("pydag-run") != run:
                context.log.info("Dataproc cluster %s is not of this run, and stays", name)
                return handle
            handle["uuid"] = cluster.cluster_uuid
            handle["operation"] = clusters.delete(
                context, handle, cluster, request_id=clusters.request_id(context)
            )
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the cluster: it is deleted when it isn't found, or is another one."""
        name = handle["cluster_name"]
        with answers.asking(f"deleting Dataproc cluster {name}"):
            cluster = clusters.get(context, handle) if handle["uuid"] else None
            is_it = cluster is not None and cluster.cluster_uuid == handle["uuid"]
            deletion = self._deletion(context, handle) if is_it else None
        if cluster is not None and is_it:
            if deletion and deletion.done and deletion.error.code:
                raise TaskFailed(
                    f"Dataproc could not delete cluster {name}: {deletion.error.message}"
                )
            return Pending(f"Dataproc cluster {name} {cluster.status.state.name}")
        return Done(
            {
                "cluster_name": name,
                "project": handle["project"],
                "region": handle["region"],
                "deleted": handle["uuid"] is not None,
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """A deletion can't be called back; it ends by itself."""

    def _deletion(self, context: TaskContext, handle: Handle) -> Any:
        """Its operation: one that failed leaves a cluster that nobody deletes any more."""
        if handle["operation"] is None:
            return None
        return clusters.operation(context, handle, handle["operation"])
