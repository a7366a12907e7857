"""Starts the runs of published DAGs when they are due, together with all other coordinators."""

from __future__ import annotations

import logging
import random
import threading
from datetime import datetime
from typing import Final

import redis

from pydag_dist.coordinator.repeating import repeat
from pydag_dist.engine import Engine
from pydag_dist.engine.publications import fire
from pydag_dist.engine.published import PublishedDag, scheduled_run_id
from pydag_dist.errors import PydagError

log = logging.getLogger(__name__)

# Seconds between two looks, at most: a DAG is due at once when it is published late, or when the
# run ends that held it back.
LONGEST: Final = 0.2
SOONEST: Final = 0.005  # seconds; a due time is not fired before it has come
TAKEN: Final = 1_000  # DAGs of one look
READ: Final = 20  # of them that are read at once


class Scheduler:
    """Fires what is due. It waits for the history to give back what Redis has lost."""

    def __init__(self, engine: Engine, stopping: threading.Event) -> None:
        self._engine = engine
        self._publishing = engine.publishing
        self._stopping = stopping
        self._failed: dict[str, int] = {}  # DAG -> its version whose schedule can't be worked with

    def run(self) -> None:
        """Fire what is due until stopped."""
        waits = "no DAG is started by its schedule now"
        repeat(self.step, self._engine.store, self._stopping, waits)

    def step(self) -> float:
        """Fire what is due now; the seconds after which to look again."""
        store, publishing = self._engine.store, self._publishing
        first = publishing.next_due()
        if first is None:
            return LONGEST
        now = publishing.now()
        if first > now:
            return min((first - now).total_seconds() + SOONEST, LONGEST)
        if not store.redis.exists(store.key("epoch")):
            return LONGEST  # Redis is new, and may get back what it has lost
        names = publishing.due(now, TAKEN)
        random.shuffle(names)  # several coordinators look at the same time
        some_can = False
        for at in range(0, len(names), READ):
            # What has been missed takes time to count: meanwhile others may have fired the rest.
            now = publishing.now()
            for seen in publishing.dags(names[at : at + READ]):
                if self._stopping.is_set():
                    return LONGEST
                some_can |= self._fire(seen, now)
        return SOONEST if some_can else LONGEST

    def _fire(self, seen: PublishedDag, now: datetime) -> bool:
        """Whether its schedule can be worked with."""
        if self._failed.get(seen.dag_id) == seen.version:
            return False
        try:
            done = fire(self._publishing, seen, now)
        except redis.RedisError:
            raise
        except (PydagError, ValueError, TypeError, OverflowError) as error:
            self._failed[seen.dag_id] = seen.version
            log.error("%s: its schedule can't be worked with: %s", seen.dag_id, error)  # noqa: TRY400
            return False
        if done is None:
            return True
        answer, at, move = done
        if answer == "made":
            log.info("%s: started %s", seen.dag_id, scheduled_run_id(seen.dag_id, at))
            if move.missed and move.first and move.last:
                log.warning(
                    "%s: missed %d of its due times, from %s to %s",
                    seen.dag_id,
                    move.missed,
                    move.first.isoformat(),
                    move.last.isoformat(),
                )
        return True
