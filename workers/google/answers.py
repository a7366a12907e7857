"""What an answer of Google's services means: over well, over badly, or nothing at all.

Before a service has accepted a piece of work, an error that does not pass fails the try: see
`explained`. Once it has, only its own word that the work has ended badly does. Whatever else comes
back when it is asked for means that nobody knows: see `asking`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from workers.errors import HostLacks, Refused, RemoteStateUnknown, TaskFailed
from workers.google.errors import (
    about_credentials,
    explain,
    explain_credentials,
    is_final,
    one_line,
)

_REFUSED = frozenset({401, 403, 404})


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn a permanent error of Google's into a `TaskFailed` that begins with `what`.

    For calls before anything runs, and for those that have no effect.
    """
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        refused = error.code in _REFUSED or about_credentials(error)
        kind = Refused if refused else TaskFailed
        first = error.errors[0] if error.errors else None
        raise kind(f"{what}: {explain(error)}", final=is_final(first)) from None
    except GoogleAuthError as error:
        raise Refused(f"{what}: {explain_credentials(error)}") from None


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever is raised into a `RemoteStateUnknown` that begins with `what`.

    For calls that ask how something is that a service has accepted: an error says nothing of it.
    """
    try:
        yield
    except (RemoteStateUnknown, HostLacks):
        raise
    except exceptions.GoogleAPICallError as error:
        raise RemoteStateUnknown(f"{what}: {explain(error)}", lasting=True) from None
    except GoogleAuthError as error:
        raise RemoteStateUnknown(f"{what}: {explain_credentials(error)}", lasting=True) from None
    except TaskFailed as error:  # of the worker's settings, or of the task's params
        raise RemoteStateUnknown(f"{what}: {error}", lasting=True) from None
    except Exception as error:
        said = f"{what}: no answer that can be read: {one_line(error)}"
        raise RemoteStateUnknown(said, lasting=True) from error


@contextlib.contextmanager
def looking(what: str, handle: dict[str, Any]) -> Iterator[None]:
    """For a sensor, which starts nothing: as `explained` until it was answered once.

    From then on as `asking`: what was allowed and there is not refused for good by one answer.
    Notes that in its `handle`.
    """
    with asking(what) if handle.get("answered") else explained(what):
        yield
    handle["answered"] = True


def of_look(error: Exception, what: str, handle: dict[str, Any]) -> Exception:
    """What an error is to a sensor of that handle, if one look was for several."""
    try:
        with looking(what, handle):
            raise error  # noqa: TRY301
    except Exception as answer:  # noqa: BLE001  it is the answer
        return answer
