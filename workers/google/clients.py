"""Google clients: the only place that makes them, and that repeats their calls.

A client talks to the local service if its variable is set (``BIGQUERY_EMULATOR_HOST`` and
``STORAGE_EMULATOR_HOST`` as http://host:port, ``DATAPROC_EMULATOR_HOST`` as host:port), else with
a connection's key file, else with the ambient credentials of this machine.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, dataproc_v1
from google.cloud.storage import Client as StorageClient

from workers import time_limit
from workers.contract.context import TaskContext
from workers.errors import RemoteStateUnknown
from workers.google import errors, remote_ids, session
from workers.google.access import LOCAL_PROJECT, Access, credentials

TIMEOUT = 60.0  # seconds of one attempt at a call
_SURE = 0.5  # seconds until what was not found is asked for again

ClusterClient = dataproc_v1.ClusterControllerClient
JobClient = dataproc_v1.JobControllerClient
BatchClient = dataproc_v1.BatchControllerClient
WorkflowClient = dataproc_v1.WorkflowTemplateServiceClient
T = TypeVar("T")
DataprocClient = TypeVar("DataprocClient", ClusterClient, JobClient, BatchClient, WorkflowClient)


# One client per process and access: making one costs a connection and a token. Clients must not
# cross a fork; only tasks make them, and these run in a worker's children.
@functools.cache
def bigquery_client(access: Access) -> bigquery.Client:
    """A client of the BigQuery API."""
    if host := os.environ.get("BIGQUERY_EMULATOR_HOST"):
        client = bigquery.Client(
            project=access.project or LOCAL_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": host},
        )
    else:
        found, project = credentials(access)
        client = bigquery.Client(project=project, credentials=found)
    session.lighten(client._http)  # noqa: SLF001  there is no other way to the one it makes
    return client


def local_bigquery() -> bool:
    """Whether BigQuery is one on this machine."""
    return bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))


@functools.cache
def storage_client(access: Access) -> StorageClient:
    """A client of the Cloud Storage API; the client itself obeys ``STORAGE_EMULATOR_HOST``."""
    # Else it asks for each bucket, too, in a thread of its own, for traces that nobody makes.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    if local_storage():
        client = StorageClient(
            project=access.project or LOCAL_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        )
    else:
        found, project = credentials(access)
        client = StorageClient(project=project, credentials=found)
    session.lighten(client._http)  # noqa: SLF001  there is no other way to the one it makes
    return client


def local_storage() -> bool:
    """Whether Cloud Storage is one on this machine."""
    return bool(os.environ.get("STORAGE_EMULATOR_HOST"))


@functools.cache
def cluster_client(access: Access, region: str) -> ClusterClient:
    """A client of Dataproc's clusters in a region."""
    return _dataproc_client(ClusterClient, access, region)


@functools.cache
def job_client(access: Access, region: str) -> JobClient:
    """A client of Dataproc's jobs in a region."""
    return _dataproc_client(JobClient, access, region)


@functools.cache
def batch_client(access: Access, region: str) -> BatchClient:
    """A client of Dataproc's batches in a region."""
    return _dataproc_client(BatchClient, access, region)


@functools.cache
def workflow_client(access: Access, region: str) -> WorkflowClient:
    """A client of Dataproc's workflow templates in a region."""
    return _dataproc_client(WorkflowClient, access, region)


def _dataproc_client(kind: type[DataprocClient], access: Access, region: str) -> DataprocClient:
    if local := local_dataproc():
        transport = kind.get_transport_class("grpc")
        return kind(transport=transport(channel=grpc.insecure_channel(local)))
    endpoint = f"{region}-dataproc.googleapis.com:443"
    return kind(credentials=credentials(access)[0], client_options={"api_endpoint": endpoint})


def local_dataproc() -> str | None:
    """host:port of the local Dataproc, if there is one."""
    return os.environ.get("DATAPROC_EMULATOR_HOST")


def console_link(page: str, handle: Mapping[str, str]) -> str | None:
    """A page of Dataproc's console about the job or cluster of `handle`; None for a local one."""
    if local_dataproc():
        return None
    query = f"region={handle['region']}&project={handle['project']}"
    return f"https://console.cloud.google.com/dataproc/{page}?{query}"


def labels(context: TaskContext) -> dict[str, str]:
    """The labels of everything that a try makes in Google Cloud: whose it is."""
    return {
        "pydag-dag": remote_ids.label(context.dag_id),
        "pydag-run": remote_ids.label(context.run_id),
        "pydag-task": remote_ids.label(context.task_id),
        "pydag-try": str(context.try_number),
    }


def call(log: logging.Logger, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """`function(...)`, again after a passing error; the function itself must not retry.

    Any other error of Google's goes through. If the error doesn't pass, nobody knows whether the
    call took effect: `RemoteStateUnknown`.
    """

    def again(error: Exception) -> None:
        log.warning("%s; trying again", errors.one_line(error))

    seconds = time_limit.of_call()
    retry = Retry(
        predicate=errors.transient,
        initial=0.2,
        maximum=15,
        multiplier=2,
        timeout=seconds,
        on_error=again,
    )
    kwargs.setdefault("timeout", time_limit.of_attempt(TIMEOUT))
    try:
        return retry(function)(*args, **kwargs)
    except exceptions.RetryError as error:
        last = error.cause or error
        why = errors.one_line(last)
        if errors.about_credentials(last):
            why = errors.explain_credentials(last)
        raise RemoteStateUnknown(f"no answer in {seconds:.0f} s; the last error: {why}") from None
    except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
        if errors.about_credentials(error):
            _forget_clients()  # a key file may have been replaced
        raise


def is_there(context: TaskContext, request: Callable[..., Any]) -> bool:
    """Whether Google knows what a request names: `NotFound` is believed when it is said twice."""
    for pause in (_SURE, 0.0):
        try:
            call(context.log, request)
        except exceptions.NotFound as error:
            context.log.info("%s", error.message)
            time.sleep(pause)
        else:
            return True
    return False


_MAKERS = (
    bigquery_client, storage_client, cluster_client, job_client, batch_client, workflow_client,
)  # fmt: skip


def _forget_clients() -> None:
    for make in _MAKERS:
        make.cache_clear()
    credentials.cache_clear()
