"""How a running try is stopped: the parent signals its child, the child asks the engine first.

A signal reaches a process, not a try: by the time it arrives the child may have ended that try
and begun another. So the handler asks the engine whether the try that runs *now* is to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import redis

from pydag_dist.engine import Engine, Held, connect
from workers.pool.by_process import ByProcess
from workers.pool.orphans import descendants, send
from workers.process import settings

STOP = signal.SIGUSR2  # Celery's prefork pool leaves it alone
GRACE = 10.0  # seconds that a child gets to stop
_ALONE = 3.0  # seconds after `Stopped` in which the try itself can end what it started
CANCEL_GRACE = 120.0  # seconds that it gets when it has a remote job to cancel

_cancelling = ByProcess()  # 1: the try there cancels a remote job


class Stopped(KeyboardInterrupt):
    """The try that runs is to stop.

    Libraries know how to end at Ctrl-C: they kill what they wait for, an event loop cancels its
    tasks. Not an Exception, so that operators let it through.
    """


_running: Held | None = None
_stopped_at: float | None = None  # when the try that runs was stopped
_instead: Callable[[], bool] | None = None


@contextlib.contextmanager
def stoppable(held: Held) -> Iterator[None]:
    """In this block `Stopped` is raised once the engine wants the try to stop."""
    global _running, _stopped_at  # noqa: PLW0603  a signal handler has no other way to know
    _running, _stopped_at = held, None
    _cancelling[os.getpid()] = 0
    try:
        yield
    finally:
        _running = _stopped_at = None


@contextlib.contextmanager
def not_now() -> Iterator[None]:
    """In this block nothing is stopped, since a call of Redis must not be broken off.

    The parent signals again later.
    """
    global _running  # noqa: PLW0603
    held, _running = _running, None
    try:
        yield
    finally:
        _running = held


@contextlib.contextmanager
def stopped_by(stop: Callable[[], bool]) -> Iterator[None]:
    """In this block `stop` is called, perhaps several times, instead of raising `Stopped`.

    If it returns False, `Stopped` is raised all the same.
    """
    global _instead  # noqa: PLW0603
    _instead = stop
    try:
        yield
    finally:
        _instead = None


def begin_cancelling() -> None:
    """The try cancels a remote job: from now on its parent waits `CANCEL_GRACE` before it kills.

    This holds until the next try begins, since a try that has cancelled its job has yet to report
    it.
    """
    _cancelling[os.getpid()] = 1


def grace(pid: int) -> float:
    """Seconds after which a child that was told to stop is to be killed."""
    return CANCEL_GRACE if _cancelling[pid] else GRACE


def stop_if_wanted(*_: object) -> None:
    """The handler of `STOP`."""
    global _running, _stopped_at  # noqa: PLW0603
    held = _running
    if held is None:
        if _stopped_at is not None and time.monotonic() - _stopped_at > _ALONE:
            _stopped_at = None
            for pid in descendants(os.getpid()):
                send(pid, signal.SIGTERM)
        return
    # Its own connection: the interrupted code may be in the middle of a call on another.
    with connect(settings().redis_url) as client:
        try:
            (answer,) = Engine(client, settings().key_prefix).working.renew("", 0, [], [held])
        except redis.RedisError:
            return  # the parent will signal again
    if answer != "cancel" or (_instead is not None and _instead()):
        return
    _running, _stopped_at = None, time.monotonic()
    raise Stopped


def begin_process() -> None:
    """In a new process of the pool."""
    _cancelling[os.getpid()] = 0  # as another of that id may have left it
    signal.signal(STOP, stop_if_wanted)
