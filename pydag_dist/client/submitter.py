"""Who it is that submits a run, or marks a task."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Final

from pydag_dist.dag.ids import worker_name

MAX_LENGTH: Final = 100  # characters


def user_at_host() -> str:
    """The user and the host of this process, as a run keeps them: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid-{os.getuid()}"
    return worker_name(f"{user}@{socket.gethostname()}")[:MAX_LENGTH]
