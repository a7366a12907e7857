"""What several tests need: waiting for a condition, free ports, whether a process lives."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from pydag_dist.local.ports import free_port

__all__ = ["free_port", "is_alive", "wait_until"]

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, timeout: float = 120) -> T:
    """The first true value of `condition`; an AssertionError naming `what` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    """Whether that process runs; one that only nobody has waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
