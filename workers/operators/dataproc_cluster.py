"""``dataproc.create_cluster``: a Dataproc cluster under the user's name, found by its labels."""

from __future__ import annotations

from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud.dataproc_v1 import Cluster, ClusterStatus

from pydag_dist.dag.dataproc_params import DataprocCreateCluster
from workers import google, remote_ids
from workers.errors import TaskFailed
from workers.operators.base import (
    Done,
    Handle,
    Pending,
    RemoteOperator,
    TaskContext,
    parsed_params,
)

State = ClusterStatus.State


class CreateCluster(RemoteOperator):
    """Result: cluster_name, project, region, cluster_uuid, link.

    A cluster of that name may be there already. One that an earlier execution of this task made
    is waited for, unless it is broken: then it is deleted and made again. A stranger's is used
    if the params say so. One that is being deleted is waited for, and then made.
    """

    def local(self) -> bool:
        """Whether clusters are of a Dataproc on this machine."""
        return google.local_dataproc() is not None

    def handle(self, context: TaskContext) -> Handle:
        """Project, region and name of the cluster."""
        params = parsed_params(context, DataprocCreateCluster)
        access = google.access(context.settings, params.connection, params.project)
        with google.explained(f"Dataproc cluster {params.cluster_name}"):
            project = google.project_of(access, local=self.local())
        return {
            "connection": params.connection,
            "project": project,
            "region": params.region,
            "cluster_name": params.cluster_name,
            "leaving": False,  # another of its name must go before it can be made
        }

    def submit(self, context: TaskContext) -> Handle:
        """Begin to create the cluster, or find it."""
        handle = self.handle(context)
        with google.explained(f"Dataproc cluster {handle['cluster_name']}"):
            self._create(context, handle)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for the cluster; it is there when it is RUNNING."""
        name = handle["cluster_name"]
        with google.explained(f"Dataproc cluster {name}"):
            cluster = self._get(context, handle)
            if handle["leaving"] and (cluster is None or cluster.status.state != State.DELETING):
                handle["leaving"] = False
                self._create(context, handle)
                return Pending(f"Dataproc cluster {name} CREATING")
        if cluster is None:
            raise TaskFailed(f"Dataproc cluster {name} was deleted while it was waited for")
        state = cluster.status.state
        if state == State.ERROR:
            raise TaskFailed(
                f"Dataproc cluster {name} is in state ERROR: {cluster.status.detail or 'no detail'}"
            )
        if state != State.RUNNING:
            return Pending(f"Dataproc cluster {name} {state.name}")
        return Done(
            {
                "cluster_name": name,
                "project": handle["project"],
                "region": handle["region"],
                "cluster_uuid": cluster.cluster_uuid,
                "link": google.console_link(f"clusters/{name}/monitoring", handle),
            }
        )

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Delete the cluster if this try made it."""
        with google.explained(f"deleting Dataproc cluster {handle['cluster_name']}"):
            cluster = self._get(context, handle)
            if (
                cluster is not None
                and dict(cluster.labels).items() >= google.labels(context).items()
            ):
                self._delete(context, handle)

    def _create(self, context: TaskContext, handle: Handle) -> None:
        params = parsed_params(context, DataprocCreateCluster)
        name = handle["cluster_name"]
        try:
            cluster = Cluster(
                project_id=handle["project"],
                cluster_name=name,
                config=params.config,
                labels=params.labels | google.labels(context),
            )
        except (TypeError, ValueError) as error:
            raise TaskFailed(f"params of {context.operator}: config: {error}") from None
        request = {
            "project_id": handle["project"],
            "region": handle["region"],
            "cluster": cluster,
            "request_id": remote_ids.job_id(
                "request", context.dag_id, context.run_id, context.task_id, context.try_number
            ),
        }
        client = self._client(context, handle)
        try:
            google.call(context.log, client.create_cluster, request=request, retry=None)
        except AlreadyExists:
            self._adopt(context, handle, use_if_exists=params.use_if_exists)
        else:
            context.log.info("creating Dataproc cluster %s", name)

    def _adopt(self, context: TaskContext, handle: Handle, *, use_if_exists: bool) -> None:
        """Decide what "already exists" means."""
        name = handle["cluster_name"]
        cluster = self._get(context, handle)
        if cluster is None or cluster.status.state == State.DELETING:
            context.log.info("another Dataproc cluster %s is being deleted", name)
            handle["leaving"] = True
            return
        ours, found = google.labels(context), dict(cluster.labels)
        own_try = found.pop("pydag-try", None) == ours.pop("pydag-try")
        own = found.items() >= ours.items()
        if own and not own_try and cluster.status.state == State.ERROR:
            context.log.info("deleting Dataproc cluster %s, which an earlier try left broken", name)
            self._delete(context, handle)
            handle["leaving"] = True
        elif own or use_if_exists:
            whose = "which this task made" if own else "which was there already"
            context.log.info("using Dataproc cluster %s, %s", name, whose)
        else:
            raise TaskFailed(
                f"Dataproc cluster {name} exists already in {handle['region']}, and this task did "
                "not make it: delete it, choose another name, or set use_if_exists"
            )

    def _get(self, context: TaskContext, handle: Handle) -> Cluster | None:
        client = self._client(context, handle)
        try:
            return google.call(context.log, client.get_cluster, request=_name(handle), retry=None)
        except NotFound:
            return None

    def _delete(self, context: TaskContext, handle: Handle) -> None:
        client = self._client(context, handle)
        try:
            google.call(context.log, client.delete_cluster, request=_name(handle), retry=None)
        except NotFound:
            context.log.info("Dataproc cluster %s is gone already", handle["cluster_name"])

    def _client(self, context: TaskContext, handle: Handle) -> google.ClusterClient:
        access = google.access(context.settings, handle["connection"], handle["project"])
        return google.cluster_client(access, handle["region"])


def _name(handle: Handle) -> dict[str, str]:
    return {
        "project_id": handle["project"],
        "region": handle["region"],
        "cluster_name": handle["cluster_name"],
    }
