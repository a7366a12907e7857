"""What is sent to a receiver on the side: bounded, in order, and never waited for."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from pydag_dist.coordinator.line import Line

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

WAITING: Final = 10_000  # things that may wait; later ones are left out
SHORT: Final = 500  # characters of what is kept of a run's hash
ERROR: Final = 1_000  # characters of an error that is told
TRIES: Final = 8  # of a thing, until it is given up
FIRST_DELAY: Final = 0.5  # seconds before it is sent again; doubled after each try
LEAVING: Final = 2.0  # seconds at the end, for what waits
SHARE: Final = 40  # it rests for so many times the time of a processor that it took, while it may
LONGEST: Final = 5.0  # seconds of such a rest
REFUSED: Final = ("status 4",)  # of answers that would be the same again
AGAIN: Final = ("status 408", "status 429")


def lean(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row without what may be long: its params. So what waits has little of it."""
    head = {name: value for name, value in json.loads(run["head"]).items() if len(value) <= SHORT}
    return {**run, "params": None, "head": json.dumps(head), "error": (run["error"] or "")[:ERROR]}


class Outbox(Generic[Thing]):
    """Sends the bodies of things over one line.

    `bodies` are made in the loop's thread, and may read what they need.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        bodies: Callable[[Thing], Iterable[bytes]],
        stopping: threading.Event,
    ) -> None:
        self._name = name
        self._line = line
        self._bodies = bodies
        self._stopping = stopping
        self._things: queue.Queue[Thing] = queue.Queue(WAITING)
        self._lost = 0
        self._is_away = False

    def put_all(self, things: Iterable[Thing]) -> None:
        """Send them some time; never waits."""
        for thing in things:
            try:
                self._things.put_nowait(thing)
            except queue.Full:
                self._lost += 1
                if not self._is_away:
                    self._say_away("it takes less than there is")

    def run(self) -> None:
        """Send until stopped, and what waits then as far as that is quick."""
        while not self._stopping.is_set():
            self._next(0.5)
        until = time.monotonic() + LEAVING
        while not self._is_away and time.monotonic() < until and not self._things.empty():
            self._next(0)
        if left := self._things.qsize():
            log.warning("%s: %d were not sent", self._name, left)
        self._line.close()

    def _next(self, seconds: float) -> None:
        try:
            thing = self._things.get(timeout=seconds) if seconds else self._things.get_nowait()
        except queue.Empty:
            return
        try:
            began = time.thread_time()
            for body in self._bodies(thing):
                self._send(body)
                self._rest(began)
                began = time.thread_time()
        except Exception:
            log.exception("%s: one could not be made, and is left out", self._name)

    def _rest(self, began: float) -> None:
        """Leave the processor to those who run tasks, unless much waits."""
        if self._things.qsize() < WAITING / 2:
            self._stopping.wait(min(SHARE * (time.thread_time() - began), LONGEST))

    def _send(self, body: bytes) -> None:
        for number in range(TRIES):
            error = self._line.post(body)
            if error is None:
                if self._is_away:
                    log.info("%s go on; %d were left out", self._name, self._lost)
                self._is_away, self._lost = False, 0
                return
            if not self._is_away:
                self._say_away(error)
            if error.startswith(REFUSED) and error not in AGAIN:
                break
            if self._stopping.wait(FIRST_DELAY * 2**number):
                break
        self._lost += 1

    def _say_away(self, why: str) -> None:
        self._is_away = True
        # The rest of a URL may be a secret.
        log.warning("%s wait for their receiver: %s", self._name, why)
