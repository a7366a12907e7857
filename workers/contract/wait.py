"""The wait for a try's remote job, and for the end of one that was cancelled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydag_dist.dag.operators import is_sensor
from workers.contract.answer import Handle, Pending
from workers.contract.context import TaskContext
from workers.errors import RemoteJobLost, RemoteStateUnknown, TaskFailed

CANCEL_WITHIN = 60.0  # seconds that a cancelled job gets to end
LOST_AFTER = 900.0  # seconds in which no answer says how a job is, until it counts as lost
LOST_ANSWERS = 10  # such answers at least
_SHOWN = 500  # characters of an answer that says nothing, in the wait that is kept in Redis
_CANCEL_INTERVALS = (0.1, 3.0)  # seconds between two looks at it, the first and the longest


@dataclass
class Wait:
    """The state of the wait for a try's remote job; JSON-able, as the handle is."""

    handle: Handle
    interval: float  # seconds until the next poll
    state: str = ""  # what the task's log said last
    unknown_since: float | None = None  # epoch seconds of the first answer that was `lasting`
    # Of a task with templates: the rendered params that polls and a cancel of this try need.
    params: dict[str, Any] | None = None
    try_number: int = 0
    unknowns: int = 0  # how many such answers there were: the clock alone may have stepped

    def goes_on(self, context: TaskContext, pending: Pending, longest: float) -> None:
        """Log the job's state if it is new, and ask less often from now on."""
        self._log_state(context, logging.INFO, pending.state)
        self.unknown_since, self.unknowns = None, 0
        self.interval = min(self.interval * 1.5, longest)

    def is_unknown(self, context: TaskContext, error: RemoteStateUnknown) -> None:
        """Log an answer that does not say how the job is; `RemoteJobLost` after too many."""
        self._log_state(context, logging.WARNING, str(error)[:_SHOWN])
        if not error.lasting:
            return
        now = time.time()
        self.unknown_since = self.unknown_since or now
        self.unknowns += 1
        if now - self.unknown_since > LOST_AFTER and self.unknowns >= LOST_ANSWERS:
            if is_sensor(context.operator):  # nothing runs that another try could meet
                raise TaskFailed(f"for {LOST_AFTER / 60:.0f} minutes the answer was: {error}")
            raise RemoteJobLost(
                f"nobody knows how its remote job is: for {LOST_AFTER / 60:.0f} minutes the answer "
                f"was: {error}. No other job was started in its place. Mend what hinders the "
                f"worker, or look at the job, then `pydag resume {context.run_id}`: that asks for "
                "the same job again, and starts it if its service has never heard of it"
            )

    def _log_state(self, context: TaskContext, level: int, text: str) -> None:
        if text != self.state:
            self.state = text
            context.log.log(level, "%s", text)


def wait_until_over(
    context: TaskContext, job: str, is_over: Callable[[], bool], within: float | None = None
) -> None:
    """Wait until a cancelled job has ended, by default for a minute; then it is left to itself.

    Raises `RemoteStateUnknown` if at their end nobody could tell how it is.
    """
    within = CANCEL_WITHIN if within is None else within
    until = time.monotonic() + within
    interval, longest = _CANCEL_INTERVALS
    while True:
        unknown: RemoteStateUnknown | None = None
        try:
            if is_over():
                break
        except RemoteStateUnknown as error:
            unknown = error
            context.log.warning("%s", error)
        if time.monotonic() > until:
            if unknown:
                raise unknown
            context.log.warning("%s was told to stop %g s ago, and runs", job, within)
            return
        time.sleep(interval)
        interval = min(interval * 1.5, longest)
    context.log.info("%s has stopped", job)
