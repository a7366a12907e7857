"""The logger of a try, from the beginning of the try to the end of its log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pydag_dist.engine import Held
from workers.pool.output import capture
from workers.pool.output.logs import SENDER, Log, TaskLogger, log_of


@contextlib.contextmanager
def log_of_try(held: Held) -> Iterator[logging.Logger]:
    """The logger of the try that runs in this process, and the end of its log."""
    if (own := capture.own()) is None:
        with quiet_log(held) as logger:
            yield logger
        return
    own.begin(held)
    try:
        yield TaskLogger(own.record)
    finally:
        own.end()


class QuietLog:
    """The log of a try that does not run in this process, as that of a poll.

    A `Sender` sends its lines from the first one on.
    """

    def __init__(self, held: Held) -> None:
        self.logger = TaskLogger(self._add)
        self._held = held
        self._log: Log | None = None

    def _add(self, at: float, level: str, text: str) -> None:
        if self._log is None:
            self._log = log_of(self._held)
            SENDER.add(self)
        self._log.add(at, level, text)
        SENDER.wake()

    def send_waiting(self) -> None:
        """Send what waits."""
        if self._log is not None:
            self._log.send_waiting()

    def end(self) -> Log | None:
        """Nothing more is logged; whoever gets the log closes it. None if it has no lines."""
        if self._log is not None:
            SENDER.remove(self)
        return self._log


@contextlib.contextmanager
def quiet_log(held: Held) -> Iterator[logging.Logger]:
    """The logger of such a log, and its end."""
    quiet = QuietLog(held)
    try:
        yield quiet.logger
    finally:
        if (log := quiet.end()) is not None:
            log.close()
