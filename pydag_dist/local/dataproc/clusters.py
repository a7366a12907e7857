"""Clusters: records whose state follows from the time that has passed."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable
from zlib import crc32

from google.cloud.dataproc_v1 import (
    Cluster,
    ClusterOperationMetadata,
    ClusterOperationStatus,
    ClusterStatus,
    CreateClusterRequest,
    DeleteClusterRequest,
    GetClusterRequest,
    ListClustersRequest,
    ListClustersResponse,
    UpdateClusterRequest,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pydag_dist.local.dataproc.checks import check_cluster_name, check_labels, check_request_id
from pydag_dist.local.dataproc.listing import Filter, page
from pydag_dist.local.dataproc.refused import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
    unimplemented,
)
from pydag_dist.local.dataproc.store import Scope, Store

State = ClusterStatus.State
ACTIVE = (State.CREATING, State.RUNNING, State.UPDATING)


class Clusters:
    """Implements google.cloud.dataproc.v1.ClusterController.

    `delay` is how long, in seconds, creating and deleting a cluster takes. `make_bucket` creates
    a bucket unless it is there; `end_jobs` ends the jobs that run on a cluster.
    """

    def __init__(
        self,
        store: Store,
        delay: float,
        *,
        make_bucket: Callable[[str, str], None],
        end_jobs: Callable[[Scope, str], None],
    ) -> None:
        self._store = store
        self._delay = delay
        self._make_bucket = make_bucket
        self._end_jobs = end_jobs

    def create(self, request: CreateClusterRequest) -> operations_pb2.Operation:
        """Begin to create a cluster; a request_id that was there before does nothing again."""
        scope, cluster = Scope(request.project_id, request.region), request.cluster
        check_cluster_name(cluster.cluster_name)
        check_labels(cluster.labels)
        check_request_id(request.request_id)
        if cluster.project_id not in ("", scope.project):
            raise invalid(f"Cluster.project_id {cluster.project_id} is not {scope.project}")
        if "virtual_cluster_config" in cluster:
            raise unimplemented("A virtual cluster (Dataproc on GKE)")
        self._fill_in(scope, cluster)
        ready, name = time.time() + self._delay, cluster.cluster_name
        with self._store.transaction():
            if earlier := self._store.request("create", scope, request.request_id):
                return self._operation(earlier)
            if self.current(scope, name):
                raise already_exists(
                    f"Failed to create cluster: Cluster {scope}/clusters/{name}",
                )
            self._store.put_cluster(scope, cluster, ready)
            created = Cluster.pb(_settled(cluster, ready))
            operation = self._begin(scope, cluster, "CREATE", ready, created)
            self._store.put_request("create", scope, request.request_id, operation)
            return self._operation(operation)

    def get(self, request: GetClusterRequest) -> Cluster:
        """One cluster as it is now."""
        return self.require(Scope(request.project_id, request.region), request.cluster_name)

    def find(self, request: ListClustersRequest) -> ListClustersResponse:
        """A page of the clusters that pass the filter."""
        scope = Scope(request.project_id, request.region)
        wanted = Filter(request.filter, ["status.state", "clusterName"])
        found = []
        for record, settles in self._store.clusters(scope):
            cluster = _as_of_now(record, settles)
            if cluster and wanted.accepts(_facts(cluster), cluster.labels):
                found.append(cluster)
        some, token = page(found, request.page_size, request.page_token)
        return ListClustersResponse(clusters=list(some), next_page_token=token)

    def update(self, request: UpdateClusterRequest) -> operations_pb2.Operation:
        """Replace the labels; other masks are not implemented."""
        scope = Scope(request.project_id, request.region)
        if list(request.update_mask.paths) != ["labels"]:
            raise unimplemented(
                f"Updating {', '.join(request.update_mask.paths) or 'a cluster without a mask'}"
            )
        check_labels(request.cluster.labels)
        check_request_id(request.request_id)
        now = time.time()
        with self._store.transaction():
            if earlier := self._store.request("update", scope, request.request_id):
                return self._operation(earlier)
            cluster = self.require(scope, request.cluster_name)
            if cluster.status.state != State.RUNNING:
                raise failed_precondition(
                    f"Cluster {cluster.cluster_name} is in state {cluster.status.state.name} and "
                    "cannot be updated"
                )
            cluster.labels = request.cluster.labels
            cluster.labels.update(_own_labels(scope, cluster))
            self._store.put_cluster(scope, cluster, now)
            operation = self._begin(scope, cluster, "UPDATE", now, Cluster.pb(cluster))
            self._store.put_request("update", scope, request.request_id, operation)
            return self._operation(operation)

    def delete(self, request: DeleteClusterRequest) -> operations_pb2.Operation:
        """Begin to delete a cluster, and end the jobs that run on it."""
        scope, name = Scope(request.project_id, request.region), request.cluster_name
        check_request_id(request.request_id)
        now = time.time()
        with self._store.transaction():
            if earlier := self._store.request("delete", scope, request.request_id):
                return self._operation(earlier)
            cluster = self.require(scope, name)
            if request.cluster_uuid not in ("", cluster.cluster_uuid):
                raise not_found(f"Cluster {scope}/clusters/{name} of UUID {request.cluster_uuid}")
            if cluster.status.state == State.DELETING:
                raise failed_precondition(f"Cluster {name} is being deleted already")
            _enter(cluster, State.DELETING, now)
            self._store.put_cluster(scope, cluster, now + self._delay)
            operation = self._begin(scope, cluster, "DELETE", now + self._delay, empty_pb2.Empty())
            self._store.put_request("delete", scope, request.request_id, operation)
        self._end_jobs(scope, name)
        return self._operation(operation)

    def require(self, scope: Scope, name: str) -> Cluster:
        """The cluster as it is now; NOT_FOUND if there is none."""
        cluster = self.current(scope, name)
        if cluster is None:
            raise not_found(f"Cluster {scope}/clusters/{name}")
        return cluster

    def current(self, scope: Scope, name: str) -> Cluster | None:
        """The cluster as it is now, if there is one."""
        found = self._store.cluster(scope, name)
        return _as_of_now(*found) if found else None

    def operation(self, name: str) -> operations_pb2.Operation | None:
        """The long-running operation of that name, if it is a cluster's."""
        return self._operation(name) if self._store.operation(name) else None

    def _fill_in(self, scope: Scope, cluster: Cluster) -> None:
        """What Google fills in for a new cluster."""
        cluster.project_id = scope.project
        cluster.cluster_uuid = str(uuid.uuid4())
        cluster.status_history = []
        cluster.status = ClusterStatus(state=State.CREATING, state_start_time=moment(time.time()))
        cluster.labels.update(_own_labels(scope, cluster))
        # Google's names end in the project's number and a random part.
        suffix = f"{scope.region}-{crc32(scope.project.encode()):010d}-local"
        config = cluster.config
        config.config_bucket = config.config_bucket or f"dataproc-staging-{suffix}"
        config.temp_bucket = config.temp_bucket or f"dataproc-temp-{suffix}"
        for bucket in (config.config_bucket, config.temp_bucket):
            self._make_bucket(scope.project, bucket)

    def _begin(
        self, scope: Scope, cluster: Cluster, kind: str, settles: float, response: Message
    ) -> str:
        name = f"{scope}/operations/{uuid.uuid4()}"
        metadata = ClusterOperationMetadata(
            cluster_name=cluster.cluster_name,
            cluster_uuid=cluster.cluster_uuid,
            operation_type=kind,
            description=f"{kind.capitalize()} cluster {cluster.cluster_name}",
            labels=cluster.labels,
        )
        operation = operations_pb2.Operation(name=name, done=True)
        operation.metadata.Pack(ClusterOperationMetadata.pb(metadata))
        operation.response.Pack(response)
        self._store.put_operation(operation, settles)
        return name

    def _operation(self, name: str) -> operations_pb2.Operation:
        found = self._store.operation(name)
        if found is None:
            raise not_found(f"Operation {name}")
        operation, settles = found
        metadata_pb = ClusterOperationMetadata.pb(ClusterOperationMetadata())
        operation.metadata.Unpack(metadata_pb)
        status = ClusterOperationStatus.State.DONE
        if time.time() < settles:
            operation.done = False
            operation.ClearField("response")
            status = ClusterOperationStatus.State.RUNNING
        metadata_pb.status.state = status
        operation.metadata.Pack(metadata_pb)
        return operation


def _as_of_now(cluster: Cluster, settles: float) -> Cluster | None:
    if time.time() < settles:
        return cluster
    if cluster.status.state == State.DELETING:
        return None  # its record stays until the name is used again
    return _settled(cluster, settles)


def _settled(cluster: Cluster, at: float) -> Cluster:
    """The cluster when what was asked for last is complete."""
    settled: Cluster = Cluster.deserialize(Cluster.serialize(cluster))
    if settled.status.state == State.CREATING:
        _enter(settled, State.RUNNING, at)
    return settled


def _enter(cluster: Cluster, state: int, at: float) -> None:
    cluster.status_history.append(cluster.status)
    cluster.status = ClusterStatus(state=state, state_start_time=moment(at))


def _own_labels(scope: Scope, cluster: Cluster) -> dict[str, str]:
    return {
        "goog-dataproc-cluster-name": cluster.cluster_name,
        "goog-dataproc-cluster-uuid": cluster.cluster_uuid,
        "goog-dataproc-location": scope.region,
    }


def _facts(cluster: Cluster) -> dict[str, set[str]]:
    state = cluster.status.state
    return {
        "clusterName": {cluster.cluster_name},
        "status.state": {state.name, "ACTIVE" if state in ACTIVE else "INACTIVE"},
    }


def moment(seconds: float) -> dt.datetime:
    """A time as messages have it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
