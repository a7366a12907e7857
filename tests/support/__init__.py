"""What several tests need: waiting for a condition, free ports, whether a process lives."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")

# The environment variable with the number of one of several processes that run tests.
PROCESS = "TEST_PROCESS"

# Ports below those that the kernel gives to connections and to servers that ask for any; each of
# those processes has its own.
PORTS = 1_400
_ports = itertools.count(random.randrange(PORTS))


def free_port() -> int:
    """A port that nobody has, and that nobody is given before a test's server has it."""
    first = 10_000 + PORTS * (int(os.environ.get(PROCESS, "0")) % 16)
    while True:
        port = first + next(_ports) % PORTS
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], T], what: str, timeout: float = 120) -> T:
    """The first true value of `condition`; an AssertionError naming `what` after `timeout` s.

    What takes long to find out is asked for less often.
    """
    asked = time.monotonic()
    deadline = asked + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(max(0.02, 2 * (time.monotonic() - asked)))
        asked = time.monotonic()
    return value


def is_alive(pid: int) -> bool:
    """Whether that process runs; one that only nobody has waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
