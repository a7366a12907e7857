"""What one process of a worker keeps: its settings and its own connection to the engine."""

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

from pydag_dist.engine import Engine, is_passing, is_refusal
from pydag_dist.settings import Settings, load_settings
from workers.settings import WorkerSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two tries while Redis can't do a call
FAREWELL = 10.0  # seconds that a worker which was told to end still waits for Redis

# When this worker was told to end, by the monotonic clock; 0 before. Shared: the parent made it
# before it forked.
_told_to_end = mmap.mmap(-1, 8)


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
    """Redis could not be told of a try any more: it runs again elsewhere, by its lease."""


def leave() -> None:
    """From the parent: this worker was told to end."""
    _told_to_end[:] = struct.pack("d", time.monotonic())


def told_to_end() -> float:
    """When this worker was told to end, by the monotonic clock; 0 if it was not."""
    (since,) = struct.unpack("d", _told_to_end)
    return float(since)


def until_redis_can(call: Callable[[], T]) -> T:
    """The answer of an idempotent call, repeated for as long as Redis can't do it.

    Only what the call itself did wrong is raised; and `GivenUp` if the worker was told to end, and
    this has been waiting for longer than `FAREWELL`.
    """
    while True:
        try:
            return call()
        except redis.RedisError as error:
            if not (is_passing(error) or is_refusal(error)):
                raise
            since = told_to_end()
            if since and time.monotonic() - since > FAREWELL:
                raise GivenUp(f"this worker ends, and Redis can't be reached: {error}") from error
            log.warning("Redis can't do it now (%s); asking again", error)
            time.sleep(PAUSE)
