"""The loops of a coordinator that ask Redis now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

import redis

from pydag_dist.engine import Store
from pydag_dist.engine.connection import Outage
from pydag_dist.history import LOST, reason_of

log = logging.getLogger(__name__)
AWAY: Final = 0.5  # seconds before Redis, or the database, is tried again


def repeat(
    step: Callable[[], float], store: Store, stopping: threading.Event, waits: str, first: float = 0
) -> None:
    """Call `step` until stopped, after `first` seconds and then after those that it returned.

    While Redis or the database is away or full, the log says once that something `waits`, and why.
    """
    pause, outage = first, Outage()
    while not stopping.wait(pause):
        try:
            pause = step()
        except (redis.RedisError, *LOST) as error:
            if isinstance(error, redis.RedisError):
                store.disconnect()
            if outage.begins_with(why := reason_of(error)):
                log.warning("%s: %s", waits, why)
            pause = AWAY
