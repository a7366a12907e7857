"""One Redis and one database belong together: what two installations would do to each other.

A coordinator that finds another installation there ends with a `HistoryError` that says so.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

import redis

from pydag_dist.engine import Store
from pydag_dist.errors import HistoryError
from pydag_dist.history import History

log = logging.getLogger(__name__)

RENEWALS = 5  # in a lease


class Ownership:
    """Makes sure that this Redis has one database, and this database no other Redis."""

    def __init__(self, store: Store, history: History, lease: float) -> None:
        self._registered = round(2 * lease)  # s that Redis keeps the database after its last writer
        self._watched = 4 * lease / RENEWALS  # s in which an installation that writes shows it
        self._redis: Any = store.redis
        self._database_key = store.key("database")
        self._history = history
        self._epochs: set[str] = set()  # that this coordinator has seen in Redis
        self._watch: tuple[int, float] | None = None

    def has_epoch(self, epoch: str) -> None:
        """Note the epoch that Redis has now: a history of that epoch is this Redis's."""
        self._epochs.add(epoch)

    def register(self, database: str) -> None:
        """Tell other coordinators which database it is, as "id place".

        `HistoryError` if they have another one.
        """
        other = self._redis.get(self._database_key)
        if other is None:
            with contextlib.suppress(redis.OutOfMemoryError):
                other = self._redis.set(
                    self._database_key, database, nx=True, get=True, ex=self._registered
                )
        if other is None:
            return
        if other.split()[0] != database.split(maxsplit=1)[0]:
            raise HistoryError(
                f"another coordinator of this Redis writes its history to {other.split(' ', 1)[1]}"
                f", this one would write to {self._history.where}: give all of them the same "
                "PostgreSQL by PYDAG_DATABASE_URL, or run coordinators on one host only; if the "
                f"other is gone for good, start this one {self._registered} s after its end"
            )
        self._redis.expire(self._database_key, self._registered)

    def unregister(self, database: str) -> None:
        """Forget a database that is gone, unless another coordinator has registered a new one."""
        if self._redis.get(self._database_key) == database:
            self._redis.delete(self._database_key)

    def beat(self, epoch: str) -> None:
        """Show others that this Redis writes; `HistoryError` if another one has taken over."""
        if not self._history.beat(epoch):
            raise self._shared()

    def is_certain(self, epoch: str | None) -> bool:
        """Whether the database is known to be this Redis's; False while that is found out.

        `HistoryError` if another installation writes there: its runs would be taken for lost.
        """
        stored, now = self._history.epoch(), time.monotonic()
        if stored is None or stored == epoch or stored in self._epochs:
            return True
        if self._watch is None:
            log.info("%s is of another Redis: making sure that it's gone", self._history.where)
            self._watch = self._history.beats(), now + self._watched
        beats, until = self._watch
        if self._history.beats() > beats + 1:  # the first may be its last
            raise self._shared()
        if now < until:
            return False
        self._watch = None
        return True

    def _shared(self) -> HistoryError:
        return HistoryError(
            f"another installation writes its history to {self._history.where}: give this one a "
            "database of its own by PYDAG_DATABASE_URL"
        )
