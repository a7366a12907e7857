"""The coordinator: walks submitted DAGs into plans and enqueues what is ready.

It stands between no two tasks of a healthy run: chord callbacks release what comes next.
"""

from __future__ import annotations

import logging
import signal

from pydag_dist.coordinator.service import Coordinator
from pydag_dist.settings import Settings

__all__ = ["Coordinator", "main"]


def main(settings: Settings) -> int:
    """Run a coordinator in the foreground until SIGTERM or SIGINT; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    coordinator = Coordinator(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: coordinator.stop())
    coordinator.run()
    return 0
