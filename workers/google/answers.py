"""What an error of Google's services means for a try; that depends on what the call was for.

`explained` is for calls before a service has accepted any work: an error that does not pass fails
the try. `asking` is for calls about work that a service has accepted: the try fails only if the
service says that the work has failed, and after any other error nobody knows how the work is.
`looking` is for sensors, which start no work.
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
def explained(what: str = "", *, of: str = "") -> Iterator[None]:
    """Turn a permanent error of Google's into a `TaskFailed` that begins with `what`.

    `of` is the job that it is about, which stands at the end: its id is long. For calls before
    anything runs, and for those that have no effect.
    """
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        refused = error.code in _REFUSED or about_credentials(error)
        kind = Refused if refused else TaskFailed
        first = error.errors[0] if error.errors else None
        raise kind(_told(what, explain(error), of), final=is_final(first)) from None
    except GoogleAuthError as error:
        raise Refused(_told(what, explain_credentials(error), of)) from None


@contextlib.contextmanager
def asking(what: str = "", *, of: str = "") -> Iterator[None]:
    """Turn any error into a `RemoteStateUnknown` that begins with `what`.

    `of` as of `explained`. For calls that ask for work which a service has accepted: an error says
    nothing about the work.
    """
    try:
        yield
    except (RemoteStateUnknown, HostLacks):
        raise
    except exceptions.GoogleAPICallError as error:
        raise RemoteStateUnknown(_told(what, explain(error), of), lasting=True) from None
    except GoogleAuthError as error:
        why = explain_credentials(error)
        raise RemoteStateUnknown(_told(what, why, of), lasting=True) from None
    except TaskFailed as error:  # of the worker's settings, or of the task's params
        raise RemoteStateUnknown(_told(what, str(error), of), lasting=True) from None
    except Exception as error:
        why = f"no answer that can be read: {one_line(error)}"
        raise RemoteStateUnknown(_told(what, why, of), lasting=True) from error


def _told(what: str, why: str, of: str) -> str:
    return f"{what}: " * bool(what) + why + f" ({of})" * bool(of)


@contextlib.contextmanager
def looking(what: str, handle: dict[str, Any]) -> Iterator[None]:
    """For a sensor: as `explained` until it was answered once, which its `handle` notes.

    From then on as `asking`: what could be asked for once is not out of reach for good because of
    one error.
    """
    with asking(what) if handle.get("answered") else explained(what):
        yield
    handle["answered"] = True


def answer_of_look(error: Exception, what: str, handle: dict[str, Any]) -> Exception:
    """What an error means for the sensor of that handle, if one request was for several sensors."""
    try:
        with looking(what, handle):
            raise error  # noqa: TRY301
    except Exception as answer:  # noqa: BLE001  it is the answer
        return answer
