"""With which credentials and in which project a connection of the worker's settings works."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import google.auth
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from workers.contract.context import TaskContext
from workers.errors import HostLacks, TaskFailed
from workers.google.answers import explained
from workers.google.errors import one_line
from workers.settings import WorkerSettings

LOCAL_PROJECT = "local-project"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class Access:
    """With which credentials, in which project, a client works."""

    project: str | None
    key_file: str | None
    location: str  # of BigQuery jobs
    impersonate: str | None = None  # a service account, by the credentials above
    delegates: tuple[str, ...] = ()  # accounts in between, each acting as the next


def access_to(
    settings: WorkerSettings, connection: str | None = None, project: str | None = None
) -> Access:
    """What the worker's settings say for that connection; None: the worker's default one."""
    found = settings.connection_of(connection)
    return Access(
        project=project or (found and found.project) or settings.project,
        key_file=str(found.key_file) if found and found.key_file else None,
        location=(found and found.location) or settings.location,
        impersonate=found.impersonate if found else None,
        delegates=found.delegates if found else (),
    )


def access_of(context: TaskContext, handle: Mapping[str, Any]) -> Access:
    """That of a handle, which has the connection and the project of its job."""
    return access_to(context.settings, handle["connection"], handle["project"])


def project_of(access: Access, *, local: bool) -> str:
    """The project in which jobs run: the one that is set, else the credentials' own."""
    if access.project or local:
        return access.project or LOCAL_PROJECT
    return credentials(access)[1]


def connection_and_project(
    context: TaskContext, of: str, connection: str | None, project: str | None, *, local: bool
) -> dict[str, Any]:
    """The fields of a handle by which `access_of` finds the access; errors say what it is `of`."""
    access = access_to(context.settings, connection, project)
    with explained(of=of):
        return {"connection": connection, "project": project_of(access, local=local)}


@functools.cache
def credentials(access: Access) -> tuple[Credentials, str]:
    """Credentials, and the project: the one that is set, else their own."""
    made: Credentials
    if access.key_file:
        found = _of_key_file(access.key_file)
        made, own = found, found.project_id
    else:
        made, own = google.auth.default(scopes=_SCOPES)
    if access.impersonate:
        made = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            made,
            target_principal=access.impersonate,
            target_scopes=_SCOPES,
            delegates=list(access.delegates) or None,
        )
    if not (project := access.project or own):
        raise TaskFailed(
            "no Google project is known: name one in the task's params, in the worker's "
            "connection, or in its setting project"
        )
    return made, str(project)


def _of_key_file(path: str) -> service_account.Credentials:
    try:
        return service_account.Credentials.from_service_account_file(path, scopes=_SCOPES)  # type: ignore[no-any-return,no-untyped-call]
    except (OSError, ValueError) as error:
        name = hashlib.sha256(path.encode()).hexdigest()[:8]
        raise HostLacks(
            f"key file {path} can't be used: {one_line(error)}", f"key_file:{name}"
        ) from None
