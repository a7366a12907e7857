"""The long-running operations of clusters; it is known at the start when each will be done."""

from __future__ import annotations

import time
import uuid

import grpc
from google.cloud.dataproc_v1 import Cluster, ClusterOperationMetadata, ClusterOperationStatus
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pydag_emulators.dataproc.calls.refused import not_found
from pydag_emulators.dataproc.store import Scope, Store


class ClusterOperations:
    """Adds operations, and says how they are."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, scope: Scope, cluster: Cluster, kind: str, settles: float, outcome: Message | str
    ) -> str:
        """A new one that ends at `settles`, with that response or error; its name."""
        metadata = ClusterOperationMetadata(
            cluster_name=cluster.cluster_name,
            cluster_uuid=cluster.cluster_uuid,
            operation_type=kind,
            description=f"{kind.capitalize()} cluster {cluster.cluster_name}",
            labels=cluster.labels,
        )
        operation = operations_pb2.Operation(name=f"{scope}/operations/{uuid.uuid4()}", done=True)
        operation.metadata.Pack(ClusterOperationMetadata.pb(metadata))
        if isinstance(outcome, str):
            operation.error.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            operation.error.message = outcome
        else:
            operation.response.Pack(outcome)
        self._store.put_operation(operation, settles)
        return str(operation.name)

    def get(self, name: str) -> operations_pb2.Operation:
        """The operation as it is now."""
        found = self._store.operation(name)
        if found is None:
            raise not_found(f"Operation {name}")
        operation, settles = found
        metadata = ClusterOperationMetadata.pb(ClusterOperationMetadata())
        operation.metadata.Unpack(metadata)
        status = ClusterOperationStatus.State.DONE
        if time.time() < settles:
            operation.done = False
            operation.ClearField("response")
            operation.ClearField("error")
            status = ClusterOperationStatus.State.RUNNING
        metadata.status.state = status
        operation.metadata.Pack(metadata)
        return operation
