"""The gRPC server: which call is answered by what, and the service's start and end."""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.api_core.exceptions import GoogleAPIError
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from requests.exceptions import RequestException

from pydag_emulators.dataproc.calls.batches import Batches
from pydag_emulators.dataproc.calls.clusters import Clusters
from pydag_emulators.dataproc.calls.jobs import Jobs
from pydag_emulators.dataproc.calls.refused import Refused, not_found, unimplemented
from pydag_emulators.dataproc.java import java_home
from pydag_emulators.dataproc.running.runner import Runner
from pydag_emulators.dataproc.spark.submit import SparkSettings, spark_home
from pydag_emulators.dataproc.storage import Storage
from pydag_emulators.dataproc.store import Store
from pydag_emulators.dataproc.workflows.running import Running
from pydag_emulators.dataproc.workflows.templates import Templates
from pydag_emulators.errors import CannotStart
from pydag_emulators.serving import announce

log = logging.getLogger(__name__)
THREADS = 16
Method = tuple[Any, Callable[[Any], Any]]
"""The type of a call's request, and who answers it."""


class Service:
    """The local Dataproc over one data directory."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        data: Path,
        gcs_root: Path,
        gcs_url: str,
        bigquery_url: str,
        cores: int,
        max_jobs: int,
        cluster_delay: float,
    ) -> None:
        data = data.resolve()
        data.mkdir(parents=True, exist_ok=True)
        self._claim(data)
        spark_home()  # so that it fails now, and not in the first job
        settings = SparkSettings(
            java_home=java_home(data),
            gcs_root=gcs_root.resolve(),
            gcs_url=gcs_url,
            bigquery_url=bigquery_url,
            cores=cores,
        )
        self._address = f"{host}:{port}"
        self._host = host
        self._store = Store(data / "dataproc.sqlite")
        storage = Storage(gcs_url)
        self._runner = Runner(data, self._store, storage, settings, max_jobs)
        self._clusters = Clusters(
            self._store,
            cluster_delay,
            make_bucket=storage.make_bucket,
            upload=partial(storage.upload, timeout=0),
            end_jobs=self._runner.end_jobs,
        )
        self._jobs = Jobs(
            self._store, self._clusters, start=self._runner.start, cancel=self._runner.cancel
        )
        self._batches = Batches(
            self._store,
            make_bucket=storage.make_bucket,
            start=self._runner.start,
            cancel=self._runner.cancel,
        )
        self._workflows = Running(self._store, self._clusters, self._jobs)
        self._templates = Templates(self._store, start=self._workflows.start)

    def serve(self) -> None:
        """Answer until SIGTERM or SIGINT."""
        # A signal handler may come while `Event.wait` holds the lock that `Event.set` needs.
        over: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: over.put(number))
        server = grpc.server(
            ThreadPoolExecutor(THREADS, "dataproc-call"),
            handlers=[_Handlers(self._methods())],
            options=[("grpc.so_reuseport", 0)],
        )
        try:
            port = server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise CannotStart(f"the local Dataproc can't listen: {error}") from None
        self._runner.resume()
        self._workflows.begin()
        server.start()
        announce(self._host, port)
        over.get()
        server.stop(grace=1.0).wait()
        self._workflows.stop()
        self._runner.stop()
        self._store.close()

    def _claim(self, data: Path) -> None:
        self._lock = os.open(data / "service.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another local Dataproc uses {data}: end it, or choose another directory"
            raise CannotStart(message) from None

    def _methods(self) -> dict[str, Method]:
        """Path of each call -> its request's type, and who answers it."""
        clusters, jobs, batches = self._clusters, self._jobs, self._batches
        templates = self._templates
        services: dict[str, dict[str, Callable[[Any], Any]]] = {
            "ClusterController": {
                "CreateCluster": clusters.create,
                "GetCluster": clusters.get,
                "ListClusters": clusters.find,
                "UpdateCluster": clusters.update,
                "DeleteCluster": clusters.delete,
                "StopCluster": clusters.stop,
                "StartCluster": clusters.start,
                "DiagnoseCluster": clusters.diagnose,
            },
            "JobController": {
                "SubmitJob": jobs.submit,
                "SubmitJobAsOperation": jobs.submit_as_operation,
                "GetJob": jobs.get,
                "ListJobs": jobs.find,
                "CancelJob": jobs.cancel,
                "DeleteJob": jobs.delete,
            },
            "BatchController": {
                "CreateBatch": batches.create,
                "GetBatch": batches.get,
                "ListBatches": batches.find,
                "DeleteBatch": batches.delete,
            },
            "WorkflowTemplateService": {
                "CreateWorkflowTemplate": templates.create,
                "GetWorkflowTemplate": templates.get,
                "ListWorkflowTemplates": templates.find,
                "UpdateWorkflowTemplate": templates.update,
                "DeleteWorkflowTemplate": templates.delete,
                "InstantiateWorkflowTemplate": templates.instantiate,
                "InstantiateInlineWorkflowTemplate": templates.instantiate_inline,
            },
        }
        google, operations = operations_pb2, "/google.longrunning.Operations/"
        return {
            **{
                f"/google.cloud.dataproc.v1.{service}/{call}": (_request_of(call), answer)
                for service, calls in services.items()
                for call, answer in calls.items()
            },
            f"{operations}GetOperation": (google.GetOperationRequest, self._get_operation),
            f"{operations}CancelOperation": (google.CancelOperationRequest, self._cancel_operation),
        }

    def _get_operation(
        self, request: operations_pb2.GetOperationRequest
    ) -> operations_pb2.Operation:
        parts = (self._templates, self._batches, self._jobs, self._clusters)
        found = next((found for part in parts if (found := part.operation(request.name))), None)
        if found is None:
            raise not_found(f"Operation {request.name}")
        return found

    def _cancel_operation(self, request: operations_pb2.CancelOperationRequest) -> empty_pb2.Empty:
        if self._templates.cancel(request.name):
            return empty_pb2.Empty()
        if batch := self._batches.key_of_operation(request.name):
            self._batches.cancel(batch)
            return empty_pb2.Empty()
        key = self._jobs.key_of_operation(request.name)
        if key is None:
            raise unimplemented("Cancelling the operation of a cluster")
        self._jobs.cancel(
            dataproc_v1.CancelJobRequest(
                project_id=key.scope.project, region=key.scope.region, job_id=key.id
            )
        )
        return empty_pb2.Empty()


def _request_of(call: str) -> Any:
    """The type of a call's request, which is named like the call."""
    return getattr(dataproc_v1, f"{call.removesuffix('AsOperation')}Request")


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call to Dataproc and Operations, if only with UNIMPLEMENTED."""

    def __init__(self, methods: dict[str, Method]) -> None:
        self._methods = methods

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = details.method
        kind, answer = self._methods.get(path, (None, None))
        if kind is None or answer is None:
            return grpc.unary_unary_rpc_method_handler(lambda _, context: _refuse(path, context))
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: _answer(answer, request, context),
            request_deserializer=getattr(kind, "deserialize", None) or kind.FromString,
            response_serializer=_serialize,
        )


def _answer(answer: Callable[[Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
    try:
        return answer(request)
    except Refused as refused:
        context.abort(refused.code, refused.message)
    except (GoogleAPIError, RequestException) as error:
        log.warning("Cloud Storage: %s", error)
        context.abort(grpc.StatusCode.UNAVAILABLE, f"Cloud Storage: {error}")


def _refuse(path: str, context: grpc.ServicerContext) -> None:
    refused = unimplemented(path.strip("/").replace("/", "."))
    context.abort(refused.code, refused.message)


def _serialize(message: Any) -> bytes:
    if isinstance(message, Message):
        return bytes(message.SerializeToString())
    return bytes(type(message).serialize(message))
