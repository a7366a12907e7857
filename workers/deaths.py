"""What a worker's parent does when a process of its pool has died.

First it ends what that process had started, which is the parent's now (see `orphans`). Then it
sends the last lines of the try, and tells the engine how the try ended, or how its process died.
All but the telling is done in the worker's loop, which alone forks: so whatever is a child of the
parent and not of its pool has been left behind.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import billiard.process
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import get_event_loop

from pydag_dist.engine import Engine, Held
from workers import keeper, last_words, orphans
from workers.logs import Line, log_key, send_missing
from workers.outcome import Ended
from workers.process import settings

log = logging.getLogger(__name__)

_SWEEP_EVERY = 0.05  # seconds

Call = Callable[[Engine], object]


@dataclass(frozen=True)
class Death:
    """How a process of the pool died, and what it left to say of its try."""

    how: str
    held: Held | None = None
    ended: Ended | None = None


class Deaths:
    """The dead processes of a worker's pool, and what its parent has to tell after them.

    `calls` are for the thread that talks to the engine.
    """

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Held | None, Call] | None] = queue.SimpleQueue()
        self._of: dict[int, Death] = {}
        self._why: dict[int, str] = {}  # processes that were killed
        self.reported: set[Held] = set()  # tries whose end is still to be told
        self._waiting: list[tuple[Held, Call]] = []
        self._sweeping_since: float | None = None
        self._told: set[int] = set()

    def kill(self, pid: int, why: str) -> None:
        """Kill a process of the pool."""
        self._why[pid] = why
        orphans.send(pid, signal.SIGKILL)

    def died(self, pid: int, status: int) -> None:
        """A process of the pool has ended, with that exit status or by a signal (negative)."""
        if pid in self._of:
            return
        keeper.left(pid)
        words = last_words.of(pid)
        how = self._why.pop(pid, None) or words.ended.get("how") or _how(status)
        death = Death(how)
        if "held" in words.ended:
            ended = words.ended["ended"]
            death = Death(how, Held(**words.ended["held"]), Ended(**ended) if ended else None)
        self._of[pid] = death
        self._sweeping_since = time.monotonic()
        self._told.clear()
        for key in dict.fromkeys(line[0] for line in words.lines):
            self._say(key, [line[1:] for line in words.lines if line[0] == key])
        if words.more and words.lines:
            now = time.time()
            self._say(words.lines[-1][0], [(now, "ERROR", line) for line in words.more])
        if death.held and death.ended:
            self.report(death.held, death.ended)
        self._sweep()

    def born(self, pid: int) -> None:
        """A process of the pool has that id from now on."""
        self._of.pop(pid, None)

    def of(self, pid: int | None) -> Death | None:
        """How that process died, if it did; once."""
        return None if pid is None else self._of.pop(pid, None)

    def report(self, held: Held, ended: Ended) -> None:
        """Tell the engine how a try ended, once nothing is left of what it started."""
        self.reported.add(held)
        self._waiting.append((held, partial(_release, held, ended)))
        if self._sweeping_since is None:
            self._tell()

    def note(self, held: Held, text: str) -> None:
        """Write a line into a try's log."""
        key = log_key(settings().key_prefix, held.run, held.task, held.try_number)
        self._say(key, [(time.time(), "ERROR", text)])

    def _say(self, key: str, lines: list[Line]) -> None:
        self.calls.put((None, partial(_send, key, lines)))

    def _sweep(self) -> None:
        """End what the dead have left behind; again soon, until it is gone."""
        if self._sweeping_since is None:
            return
        left = self._left()
        late = time.monotonic() - self._sweeping_since
        if not left or late > orphans.POLITE + orphans.DEADLY:
            if left:
                log.error("processes that a task started could not be ended: %s", left)
            self._sweeping_since = None
            self._tell()
            return
        orphans.end(left, self._told, deadly=late > orphans.POLITE)
        loop: Any = get_event_loop()
        loop.call_later(_SWEEP_EVERY, self._sweep)

    def _left(self) -> list[int]:
        pool = {process.pid for process in billiard.process._children}  # noqa: SLF001
        return orphans.descendants(os.getpid(), spared={*pool, keeper.pid() or 0})

    def _tell(self) -> None:
        for item in self._waiting:
            self.calls.put(item)
        self._waiting.clear()


def _release(held: Held, ended: Ended, engine: Engine) -> None:
    engine.release(
        held,
        ended.outcome,
        result=ended.result,
        error=ended.error,
        skips=ended.skips,
        expand=ended.expand,
    )


def _send(key: str, lines: list[Line], engine: Engine) -> None:
    send_missing(engine.redis, key, settings().retention, lines)


def _how(status: int) -> str:
    if status < 0:
        try:
            return f"died of {signal.Signals(-status).name}"
        except ValueError:
            return f"died of signal {-status}"
    return f"ended with exit status {status}"


DEATHS = Deaths()


class WatchedPool(AsynPool):  # type: ignore[misc]  # Celery has no types
    """Celery's pool, which tells `DEATHS` of each process that has died."""

    def _create_worker_process(self, i: int) -> Any:
        last_words.prepare()
        process = super()._create_worker_process(i)
        last_words.made(process.pid)
        DEATHS.born(process.pid)
        return process

    def process_flush_queues(self, proc: Any) -> None:
        """Read what a process had sent, which has ended or is about to."""
        super().process_flush_queues(proc)
        if proc.exitcode is not None:
            DEATHS.died(proc.pid, proc.exitcode)
