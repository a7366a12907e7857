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


@contextlib.contextmanager
def quiet_log(held: Held) -> Iterator[logging.Logger]:
    """A logger of a try that does not run in this process, as that of a poll."""
    source: _Lines | None = None

    def add(at: float, level: str, text: str) -> None:
        nonlocal source
        if source is None:
            source = _Lines(log_of(held))
            SENDER.add(source)
        source.log.add(at, level, text)
        SENDER.wake()

    try:
        yield TaskLogger(add)
    finally:
        if source is not None:
            SENDER.remove(source)
            source.log.close()


class _Lines:
    """What a `Sender` sends of a log."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def send_waiting(self) -> None:
        """Send what waits."""
        self.log.send_waiting()
