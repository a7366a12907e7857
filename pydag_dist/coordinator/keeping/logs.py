"""Moves the logs of tries that have ended from Redis to the log store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pydag_dist.coordinator.repeating import repeat
from pydag_dist.dag import limits
from pydag_dist.engine import Engine
from pydag_dist.engine.roles.logs import Fields, LogName
from pydag_dist.log_store import LogStore, LogStoreAway

log = logging.getLogger(__name__)

EVERY: Final = 1.0  # seconds between two looks
# It takes a fortieth of a core: after each look, and each slice of logs, it rests for so many times
# what that took. It does not rest while so much waits in Redis that logs may be lost.
SHARE: Final = 40
ROOM: Final = limits.LOGS // 4  # bytes of logs that may wait so
PAUSE: Final = 10.0  # seconds before a store that is away is tried again
PAGE: Final = 200  # logs that are looked at together
BYTES: Final = 2**23  # of logs that are in memory together, but for one longer one
TOGETHER: Final = 32  # logs that are stored before it rests

_Log = tuple[LogName, list[tuple[str, Fields]]]  # its parts, with their ids


class LogKeeper:
    """The loop of one coordinator; of all coordinators the one works that writes the history.

    Two at once do no harm: what is written twice is the same. Nothing leaves Redis before it is in
    the store. While that is away, Redis keeps the logs as it would without a store.
    """

    def __init__(
        self,
        engine: Engine,
        store: LogStore,
        keep: int,
        is_its_turn: Callable[[], bool],
        stopping: threading.Event,
    ) -> None:
        self._engine, self._logs = engine, engine.logs
        self._store, self._keep = store, keep
        self._is_its_turn, self._stopping = is_its_turn, stopping
        self._trouble = ""
        self._pool = ThreadPoolExecutor(store.writers, "pydag-log-store")
        self._used = 0.0  # a processor's seconds of this thread, those not yet rested for left out

    def run(self) -> None:
        """Store logs until stopped."""

        def look() -> float:
            began = time.monotonic()
            failed = self.step() if self._is_its_turn() else 0
            return PAUSE if failed else max(EVERY, SHARE * (time.monotonic() - began))

        repeat(look, self._engine.store, self._stopping, "logs are not stored now", EVERY)

    def step(self) -> int:
        """Store the logs of all tries that have ended; how many could not be."""
        passed = failed = 0
        self._used = time.thread_time()
        while found := self._logs.unstored(passed, PAGE):
            sizes = dict(found)
            ended = self._logs.ended(list(sizes))
            stored = 0
            for some in _sliced((name, sizes[name]) for name in ended):
                if self._stopping.is_set():
                    return failed
                stored += self._keep_some(some)
                self._rest(found)
            passed += len(found) - stored
            failed += len(ended) - stored
            if ended and not stored and self._trouble:
                break  # it is the store
        if not failed and self._trouble:
            self._trouble = ""
            log.info("logs are stored again, in %s", self._store.where)
        return failed

    def _rest(self, found: list[tuple[LogName, int]]) -> None:
        """Leave the processor to those who run tasks, unless so much waits that it may be lost."""
        mean = sum(size for _, size in found) / len(found)
        if self._logs.waiting() * mean < ROOM:
            self._stopping.wait(min(SHARE * (time.thread_time() - self._used), PAUSE))
        self._used = time.thread_time()

    def _keep_some(self, names: list[LogName]) -> int:
        """Store these logs; of how many all is in the store now."""
        logs = list(zip(names, self._logs.parts(names), strict=True))
        writers = self._store.writers
        done = self._pool.map(self._write, (logs[first::writers] for first in range(writers)))
        written = []
        for some, used in done:
            written += some
            self._used -= used
        if not written:
            return 0
        answers = self._logs.stored(written, self._keep)
        for (name, _), answer in zip(written, answers, strict=True):
            if answer == "damaged":  # or somebody else's key
                self._tell(f"the log {':'.join(map(str, name))} can't be marked as stored")
        return answers.count("ok")

    def _write(self, logs: Sequence[_Log]) -> tuple[list[tuple[LogName, str]], float]:
        """Those that are in the store now, up to which part, and a processor's seconds for it."""
        began, written = time.thread_time(), []
        for name, parts in logs:
            if self._stopping.is_set():
                break
            try:
                if parts:
                    self._store.write(*name, [fields for _, fields in parts])
            except LogStoreAway as error:
                self._tell(str(error))
            else:
                written.append((name, parts[-1][0] if parts else "0-0"))
        return written, time.thread_time() - began

    def _tell(self, trouble: str) -> None:
        if not self._trouble:
            log.warning("logs wait in Redis: %s", trouble)
        self._trouble = trouble


def _sliced(sized: Iterable[tuple[LogName, int]]) -> Iterator[list[LogName]]:
    """The names in lists of few logs, which fit into memory together."""
    some: list[LogName] = []
    total = 0
    for name, size in sized:
        if some and (total + size > BYTES or len(some) == TOGETHER):
            yield some
            some, total = [], 0
        some.append(name)
        total += size
    if some:
        yield some
