"""What each process of a worker has: the settings, and a connection of its own to the engine."""

from __future__ import annotations

import functools
import logging
import mmap
import os
import struct
import time
from collections.abc import Callable
from typing import TypeVar

import redis
from celery.exceptions import Ignore

from pydag_dist.engine import Engine, is_refusal, is_transient
from pydag_dist.engine.connection import Outage, trouble_of
from pydag_dist.settings import Settings, load_settings
from workers.settings import WorkerSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two tries while Redis can't do a call
UNKNOWN_FOR = 15.0  # seconds; a coordinator gives a lost run back within two or three
SHUTDOWN_WAIT = 10.0  # seconds that a worker which shuts down still waits for Redis

# When this worker began to shut down, by the monotonic clock; 0 before. The parent makes this
# memory before it forks, so all processes of the worker share it.
_shutdown = mmap.mmap(-1, 8)


@functools.cache
def settings() -> Settings:
    """The settings of every part, read once."""
    return load_settings()


@functools.cache
def worker_settings() -> WorkerSettings:
    """The settings of this worker, read once."""
    return WorkerSettings.load()


def engine() -> Engine:
    """The engine of the process: a connection must not be shared across a fork."""
    return _engine_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _engine_of(_pid: int) -> Engine:
    return Engine.from_url(settings().redis_url, settings().key_prefix, source="chord")


class GivenUp(Ignore):  # type: ignore[misc]  # Celery has no types
    """Redis can't be reached before this worker ends; the try's lease lapses, so it runs again."""


def begin_shutdown() -> None:
    """In the parent: this worker shuts down from now on."""
    _shutdown[:] = struct.pack("d", time.monotonic())


def shutdown_since() -> float:
    """When this worker began to shut down, by the monotonic clock; 0 if it did not."""
    (since,) = struct.unpack("d", _shutdown)
    return float(since)


def until_redis_can(call: Callable[[], T]) -> T:
    """The answer of an idempotent call, repeated for as long as Redis can't do it.

    Raises the error of a call that is wrong itself, and `GivenUp` if Redis could not do it until
    `SHUTDOWN_WAIT` after the worker began to shut down.
    """
    outage = Outage()
    while True:
        try:
            return call()
        except redis.RedisError as error:
            if not (is_transient(error) or is_refusal(error)):
                raise
            since = shutdown_since()
            if since and time.monotonic() - since > SHUTDOWN_WAIT:
                raise GivenUp(f"this worker ends, and Redis can't be reached: {error}") from error
            if outage.begins_with(why := trouble_of(error)):
                log.warning("Redis can't do it now: %s", why)
            time.sleep(PAUSE)
