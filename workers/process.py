"""What one process of a worker keeps: its settings and its own connection to the engine."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

import redis

from pydag_dist.engine import Engine, is_passing
from pydag_dist.settings import Settings, load_settings
from workers.settings import WorkerSettings, load_worker_settings

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two tries while Redis can't do a call


@functools.cache
def settings() -> Settings:
    """The settings of every part, read once."""
    return load_settings()


@functools.cache
def worker_settings() -> WorkerSettings:
    """The settings of this worker, read once."""
    return load_worker_settings()


def engine() -> Engine:
    """The engine of the process: a connection must not be shared across a fork."""
    return _engine_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _engine_of(_pid: int) -> Engine:
    return Engine.from_url(settings().redis_url, settings().key_prefix, source="chord")


def until_redis_can(call: Callable[[], T]) -> T:
    """The answer of an idempotent call, repeated for as long as Redis can't do it.

    Only what the call itself did wrong is raised.
    """
    while True:
        try:
            return call()
        except redis.RedisError as error:
            if not is_passing(error):
                raise
            log.warning("Redis can't do it now (%s); asking again", error)
            time.sleep(PAUSE)
