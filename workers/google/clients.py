"""Google clients: the only place that makes them, decides on credentials, and retries calls.

A client talks to the local service if its variable is set (``BIGQUERY_EMULATOR_HOST`` and
``STORAGE_EMULATOR_HOST`` as http://host:port, ``DATAPROC_EMULATOR_HOST`` as host:port), else with
a connection's key file, else with the ambient credentials of this machine.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import google.auth
import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, dataproc_v1
from google.cloud.storage import Client as StorageClient
from google.oauth2 import service_account

from workers.errors import HostLacks, RemoteStateUnknown, TaskFailed
from workers.google import answers, remote_ids, time_limit
from workers.operators.base import TaskContext
from workers.settings import WorkerSettings

TIMEOUT = 60.0  # seconds of one attempt at a call

_LOCAL_PROJECT = "local-project"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
ClusterClient = dataproc_v1.ClusterControllerClient
JobClient = dataproc_v1.JobControllerClient
BatchClient = dataproc_v1.BatchControllerClient
T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """With which credentials, in which project, a client works."""

    project: str | None
    key_file: str | None
    location: str  # of BigQuery jobs
    impersonate: str | None = None  # a service account, by the credentials above
    delegates: tuple[str, ...] = ()  # accounts in between, each acting as the next


def access(
    settings: WorkerSettings, connection: str | None = None, project: str | None = None
) -> Access:
    """What the worker's settings say for that connection; None: the worker's default one."""
    found = settings.connections.get(connection or settings.connection)
    if found is None and connection is not None:
        defined = ", ".join(sorted(settings.connections)) or "none"
        raise HostLacks(
            f"connection {connection} is not defined on this worker (defined: {defined}): add a "
            f"table [worker.connections.{connection}] to its settings",
            f"connection:{connection}",
        )
    return Access(
        project=project or (found and found.project) or settings.project,
        key_file=str(found.key_file) if found and found.key_file else None,
        location=(found and found.location) or settings.location,
        impersonate=found.impersonate if found else None,
        delegates=found.delegates if found else (),
    )


def access_of(context: TaskContext, handle: Mapping[str, Any]) -> Access:
    """That of a handle, which has the connection and the project of its job."""
    return access(context.settings, handle["connection"], handle["project"])


# One client per process and access: making one costs a connection and a token. Clients must not
# cross a fork; only tasks make them, and these run in a worker's children.
@functools.cache
def bigquery_client(access: Access) -> bigquery.Client:
    """A client of the BigQuery API."""
    if host := os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return bigquery.Client(
            project=access.project or _LOCAL_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": host},
        )
    credentials, project = _credentials(access)
    return bigquery.Client(project=project, credentials=credentials)


def local_bigquery() -> bool:
    """Whether BigQuery is one on this machine."""
    return bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))


@functools.cache
def storage_client(access: Access) -> StorageClient:
    """A client of the Cloud Storage API; the client itself obeys ``STORAGE_EMULATOR_HOST``."""
    if local_storage():
        return StorageClient(
            project=access.project or _LOCAL_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        )
    credentials, project = _credentials(access)
    return StorageClient(project=project, credentials=credentials)


def local_storage() -> bool:
    """Whether Cloud Storage is one on this machine."""
    return bool(os.environ.get("STORAGE_EMULATOR_HOST"))


@functools.cache
def cluster_client(access: Access, region: str) -> ClusterClient:
    """A client of Dataproc's clusters in a region."""
    if local := local_dataproc():
        transport = ClusterClient.get_transport_class("grpc")
        return ClusterClient(transport=transport(channel=grpc.insecure_channel(local)))
    return ClusterClient(credentials=_credentials(access)[0], client_options=_regional(region))


@functools.cache
def job_client(access: Access, region: str) -> JobClient:
    """A client of Dataproc's jobs in a region."""
    if local := local_dataproc():
        transport = JobClient.get_transport_class("grpc")
        return JobClient(transport=transport(channel=grpc.insecure_channel(local)))
    return JobClient(credentials=_credentials(access)[0], client_options=_regional(region))


@functools.cache
def batch_client(access: Access, region: str) -> BatchClient:
    """A client of Dataproc's batches in a region."""
    if local := local_dataproc():
        transport = BatchClient.get_transport_class("grpc")
        return BatchClient(transport=transport(channel=grpc.insecure_channel(local)))
    return BatchClient(credentials=_credentials(access)[0], client_options=_regional(region))


def local_dataproc() -> str | None:
    """host:port of the local Dataproc, if there is one."""
    return os.environ.get("DATAPROC_EMULATOR_HOST")


def project_of(access: Access, *, local: bool) -> str:
    """The project in which jobs run: the one that is set, else the credentials' own."""
    if access.project or local:
        return access.project or _LOCAL_PROJECT
    return _credentials(access)[1]


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
        log.warning("%s; trying again", answers.one_line(error))

    seconds = time_limit.of_call()
    retry = Retry(
        predicate=answers.transient,
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
        said = answers.one_line(last)
        if answers.about_credentials(last):
            said = answers.explain_credentials(last)
        raise RemoteStateUnknown(f"no answer in {seconds:.0f} s; the last error: {said}") from None
    except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
        if answers.about_credentials(error):
            _forget_clients()  # a key file may have been replaced
        raise


def _forget_clients() -> None:
    for make in (bigquery_client, storage_client, cluster_client, job_client, batch_client):
        make.cache_clear()
    _credentials.cache_clear()


@functools.cache
def _credentials(access: Access) -> tuple[Credentials, str]:
    """Credentials, and the project: the one that is set, else their own."""
    credentials: Credentials
    if access.key_file:
        found = _of_key_file(access.key_file)
        credentials, own = found, found.project_id
    else:
        credentials, own = google.auth.default(scopes=_SCOPES)
    if access.impersonate:
        credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            credentials,
            target_principal=access.impersonate,
            target_scopes=_SCOPES,
            delegates=list(access.delegates) or None,
        )
    if not (project := access.project or own):
        raise TaskFailed(
            "no Google project is known: name one in the task's params, in the worker's "
            "connection, or in its setting project"
        )
    return credentials, str(project)


def _of_key_file(path: str) -> service_account.Credentials:
    try:
        return service_account.Credentials.from_service_account_file(path, scopes=_SCOPES)  # type: ignore[no-any-return,no-untyped-call]
    except (OSError, ValueError) as error:
        name = hashlib.sha256(path.encode()).hexdigest()[:8]
        raise HostLacks(
            f"key file {path} can't be used: {answers.one_line(error)}", f"key_file:{name}"
        ) from None


def _regional(region: str) -> dict[str, str]:
    return {"api_endpoint": f"{region}-dataproc.googleapis.com:443"}
