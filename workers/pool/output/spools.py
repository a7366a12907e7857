"""The spools of all processes of a pool, which the parent makes before it forks each of them."""

from __future__ import annotations

import contextlib
import logging
import sys

from pydag_dist.engine import Held
from workers.pool.output.spool import Spool

log = logging.getLogger(__name__)

_next: Spool | None = None  # of the process that is forked next; in that process its own
_spools: dict[int, Spool] = {}  # in the parent: process -> its spool


def prepare() -> None:
    """In the parent, before it forks a process: make the spool of that process."""
    global _next  # noqa: PLW0603  a fork takes nothing else along
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()  # type: ignore[union-attr]
    _next = Spool()


def forked(pid: int) -> None:
    """In the parent, after the fork: the spool that was prepared is that of this process."""
    global _next  # noqa: PLW0603
    if _next is not None:
        _next.close_write()
        _spools[pid] = _next
    _next = None


def of_this_process() -> Spool | None:
    """In a new process of the pool: its own spool, once; those of the others are closed here."""
    global _next
    for other in _spools.values():
        other.close()
    _spools.clear()
    own, _next = _next, None
    return own


def relieve() -> None:
    """In the parent, once a second: let no process wait for a pipe that it can't read itself."""
    for pid, spool in _spools.items():
        if lost := spool.relieve():
            log.warning("process %d can't read what it writes: %d bytes are lost", pid, lost)


def running(pid: int) -> Held | None:
    """In the parent: the try that runs in a process now, as far as it has begun and not ended."""
    spool = _spools.get(pid)
    try:
        return spool.held() if spool else None
    except ValueError:  # just being written
        return None


def take(pid: int) -> Spool | None:
    """In the parent: the spool of a process that has ended, once."""
    return _spools.pop(pid, None)
