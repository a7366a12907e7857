"""The request that Celery's parent keeps for each message: nobody acknowledges it."""

from __future__ import annotations

import signal as signals
import time
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.request import Request, task_ready

from workers.parent.deaths import DEATHS
from workers.tries.message import POLLS, held_by
from workers.tries.outcome import GOOD_OUTCOMES, Ended


class TryRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A request of a queue without acknowledgement: there is nothing to tell the broker."""

    def __init__(self, message: Any, **options: Any) -> None:
        # The body as the parent has decoded it, so that the child need not do it again.
        super().__init__(message, **(options | {"body": message.payload, "decoded": True}))
        try:
            held_by(self._context)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InvalidTaskError("it has no header of a try") from None

    def acknowledge(self) -> None:
        """Note that it is settled."""
        self.acknowledged = True

    def reject(self, requeue: bool = False) -> None:  # noqa: ARG002  Celery's signature
        """Note that it is settled."""
        self.acknowledged = True

    # In the worker's parent:

    terminated_at: float | None = None  # when Flower wanted its process to end

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """End the process. Celery would say at once that it has, before it is so."""
        if not self.time_start:
            super().terminate(pool, signal)
        elif self.terminated_at is None:
            self.terminated_at = time.monotonic()
            number = signals.Signals[signal] if isinstance(signal, str) else signal
            pool.terminate_job(self.worker_pid, number or signals.SIGTERM)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """The try failed, or its process died: then what that process left word of counts."""
        death = DEATHS.of(self.worker_pid)
        held = held_by(self._context)
        if death is None or return_ok:
            super().on_failure(exc_info, send_failed_event, return_ok)
        elif death.held == held:  # that is reported already
            task_ready(self)
            error = death.ended.error if death.ended else death.how
            if error and not (death.ended and death.ended.outcome in GOOD_OUTCOMES):
                self.send_event("task-failed", exception=error, traceback="")
            else:
                self.send_event("task-succeeded", result="None", runtime=0)
        else:
            if held.run != POLLS:
                DEATHS.note(held, f"the process of this try {death.how}")
            if self.terminated_at is None:
                self._context.pydag_ended = Ended("dead", error=death.how)
            super().on_failure(exc_info, send_failed_event, return_ok)
