"""Secrets of Google Secret Manager, by its REST API: no package of its own is needed."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from typing import Final

from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from requests import RequestException

from workers.errors import HostLacks, TaskFailed
from workers.google.access import access_to, credentials
from workers.settings import WorkerSettings

_SECONDS: Final = 20.0
_AGAIN: Final = 500  # from this status on another try may get an answer


def secret(name: str, project: str, settings: WorkerSettings) -> str:
    """The newest version of a secret of that project; `HostLacks` if this host may not have it."""
    need = f"secret:{name}"
    access = replace(access_to(settings), project=project)
    local = os.environ.get("SECRET_MANAGER_EMULATOR_HOST")
    host = local or "https://secretmanager.googleapis.com"
    found = AnonymousCredentials() if local else credentials(access)[0]  # type: ignore[no-untyped-call]
    url = f"{host}/v1/projects/{project}/secrets/{name}/versions/latest:access"
    try:
        with AuthorizedSession(found) as session:  # type: ignore[no-untyped-call]
            answer = session.get(url, timeout=_SECONDS)
    except GoogleAuthError as error:
        message = f"the secret {name} of Secret Manager: no credentials here ({error})"
        raise HostLacks(message, need) from None
    except RequestException as error:
        kind = type(error).__name__
        raise TaskFailed(f"the secret {name}: Secret Manager did not answer ({kind})") from None
    if answer.status_code >= _AGAIN or answer.status_code == 429:
        raise TaskFailed(f"the secret {name}: Secret Manager answered {answer.status_code}")
    if not answer.ok:
        raise HostLacks(
            f"the secret {name} of Secret Manager in project {project}: {answer.status_code}, "
            "so it is not there, or this worker's account lacks secretmanager.versions.access",
            need,
        )
    try:
        return base64.b64decode(answer.json()["payload"]["data"]).decode()
    except (ValueError, LookupError, TypeError):
        raise TaskFailed(f"the secret {name} of Secret Manager is no text", final=True) from None
