"""Long-running operations; of those of clusters it is known at the start when they will be done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import grpc
from google.cloud.dataproc_v1 import Cluster, ClusterOperationMetadata, ClusterOperationStatus
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pydag_emulators.dataproc.calls.checks import check_request_id
from pydag_emulators.dataproc.calls.refused import not_found
from pydag_emulators.dataproc.store import Scope, Store

Change = tuple[Cluster, float, Message | str]
"""A cluster, the time when its change will be complete, and what the operation will answer then: a
response, or the message of an error."""


def end_in_error(operation: operations_pb2.Operation, code: grpc.StatusCode, message: str) -> None:
    """Let the operation's answer be an error."""
    operation.error.code = code.value[0]
    operation.error.message = message


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
            operation_type=kind.upper(),
            description=f"{kind.capitalize()} cluster {cluster.cluster_name}",
            labels=cluster.labels,
        )
        operation = operations_pb2.Operation(name=f"{scope}/operations/{uuid.uuid4()}", done=True)
        operation.metadata.Pack(ClusterOperationMetadata.pb(metadata))
        if isinstance(outcome, str):
            end_in_error(operation, grpc.StatusCode.INVALID_ARGUMENT, outcome)
        else:
            operation.response.Pack(outcome)
        self._store.put_operation(operation, settles)
        return str(operation.name)

    def once(
        self,
        kind: str,
        scope: Scope,
        request_id: str,
        begin: Callable[[], Change],
        *,
        then: Callable[[Cluster], None] | None = None,
    ) -> operations_pb2.Operation:
        """The operation that a request begins, or began when it came for the first time.

        `begin` makes the change, in a transaction with the operation. It may refuse. After that,
        `then` is called with the cluster; not when a request comes again, since there may be
        another cluster of that name by then.
        """
        check_request_id(request_id)
        with self._store.transaction():
            if earlier := self._store.request(kind, scope, request_id):
                return self.get(earlier)
            cluster, settles, outcome = begin()
            name = self.begin(scope, cluster, kind, settles, outcome)
            self._store.put_request(kind, scope, request_id, name)
        if then is not None:
            then(cluster)
        return self.get(name)

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
