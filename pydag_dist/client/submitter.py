"""Who it is that submits a run, or marks a task."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from pydag_dist.dag.ids import worker_name

MAX_LENGTH: Final = 100  # characters
_other: ContextVar[str] = ContextVar("other", default="")


@contextmanager
def acting_for(name: str) -> Iterator[None]:
    """In here it is that one for whom this process does something."""
    before = _other.set(worker_name(name)[:MAX_LENGTH])
    try:
        yield
    finally:
        _other.reset(before)


def user_at_host() -> str:
    """The user and the host of this process, as a run keeps them: ``user@host``.

    Or for whom the process is acting.
    """
    if other := _other.get():
        return other
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid-{os.getuid()}"
    return worker_name(f"{user}@{socket.gethostname()}")[:MAX_LENGTH]
