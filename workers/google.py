"""Google clients: the only place that makes them, decides on credentials, and retries calls.

A client talks to the local service if its variable is set (``BIGQUERY_EMULATOR_HOST`` and
``STORAGE_EMULATOR_HOST`` as http://host:port, ``DATAPROC_EMULATOR_HOST`` as host:port), else with
a connection's key file, else with the ambient credentials of this machine.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import google.auth
import grpc
import requests.exceptions
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery, dataproc_v1
from google.cloud.storage import Client as StorageClient
from google.oauth2 import service_account

from workers import patience, remote_ids
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators.base import TaskContext
from workers.settings import WorkerSettings

TIMEOUT = 60.0  # seconds of one attempt at a call

_LOCAL_PROJECT = "local-project"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TRANSIENT = (
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    TransportError,
    ConnectionError,
)
# BigQuery says some of these with status 400 or 403. Of a job that has ended they mean that another
# one may do. https://cloud.google.com/bigquery/docs/error-messages
TRANSIENT_REASONS = frozenset(
    {
        "rateLimitExceeded", "backendError", "internalError", "badGateway", "tableUnavailable",
        "jobBackendError", "jobInternalError", "jobRateLimitExceeded",
    }
)  # fmt: skip

# What to do about an error, where its own message doesn't say so.
_ADVICE = {
    "accessDenied": (
        "give the worker's account roles/bigquery.jobUser in the project of the job, and "
        "dataViewer or dataEditor on the datasets"
    ),
    "bytesBilledLimitExceeded": "read less, by partitions, or raise maximum_bytes_billed",
    "billingNotEnabled": "enable billing for the project",
    "forbidden": "give the worker's account roles/storage.objectUser on the bucket",
    "PERMISSION_DENIED": (
        "give the worker's account roles/dataproc.editor in the project, and "
        "roles/iam.serviceAccountUser on the service account that the cluster or batch runs as"
    ),
    "resourcesExceeded": (
        "see https://cloud.google.com/bigquery/docs/troubleshoot-queries#ts-resources-exceeded"
    ),
    "responseTooLarge": "name a destination table, or drop ORDER BY",
    "quotaExceeded": "see https://cloud.google.com/bigquery/docs/troubleshoot-quotas",
}

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
        raise TaskFailed(
            f"connection {connection} is not defined on this worker (defined: {defined}): add a "
            f"table [worker.connections.{connection}] to its settings"
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
        log.warning("%s; trying again", _one_line(error))

    seconds = patience.of_call()
    retry = Retry(
        predicate=transient,
        initial=0.2,
        maximum=15,
        multiplier=2,
        timeout=seconds,
        on_error=again,
    )
    kwargs.setdefault("timeout", patience.of_attempt(TIMEOUT))
    try:
        return retry(function)(*args, **kwargs)
    except exceptions.RetryError as error:
        raise RemoteStateUnknown(
            f"no answer in {seconds:.0f} s; the last error was {_one_line(error.cause)}"
        ) from None


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn a permanent error of Google's into a `TaskFailed` that begins with `what`."""
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        raise TaskFailed(f"{what}: {explain(error)}") from None
    except GoogleAuthError as error:
        raise TaskFailed(
            f"{what}: no credentials ({_one_line(error)}): give the worker a connection with a "
            "key_file, or ambient credentials; to impersonate an account, these need "
            "roles/iam.serviceAccountTokenCreator on it"
        ) from None


def explain(error: exceptions.GoogleAPICallError) -> str:
    """Reason, location and message of an error, as far as it has them."""
    details = error.errors[0] if error.errors else None
    if isinstance(details, dict) and details.get("message"):
        return explain_details(details)
    code = error.grpc_status_code.name if error.grpc_status_code else error.code
    name = str(getattr(code, "name", code))
    return f"{name}: {error.message}{_advice(name)}"


def explain_details(details: dict[str, Any]) -> str:
    """The same of an error as the REST API writes one, and what to do about it."""
    reason, message = str(details.get("reason", "error")), str(details.get("message", ""))
    location = f" at {details['location']}" if details.get("location") else ""
    advice = _advice(reason)
    if reason == "notFound" and " in location " in message:
        advice = " (if it is elsewhere, set location in the task, the connection or the worker)"
    return f"{reason}{location}: {message}{advice}"


def _advice(reason: str) -> str:
    return f" ({_ADVICE[reason]})" if reason in _ADVICE else ""


def transient(error: BaseException) -> bool:
    """Whether an error of Google's or of the network may pass."""
    if isinstance(error, requests.exceptions.SSLError):  # a ConnectionError that doesn't pass
        return False
    if isinstance(error, _TRANSIENT):
        return True
    details = getattr(error, "errors", None)
    first = details[0] if isinstance(details, (list, tuple)) and details else None
    return isinstance(first, dict) and first.get("reason") in TRANSIENT_REASONS


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
        raise TaskFailed(f"key file {path} can't be used: {_one_line(error)}") from None


def _regional(region: str) -> dict[str, str]:
    return {"api_endpoint": f"{region}-dataproc.googleapis.com:443"}


def _one_line(error: object) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
