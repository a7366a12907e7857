"""Brings backfills on, together with all other coordinators."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydag_dist.coordinator.repeating import repeat
from pydag_dist.engine import Engine
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.backfills.changes import advance, cancel_runs, is_wanted
from pydag_dist.engine.published import scheduled_run_id
from pydag_dist.errors import PydagError
from pydag_dist.history import HistoryReader

log = logging.getLogger(__name__)

EVERY: Final = 0.2  # seconds between two looks
TAKEN: Final = 100  # backfills of one look
STEPS: Final = 20  # of one backfill before the others have their turn
_EVER: Final = datetime.max.replace(tzinfo=UTC)


class Backfills:
    """Makes the runs of backfills; which due times have one already, the history tells."""

    def __init__(self, engine: Engine, history: HistoryReader, stopping: threading.Event) -> None:
        self._engine = engine
        self._history = history
        self._stopping = stopping

    def run(self) -> None:
        """Bring backfills on until stopped."""
        repeat(self.step, self._engine.store, self._stopping, "backfills wait")

    def step(self) -> float:
        """Do what is to be done now; the seconds after which to look again."""
        store, backfilling = self._engine.store, self._engine.backfilling
        if not backfilling.open(_EVER, 1):
            return EVERY
        if not store.redis.exists(store.key("epoch")):
            return EVERY  # Redis is new, and may get back what it has lost
        ids = backfilling.open(self._engine.publishing.now(), TAKEN)
        random.shuffle(ids)  # several coordinators look at the same time
        is_more = False
        for backfill_id in ids:
            is_more |= self._bring_on(backfill_id)
        return 0.0 if is_more else EVERY

    def _bring_on(self, backfill_id: str) -> bool:
        """Whether there may be more to do at once."""
        backfilling = self._engine.backfilling
        is_more = False
        for _ in range(STEPS):
            seen = backfilling.backfill(backfill_id)
            if seen is None or self._stopping.is_set():
                return False
            if seen.state == "cancelling":
                cancel_runs(backfilling, self._engine.steering, backfill_id)
            try:
                done = advance(backfilling, self._engine.publishing, seen, self._wanted)
            except (PydagError, ValueError, TypeError, OverflowError, AssertionError) as error:
                log.error("backfill %s can't go on: %s", backfill_id, error)  # noqa: TRY400
                backfilling.pause(backfill_id, "", f"it can't go on: {error}"[:500])
                return False
            is_more = done in {"made", "there", "left"}
            if done == "made":
                log.info("backfill %s: made another run", backfill_id)
            elif not is_more and done != "again":
                if not seen.is_open or done != seen.state:
                    log.info("backfill %s: %s", backfill_id, done)
                return False
        return is_more

    def _wanted(self, seen: Backfill, due: Sequence[datetime]) -> list[bool]:
        """Which of the due times get a run."""
        known = self._history.states_at(seen.dag_id, [at.isoformat() for at in due])
        # The history may not have what happened in the last second.
        ids = [
            run_id for at in due for run_id in (scheduled_run_id(seen.dag_id, at), seen.run_id(at))
        ]
        live = self._engine.runs.states(ids)
        found = []
        for at in due:
            mine, scheduled = seen.run_id(at), scheduled_run_id(seen.dag_id, at)
            states = known[at.isoformat()] | {
                run_id: state for run_id in (mine, scheduled) if (state := live.get(run_id))
            }
            found.append(is_wanted(seen.again, mine, states))
        return found
