"""The coordinator: walks submitted DAGs into plans and enqueues what is ready.

It stands between no two tasks of a healthy run: chord callbacks release what comes next.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time

from pydag_dist.coordinator.service import Coordinator
from pydag_dist.settings import Settings

__all__ = ["Coordinator", "main"]

GRACE = 8.0  # seconds that it may take to end
log = logging.getLogger(__name__)


def main(settings: Settings) -> int:
    """Run a coordinator in the foreground until SIGTERM or SIGINT; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the history says what it has done
    coordinator = Coordinator(settings)
    # The handler interrupts the main thread anywhere, maybe where it holds the lock of what `stop`
    # sets, and then would wait for itself. This queue may be put into at any time.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    threading.Thread(target=_stop_at, args=(signals, coordinator), daemon=True).start()
    coordinator.run()
    return 0


def _stop_at(signals: queue.SimpleQueue[int], coordinator: Coordinator) -> None:
    signals.get()
    coordinator.stop()
    time.sleep(GRACE)
    # Planning a huge DAG, or waiting for a lock of the database. Others go on with either.
    log.warning("ending in the middle of what it does")
    os._exit(0)
