"""How a running try is stopped: the parent signals its child, the child asks the engine first.

A signal reaches a process, not a try: by the time it arrives the child may have ended that try
and begun another. So the handler asks the engine whether the try that runs *now* is to stop.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
from collections.abc import Iterator
from typing import Any

import redis
from celery.signals import worker_process_init

from pydag_dist.engine import Engine, Held, connect
from workers.orphans import die_with_parent
from workers.process import settings

STOP = signal.SIGUSR2  # Celery's prefork pool leaves it alone
GRACE = 10.0  # seconds that a child gets to stop
CANCEL_GRACE = 120.0  # seconds that it gets when it has a remote job to cancel

# Of each process that the parent forks whether it cancels a remote job just now. Shared: the
# parent wrote it before it forked. (Linux gives process ids up to 2^22; untouched pages cost none.)
_cancelling = mmap.mmap(-1, 1 << 22)


class Stopped(BaseException):
    """The try that runs is to stop; not an Exception, so that operators let it through."""


_running: Held | None = None


@contextlib.contextmanager
def stoppable(held: Held) -> Iterator[None]:
    """Let `Stopped` be raised in here once the engine wants the try to stop."""
    global _running  # noqa: PLW0603  a signal handler has no other way to know
    _running = held
    try:
        yield
    finally:
        _running = None


@contextlib.contextmanager
def not_now() -> Iterator[None]:
    """In here nothing is stopped: calls of Redis must not be broken off. The parent asks again."""
    global _running  # noqa: PLW0603
    held, _running = _running, None
    try:
        yield
    finally:
        _running = held


@contextlib.contextmanager
def cancelling() -> Iterator[None]:
    """In here the parent is more patient: stopping a remote job takes as long as it takes."""
    at = os.getpid() % len(_cancelling)
    _cancelling[at] = 1
    try:
        yield
    finally:
        _cancelling[at] = 0


def grace(pid: int) -> float:
    """Seconds after which a child that was told to stop is to be killed."""
    return CANCEL_GRACE if _cancelling[pid % len(_cancelling)] else GRACE


def _on_signal(*_: Any) -> None:
    global _running  # noqa: PLW0603
    held = _running
    if held is None:
        return
    # Its own connection: the interrupted code may be in the middle of a call on another.
    with connect(settings().redis_url) as client:
        try:
            (answer,) = Engine(client, settings().key_prefix).renew("", 0, [], [held])
        except redis.RedisError:
            return  # the parent will signal again
    if answer == "cancel":
        _running = None
        raise Stopped


@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _prepare_child(**_: Any) -> None:
    # Celery's children end when a pipe from their parent does, but one that was forked later holds
    # that pipe, too: a parent that is killed while it starts would leave them for ever.
    die_with_parent()
    _cancelling[os.getpid() % len(_cancelling)] = 0  # as another of that id may have left it
    signal.signal(STOP, _on_signal)
    # A system call that a signal interrupts goes on when the handler returns.
    signal.siginterrupt(STOP, False)
