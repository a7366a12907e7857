"""Clusters: records whose state depends on how much time has passed since the last call."""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from collections.abc import Callable
from zlib import crc32

from google.cloud.dataproc_v1 import (
    Cluster,
    ClusterStatus,
    CreateClusterRequest,
    DeleteClusterRequest,
    DiagnoseClusterRequest,
    DiagnoseClusterResults,
    GetClusterRequest,
    ListClustersRequest,
    ListClustersResponse,
    StartClusterRequest,
    StopClusterRequest,
    UpdateClusterRequest,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pydag_emulators.dataproc.calls.checks import (
    check_cluster_name,
    check_labels,
    check_lifecycle,
    check_machines,
    check_workers,
)
from pydag_emulators.dataproc.calls.lifecycle import (
    State,
    as_of_now,
    auto_delete_at,
    enter,
    error_of,
    idle_limit,
    moment,
    settled,
)
from pydag_emulators.dataproc.calls.listing import Filter, page
from pydag_emulators.dataproc.calls.operations import Change, ClusterOperations
from pydag_emulators.dataproc.calls.refused import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
    unimplemented,
)
from pydag_emulators.dataproc.store import Scope, Store

ACTIVE = (State.CREATING, State.RUNNING, State.UPDATING)
_SIZES = {
    f"config.{name}.num_instances": name for name in ("worker_config", "secondary_worker_config")
}


class Clusters:
    """Implements google.cloud.dataproc.v1.ClusterController.

    `delay` is how long, in seconds, creating and deleting a cluster takes. `make_bucket` creates
    a bucket unless it is there, `upload` an object; `end_jobs` ends the jobs that run on a cluster.
    """

    def __init__(
        self,
        store: Store,
        delay: float,
        *,
        make_bucket: Callable[[str, str], None],
        upload: Callable[[str, bytes], None],
        end_jobs: Callable[[Cluster], None],
    ) -> None:
        self._store = store
        self._operations = ClusterOperations(store)
        self._delay = delay
        self._make_bucket = make_bucket
        self._upload = upload
        self._end_jobs = end_jobs

    def create(self, request: CreateClusterRequest) -> operations_pb2.Operation:
        """Begin to create a cluster; a request_id that was used before changes nothing."""
        scope, cluster = Scope(request.project_id, request.region), request.cluster
        check_cluster_name(cluster.cluster_name)
        check_labels(cluster.labels)
        if cluster.project_id not in ("", scope.project):
            raise invalid(f"Cluster.project_id {cluster.project_id} is not {scope.project}")
        if "virtual_cluster_config" in cluster:
            raise unimplemented("A virtual cluster (Dataproc on GKE)")
        check_lifecycle(cluster.config.lifecycle_config)
        check_machines(cluster.config, scope.region)
        self._fill_in(scope, cluster)

        def begin() -> Change:
            if self.current(scope, cluster.cluster_name):
                raise already_exists(
                    f"Failed to create cluster: Cluster {scope}/clusters/{cluster.cluster_name}",
                )
            ready = time.time() + self._delay
            self._store.put_cluster(scope, cluster, ready)
            return cluster, ready, error_of(cluster) or Cluster.pb(settled(cluster, ready))

        return self._operations.once("create", scope, request.request_id, begin)

    def get(self, request: GetClusterRequest) -> Cluster:
        """One cluster as it is now."""
        return self.require(Scope(request.project_id, request.region), request.cluster_name)

    def find(self, request: ListClustersRequest) -> ListClustersResponse:
        """A page of the clusters that pass the filter."""
        scope = Scope(request.project_id, request.region)
        wanted = Filter(request.filter, ["status.state", "clusterName"])
        found = []
        for record, settles in self._store.clusters(scope):
            cluster = self._now(scope, record, settles)
            if cluster and wanted.accepts(_facts(cluster), cluster.labels):
                found.append(cluster)
        some, token = page(found, request.page_size, request.page_token)
        return ListClustersResponse(clusters=list(some), next_page_token=token)

    def update(self, request: UpdateClusterRequest) -> operations_pb2.Operation:
        """Replace the labels, or change how many machines there are."""
        scope = Scope(request.project_id, request.region)
        masks = list(request.update_mask.paths)
        if not masks or set(masks) - {"labels", *_SIZES}:
            raise unimplemented(f"Updating {', '.join(masks) or 'a cluster without a mask'}")
        check_labels(request.cluster.labels)

        def begin() -> Change:
            cluster = self.require(scope, request.cluster_name)
            if cluster.status.state != State.RUNNING:
                raise failed_precondition(
                    f"Cluster {cluster.cluster_name} is in state {cluster.status.state.name} and "
                    "cannot be updated"
                )
            if "labels" in masks:
                cluster.labels = request.cluster.labels
                cluster.labels.update(_own_labels(scope, cluster))
            sizes = [_SIZES[mask] for mask in masks if mask in _SIZES]
            for name in sizes:
                wanted = getattr(request.cluster.config, name).num_instances
                if name == "worker_config":
                    check_workers(wanted)
                getattr(cluster.config, name).num_instances = wanted
            if sizes:
                return self._begin(scope, cluster, State.UPDATING)
            now = time.time()
            self._store.put_cluster(scope, cluster, now)
            return cluster, now, Cluster.pb(cluster)

        return self._operations.once("update", scope, request.request_id, begin)

    def delete(self, request: DeleteClusterRequest) -> operations_pb2.Operation:
        """Begin to delete a cluster, and end the jobs that run on it."""
        scope, name = Scope(request.project_id, request.region), request.cluster_name

        def begin() -> Change:
            cluster = self.require(scope, name)
            if request.cluster_uuid not in ("", cluster.cluster_uuid):
                raise not_found(f"Cluster {scope}/clusters/{name} of UUID {request.cluster_uuid}")
            if cluster.status.state == State.DELETING:
                raise failed_precondition(f"Cluster {name} is being deleted already")
            _, gone, _ = self._begin(scope, cluster, State.DELETING)
            return cluster, gone, empty_pb2.Empty()

        return self._operations.once(
            "delete", scope, request.request_id, begin, then=self._end_jobs
        )

    def stop(self, request: StopClusterRequest) -> operations_pb2.Operation:
        """Begin to stop a cluster, and end the jobs that run on it."""
        return self._change(request, State.RUNNING, State.STOPPING, then=self._end_jobs)

    def start(self, request: StartClusterRequest) -> operations_pb2.Operation:
        """Begin to start a cluster that is stopped."""
        return self._change(request, State.STOPPED, State.STARTING)

    def _change(
        self,
        request: StopClusterRequest | StartClusterRequest,
        before: int,
        after: int,
        *,
        then: Callable[[Cluster], None] | None = None,
    ) -> operations_pb2.Operation:
        scope, name = Scope(request.project_id, request.region), request.cluster_name
        kind = "stop" if isinstance(request, StopClusterRequest) else "start"

        def begin() -> Change:
            cluster = self.require(scope, name)
            if cluster.status.state != before:
                state = cluster.status.state.name
                raise failed_precondition(
                    f"Cluster {name} is in state {state}: no {kind.upper()} there"
                )
            return self._begin(scope, cluster, after)

        return self._operations.once(kind, scope, request.request_id, begin, then=then)

    def _begin(self, scope: Scope, cluster: Cluster, state: int) -> Change:
        """Let a cluster enter a state in which it will stay for the delay."""
        now = time.time()
        enter(cluster, state, now)
        settles = now + self._delay
        self._store.put_cluster(scope, cluster, settles)
        return cluster, settles, Cluster.pb(settled(cluster, settles))

    def diagnose(self, request: DiagnoseClusterRequest) -> operations_pb2.Operation:
        """Save what is known of a cluster, which is only its record."""
        scope, name = Scope(request.project_id, request.region), request.cluster_name
        cluster = self.require(scope, name)
        folder = request.tarball_gcs_dir or (
            f"gs://{cluster.config.config_bucket}/google-cloud-dataproc-metainfo/"
            f"{cluster.cluster_uuid}/diagnostic"
        )
        uri = f"{folder.rstrip('/')}/diagnostic.tar.gz"
        self._upload(uri, _tarball("cluster.json", Cluster.to_json(cluster)))
        results = DiagnoseClusterResults.pb(DiagnoseClusterResults(output_uri=uri))
        settles = time.time() + self._delay
        with self._store.transaction():
            operation = self._operations.begin(scope, cluster, "diagnose", settles, results)
            return self._operations.get(operation)

    def require(self, scope: Scope, name: str) -> Cluster:
        """The cluster as it is now; NOT_FOUND if there is none."""
        cluster = self.current(scope, name)
        if cluster is None:
            raise not_found(f"Cluster {scope}/clusters/{name}")
        return cluster

    def current(self, scope: Scope, name: str) -> Cluster | None:
        """The cluster as it is now, if there is one."""
        found = self._store.cluster(scope, name)
        return self._now(scope, *found) if found else None

    def _now(self, scope: Scope, record: Cluster, settles: float) -> Cluster | None:
        cluster = as_of_now(record, settles)
        if cluster is None:
            return None
        limit, end = idle_limit(cluster), auto_delete_at(cluster)
        is_over = end is not None and time.time() >= end
        if not is_over and (limit is None or time.time() < settles + limit):
            return cluster
        ended = [settles]
        for job in self._store.jobs(scope):
            if job.placement.cluster_uuid == cluster.cluster_uuid:
                if not job.done:
                    return cluster
                ended.append(job.status.state_start_time.timestamp())
        if is_over or limit is None:
            return None
        cluster.config.lifecycle_config.idle_start_time = moment(max(ended))
        return cluster if time.time() < max(ended) + limit else None

    def operation(self, name: str) -> operations_pb2.Operation | None:
        """The long-running operation of that name, if it is a cluster's."""
        return self._operations.get(name) if self._store.operation(name) else None

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


def _tarball(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        about = tarfile.TarInfo(name)
        about.size = len(text.encode())
        tar.addfile(about, io.BytesIO(text.encode()))
    return packed.getvalue()
