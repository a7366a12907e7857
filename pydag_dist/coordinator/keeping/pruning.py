"""Deletes runs that ended more than PYDAG_HISTORY_DAYS ago, with their logs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from pydag_dist.history import LOST, History, reason_of
from pydag_dist.log_store import LogStore, LogStoreAway

log = logging.getLogger(__name__)

DAY: Final = 86_400
EVERY: Final = 3600.0  # seconds
PAUSE: Final = 60.0  # seconds until another one writes the history, or a place is there again


class _NotNow(Exception):
    """The coordinator ends, or another one writes the history by now."""


class Pruning:
    """The loop of one coordinator; of all coordinators the one works that writes the history."""

    def __init__(
        self,
        history: History,
        days: int,
        logs: LogStore | None,
        is_its_turn: Callable[[], bool],
        stopping: threading.Event,
    ) -> None:
        self._history, self._days, self._logs = history, days, logs
        self._is_its_turn, self._stopping = is_its_turn, stopping

    def run(self) -> None:
        """Prune now and then until stopped."""
        pause = PAUSE
        while not self._stopping.wait(pause):
            pause = EVERY if self._is_its_turn() and self.step() else PAUSE

    def step(self) -> bool:
        """Prune; whether that could be done."""
        try:
            pruned = self._history.prune(time.time() - self._days * DAY, self._forget_logs)
        except _NotNow:
            return False
        except (LogStoreAway, *LOST) as error:
            log.warning("old runs can't be deleted now: %s", reason_of(error))
            return False
        if pruned.runs:
            log.info("%d runs that ended %d days ago are deleted", pruned.runs, self._days)
        return True

    def _forget_logs(self, run_ids: Sequence[str]) -> None:
        if self._stopping.is_set() or not self._is_its_turn():
            raise _NotNow
        if self._logs:
            self._logs.forget(run_ids)
