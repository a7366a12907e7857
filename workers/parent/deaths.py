"""What a worker's parent does when a process of its pool has died.

First it ends the processes that the dead one had started, which are the parent's children now (see
`orphans`). Then it sends the last lines of the try, and reports to the engine how the try ended, or
how its process died. All but the reporting is done in the worker's loop, the only place that forks:
so any child of the parent that is not of its pool was left behind by a dead process.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import billiard.process
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import get_event_loop

from pydag_dist.engine import Held, LogPart, Outcome, Working
from workers.pool import keeper, last_words, orphans
from workers.pool.output import spools
from workers.pool.output.logs import Log, write
from workers.pool.output.spool import Spool
from workers.pool.output.spool_lines import SpoolParser
from workers.secrecy.masks import Masks
from workers.tries.message import POLLS
from workers.tries.outcome import Ended, Untold, ended_of

log = logging.getLogger(__name__)

_SWEEP_EVERY = 0.05  # seconds

Call = Callable[[Working], object]


@dataclass(frozen=True)
class Death:
    """How a process of the pool died, and how its try had ended, if it left word of that."""

    how: str
    held: Held | None = None
    ended: Ended | None = None
    running: Held | None = None  # the try that ran there, if one did
    untold: tuple[Untold, ...] = ()  # of its hand


class Process(NamedTuple):
    """A process of a worker's pool."""

    worker: str
    pid: int


class Deaths:
    """The dead processes of a worker's pool, and what the engine has to hear of them.

    `calls` are made by the thread that talks to the engine.
    """

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Held | None, Call] | None] = queue.SimpleQueue()
        self.parent_pid: int | None = None  # the worker's parent, while its pool may have deaths
        self._of: dict[int, Death] = {}
        self._why: dict[int, str] = {}  # processes that were killed
        self.unreported: set[Held] = set()  # tries whose end the engine does not know yet
        self.processes: set[int] = set()  # likewise, that had gone on
        self._waiting: list[tuple[Held, Call]] = []
        self._sweeping_since: float | None = None
        self._terminated: set[int] = set()  # processes that have got SIGTERM

    def kill(self, pid: int, why: str) -> None:
        """Kill a process of the pool."""
        self._why[pid] = why
        orphans.send(pid, signal.SIGKILL)

    def died(self, pid: int, status: int) -> None:
        """A process of the pool has ended, with that exit status or by a signal (negative)."""
        if pid in self._of:
            return
        keeper.ended(pid)
        words = last_words.of(pid)
        how = self._why.pop(pid, None) or words.ended.get("how") or _how(status)
        untold = tuple(map(_untold, words.ends))
        death = Death(how, running=spools.running(pid), untold=untold)
        if "held" in words.ended:
            held, ended = Held(**words.ended["held"]), words.ended["ended"]
            death = replace(death, held=held, ended=ended_of(ended) if ended else None)
        self._of[pid] = death
        self._sweeping_since = time.monotonic()
        self._terminated.clear()
        if spool := spools.take(pid):
            self.calls.put((None, _RestOfLog(spool, words.more)))
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
        """Report how a try ended, once nothing that it started is left."""
        self.unreported.add(held)
        self._waiting.append((held, lambda working: working.end(ended.end(held))))
        if self._sweeping_since is None:
            self._hand_over()

    def report_further_on(self, held: Held, outcome: Outcome, death: Death, who: Process) -> None:
        """Report that a process is gone which had gone on after the try `held` of its message.

        The death is of the try that ran, if one did; what waited in its hand is put back.
        """
        last = death.held or death.running or held
        ends = list(death.untold)
        # What it had polled, and not told of, is polled again.
        if death.held is None and last.run != POLLS and last not in {each.held for each in ends}:
            dead = Ended(outcome, error=death.how)
            ends.append(Untold(last, dead, lasted=None, at=time.monotonic()))

        def hand_in(working: Working) -> None:
            told = [each.end() for each in ends]
            answers = working.hand_in(told, who.worker, process=who.pid)
            self.processes.discard(who.pid)
            for each, answer in zip(ends, answers, strict=True):
                if answer == "ok" and each.ended.outcome == outcome:
                    self.note(each.held, f"the process of this try {death.how}")

        self.unreported.add(last)
        self.processes.add(who.pid)
        self._waiting.append((last, hand_in))
        if self._sweeping_since is None:
            self._hand_over()

    def note(self, held: Held, text: str) -> None:
        """Write a line into a try's log."""
        lines = json.dumps([[time.time(), "ERROR", text]])
        part = LogPart(f"note.{time.time_ns()}", 1, 0, 0, lines)
        self.calls.put((None, partial(write, held=held, part=part)))

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
            self._hand_over()
            return
        orphans.end(left, self._terminated, deadly=late > orphans.POLITE)
        loop: Any = get_event_loop()
        loop.call_later(_SWEEP_EVERY, self._sweep)

    def _left(self) -> list[int]:
        pool = {process.pid for process in billiard.process._children}  # noqa: SLF001
        return orphans.descendants(os.getpid(), spared={*pool, keeper.pid() or 0})

    def _hand_over(self) -> None:
        """Let the thread that talks to the engine report the tries that waited for the sweep."""
        for item in self._waiting:
            self.calls.put(item)
        self._waiting.clear()


class _RestOfLog:
    """The call that sends what a dead process had written and not sent; it may be repeated."""

    def __init__(self, spool: Spool, more: list[str]) -> None:
        self._spool = spool
        self._more = more
        self._log: Log | None = None

    def __call__(self, engine: Working) -> None:
        """Send it."""
        if self._log is None:
            self._spool.take_over()
            if (held := self._spool.held()) is not None:
                self._log = self._read(held, engine)
            self._spool.close()
        if self._log is not None:
            self._log.send_waiting(at_once=True)

    def _read(self, held: Held, engine: Working) -> Log:
        parser = SpoolParser(engine.log_end(held.run, held.task, held.try_number, held.token))
        log = Log(partial(write, engine, held), f"{held.token}.end")
        parser.masks = log.masks = Masks(self._spool.secrets())
        while data := self._spool.text(parser.position):
            for line in parser.feed(data):
                log.add(*line)
        for line in parser.finish():
            log.add(*line)
        for number, text in enumerate(self._more, parser.position + 1):
            log.add(time.time(), "ERROR", text, number)
        return log


def relieve(pid: int, held: Held, worker: str) -> Call:
    """The call that puts back what waits in a process behind the try that runs there for long.

    The process does that itself, unless a function does not let other threads run, or it is paused.
    """

    def hand_in(working: Working) -> None:
        if (words := last_words.so_far(pid)) is not None:
            ends = [_untold(end).end() for end in words.ends]
            working.hand_in(ends, worker, process=pid, kept=held)

    return hand_in


def _untold(end: dict[str, Any]) -> Untold:
    return Untold(Held(**end["held"]), ended_of(end["ended"]), end["lasted"], end["at"])


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
        spools.prepare()
        process = super()._create_worker_process(i)
        last_words.forked(process.pid)
        spools.forked(process.pid)
        DEATHS.born(process.pid)
        return process

    def process_flush_queues(self, proc: Any) -> None:
        """Read what a process had sent, which has ended or is about to."""
        super().process_flush_queues(proc)
        if proc.exitcode is not None:
            DEATHS.died(proc.pid, proc.exitcode)
