"""A small process beside a worker that ends what tasks started when the worker's parent is killed.

The parent can't do that when it is killed, and nothing would be left that knows what the processes
of its pool had started. So the keeper kills the pool: it stops each process, kills what is below
it, and then the process itself. The kernel stops these processes at the parent's death, too: if one
of them ended before the keeper has looked, nobody would know any more what it had started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
import traceback

from workers.pool import orphans
from workers.pool.by_process import ByProcess

NAME = "pydag-keeper"
_PR_SET_NAME = 15  # linux/prctl.h
_PAUSE = 0.005

_pool = ByProcess()  # 1: it is one of the pool

_lifeline: int | None = None  # the parent's end of a pipe, which closes when it ends
_keeper: int | None = None


def start() -> None:
    """In the parent: start the keeper, unless there is one. The sooner, the less memory it has."""
    global _lifeline, _keeper  # noqa: PLW0603  of this process
    if _lifeline is not None:
        return
    read, _lifeline = os.pipe()
    _keeper = os.fork()
    if _keeper == 0:
        try:
            _keep(read)
        finally:
            os._exit(0)
    os.close(read)


def restart_if_gone() -> None:
    """In the parent, now and then."""
    global _lifeline  # noqa: PLW0603  of this process
    if _keeper is None or _lifeline is None or not os.waitpid(_keeper, os.WNOHANG)[0]:
        return
    os.close(_lifeline)
    _lifeline = None
    start()


def pid() -> int | None:
    """The keeper's process."""
    return _keeper


def enter() -> None:
    """In a process of the pool, before it does anything else."""
    _pool[os.getpid()] = 1
    if _lifeline is None:
        orphans.die_with_parent()
        return
    os.close(_lifeline)
    orphans.die_with_parent(signal.SIGSTOP)


def ended(process: int) -> None:
    """In the parent: a process of the pool has ended."""
    _pool[process] = 0


def _keep(read: int) -> None:
    with contextlib.suppress(PermissionError):
        os.setsid()  # what is sent to the worker's group is not for this one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME.encode())
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, read)
    os.closerange(read + 1, min(highest, 1 << 16))
    os.read(read, 1)  # until the parent has ended
    for process in _pool.having(1):
        try:
            _end(process)
        except Exception:  # noqa: BLE001  the others have to end, too
            traceback.print_exc()


def _end(process: int) -> None:
    """Kill a process of the pool with all that is below it."""
    orphans.send(process, signal.SIGSTOP)
    deadline = time.monotonic() + orphans.DEADLY
    while below := [pid for pid in orphans.descendants(process) if not orphans.is_zombie(pid)]:
        if time.monotonic() > deadline:
            break
        for pid in below:
            orphans.send(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
    orphans.send(process, signal.SIGKILL)
