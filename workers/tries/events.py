"""What Flower hears of tries that had no message: a process sends their events itself, in batches.

The thread that sends the lines of logs sends them, too, twice a second: so a task that runs long is
shown as started.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from typing import Any

from celery.events.dispatcher import EventDispatcher
from celery.exceptions import Ignore, Retry
from celery.signals import worker_process_shutdown
from celery.utils.time import utcoffset
from kombu.exceptions import KombuError

from pydag_dist.engine import Next
from workers.pool.output.logs import SENDER
from workers.tries.outcome import GOOD_OUTCOMES, Ended

_A_BATCH = 500
_MOST = 10_000  # events that wait for a Redis that is away; newer ones push out the oldest


class Telling:
    """The events of one process of the pool."""

    def __init__(self, app: Any, worker: str) -> None:
        self.pid = os.getpid()
        self._app = app
        self._worker = worker
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_MOST)
        self._sending = threading.Lock()
        self._dispatcher: EventDispatcher | None = None
        SENDER.add(self)

    def began(self, following: Next) -> None:
        """A try has begun in this process without a message."""
        held, uuid = following.held, following.celery_id
        self._add(
            "task-received",
            uuid,
            name=f"{following.dag_id}.{held.task}",
            args=f"{held.run} {held.task}",
            kwargs="",
            root_id=uuid,
            parent_id=None,
            retries=0,
            eta=None,
            expires=None,
        )
        self._add("task-started", uuid)

    def ended(self, uuid: str, how: Ended | Retry | Ignore, runtime: float) -> None:
        """It has left this process so, after so many seconds."""
        if isinstance(how, Retry):
            self._add("task-retried", uuid, exception=str(how), traceback="")
        elif isinstance(how, Ignore):
            return
        elif how.outcome == "deferred":
            self._add("task-retried", uuid, exception=how.error, traceback="")
        elif how.outcome in GOOD_OUTCOMES:
            self._add("task-succeeded", uuid, result="None", runtime=runtime)
        else:
            self._add("task-failed", uuid, exception=how.error, traceback=how.trace or how.error)

    def _add(self, kind: str, uuid: str, **fields: Any) -> None:
        self._waiting.append({"type": kind, "uuid": uuid, "timestamp": time.time(), **fields})

    def send_waiting(self) -> None:
        """Send them; raises an OSError if the broker can't be reached."""
        with self._sending:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _A_BATCH))]
                try:
                    self._publish(batch)
                except BaseException as error:
                    self._waiting.extendleft(reversed(batch))
                    self._dispatcher = None
                    if isinstance(error, KombuError):
                        raise OSError(str(error)) from error
                    raise

    def _publish(self, batch: list[dict[str, Any]]) -> None:
        if self._dispatcher is None:
            self._dispatcher = self._app.events.Dispatcher(
                self._app.connection_for_write(), hostname=self._worker, buffer_while_offline=False
            )
        common = {"hostname": self._worker, "pid": self.pid, "utcoffset": utcoffset()}
        # By `send` each event would take ten times as long.
        self._dispatcher._publish(  # noqa: SLF001
            [event | common for event in batch], self._dispatcher.producer, "task.multi"
        )


_own: Telling | None = None


def of_this_process(app: Any, worker: str) -> Telling:
    """The events of this process, which is one of that worker's pool."""
    global _own  # noqa: PLW0603  one a process
    if _own is None or _own.pid != os.getpid():
        _own = Telling(app, worker)
    return _own


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # Celery has no types
def flush(**_: Any) -> None:
    """Before this process ends: send what waits, if Redis can be reached."""
    if _own is not None and _own.pid == os.getpid():
        with contextlib.suppress(Exception):
            _own.send_waiting()
