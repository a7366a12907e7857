"""The request that Celery's parent keeps for each message: nobody acknowledges it."""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Collection
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.request import Request, task_ready

from pydag_dist.engine import Held, Outcome
from workers.parent.deaths import DEATHS, Death, Process
from workers.pool import going_on
from workers.pool.output import spools
from workers.tries.message import POLLS, celery_id, held_by, is_id_of
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
            return
        going_on.keep_back(self.worker_pid)
        if not going_on.has_gone_on(self.worker_pid):  # else this try is over
            self._end_process(pool, signal)

    def terminate_next(self, ids: Collection[str], pool: Any, signal: Any = None) -> bool:
        """Whether one of these is what the process has gone on with; then end the process."""
        if not self._runs_next(ids):
            return False
        going_on.keep_back(self.worker_pid)
        if not self._runs_next(ids):  # it is over
            return False
        self._end_process(pool, signal)
        return True

    def info(self, safe: bool = False) -> Any:
        """What Flower's page of a worker says of it: which try runs now."""
        told = super().info(safe)
        if (now := self._next()) is not None:
            told |= {"id": celery_id(now), "name": now.task, "args": f"{now.run} {now.task}"}
        return told

    def _next(self) -> Held | None:
        """What the process has gone on with, as far as known."""
        pid = self.worker_pid
        return spools.running(pid) if pid and going_on.has_gone_on(pid) else None

    def _runs_next(self, ids: Collection[str]) -> bool:
        now = self._next()
        return now is not None and any(is_id_of(now, name) for name in ids)

    def _end_process(self, pool: Any, signal: Any) -> None:
        if self.terminated_at is None:
            self.terminated_at = time.monotonic()
            number = signals.Signals[signal] if isinstance(signal, str) else signal
            pool.terminate_job(self.worker_pid, number or signals.SIGTERM)

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002  Celery's name
        """Send an event, unless the process has told of this end when it went on."""
        if type != "task-succeeded":
            super().send_event(type, **fields)
        elif going_on.has_gone_on(self.worker_pid):
            return
        elif (given_back := fields["result"]) != "None":
            super().send_event("task-retried", exception=given_back.strip("'\""), traceback="")
        else:
            super().send_event(type, **fields)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """The try failed, or its process died: then what that process left word of counts."""
        death = DEATHS.of(self.worker_pid)
        held = held_by(self._context)
        if death is None or return_ok:
            super().on_failure(exc_info, send_failed_event, return_ok)
        elif going_on.has_gone_on(self.worker_pid):
            self._died_further_on(held, death)
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

    def _died_further_on(self, held: Held, death: Death) -> None:
        """The process died in a try that it had gone on with: this one's end is known."""
        task_ready(self)
        outcome: Outcome = "dead" if self.terminated_at is None else "revoked"
        DEATHS.report_further_on(held, outcome, death, Process(self.hostname, self.worker_pid))
        last = death.held or death.running
        if last is None or self._eventer is None:
            return
        ended = death.ended
        if death.held is not None and (ended is None or ended.outcome in GOOD_OUTCOMES):
            kind, fields = "task-succeeded", {"result": "None", "runtime": 0}
        elif self.terminated_at is None:
            error = ended.error if ended else death.how
            kind, fields = "task-failed", {"exception": error, "traceback": ""}
        else:
            kind, fields = "task-revoked", {"terminated": True, "signum": None, "expired": False}
        self._eventer.send(kind, uuid=celery_id(last), **fields)
