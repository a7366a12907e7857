"""A task's log: lines go to one capped Redis stream per try, without ever holding up the task."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import redis

from workers.last_words import unsent

MAX_LINES = 10_000  # that a stream keeps; the newest win
MAX_LINE = 16_384  # characters
_BATCH = 500
_PAUSE = 0.2  # seconds in which lines gather for one call
_FAREWELL = 2.0  # seconds that a task's end waits for its last lines

Line = tuple[float, str, str]  # epoch seconds, level, text


def log_key(prefix: str, run_id: str, task_id: str, try_number: int) -> str:
    """The key of the stream of one try; its entries have the fields t, level and line."""
    return f"{prefix}:log:{run_id}:{task_id}:{try_number}"


@contextlib.contextmanager
def task_log(client: redis.Redis, key: str, retention: int) -> Iterator[logging.Logger]:
    """A logger whose lines go to the stream `key`, which lives for `retention` s after the last.

    If Redis is away, lines wait in memory, and at most two seconds more at the end of the task.
    """
    logger = _TaskLogger(key, lambda lines: _send(client, key, retention, lines))
    try:
        yield logger
    finally:
        logger.close()


@contextlib.contextmanager
def captured_output(logger: logging.Logger) -> Iterator[None]:
    """Let what is printed become lines of `logger`: stdout as INFO, stderr as WARNING."""
    out, err = _LineWriter(logger, logging.INFO), _LineWriter(logger, logging.WARNING)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        out.finish()
        err.finish()


class _Sender:
    """The thread that sends the lines of this process's tasks, a few times a second.

    One for all: to start one for each task that writes a line is a seventh of a short task's time.
    """

    def __init__(self) -> None:
        self._handlers: set[RedisStreamHandler] = set()
        self._mutex = threading.Lock()
        self._is_needed = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, handler: RedisStreamHandler) -> None:
        with self._mutex:
            self._handlers.add(handler)
            self._is_needed.set()
            if self.thread is None or not self.thread.is_alive():  # it does not cross a fork
                self.thread = threading.Thread(target=self._run, name="task-log", daemon=True)
                self.thread.start()

    def remove(self, handler: RedisStreamHandler) -> None:
        with self._mutex:
            self._handlers.discard(handler)
            if not self._handlers:
                self._is_needed.clear()

    def _run(self) -> None:
        while self._is_needed.wait():
            time.sleep(_PAUSE)
            with self._mutex:
                handlers = list(self._handlers)
            for handler in handlers:
                handler.send_waiting()


_SENDER = _Sender()


def sender() -> threading.Thread | None:
    """The thread that sends this process's lines, if it was needed yet."""
    return _SENDER.thread


class RedisStreamHandler(logging.Handler):
    """Hands batches of lines to `send`, from the process's sender and at the end of the task.

    `send` may fail with a `redis.RedisError`: its lines are kept and sent again. Beyond
    `MAX_LINES` waiting lines the oldest are dropped, and a line says how many.
    """

    def __init__(self, send: Callable[[list[Line]], None]) -> None:
        super().__init__()
        self._send = send
        self._waiting: deque[Line] = deque()
        self._dropped = 0
        self._mutex = threading.Lock()
        self._sending = threading.Lock()
        self._is_known = False

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's lines; never waits for Redis."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  a bad log call must not fail the task
            self.handleError(record)
            return
        with self._mutex:
            for line in map(_shortened, text.splitlines() or [""]):
                self._waiting.append((record.created, record.levelname, line))
                unsent.add(record.name, record.created, record.levelname, line)
            while len(self._waiting) > MAX_LINES:
                self._waiting.popleft()
                self._dropped += 1
                unsent.remove(1)
            first, self._is_known = not self._is_known, True
        if first:
            _SENDER.add(self)

    def close(self) -> None:
        """Send what waits, for two seconds at most."""
        _SENDER.remove(self)
        deadline = time.monotonic() + _FAREWELL
        while not self.send_waiting() and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        super().close()

    def send_waiting(self) -> bool:
        """Whether nothing waits any more."""
        if not self._sending.acquire(timeout=_FAREWELL):
            return False
        try:
            return self._send_batches()
        finally:
            self._sending.release()

    def _send_batches(self) -> bool:
        while batch := self._take():
            try:
                self._send(batch)
            except (redis.RedisError, OSError):
                with self._mutex:
                    self._waiting.extendleft(reversed(batch))
                return False
            unsent.remove(len(batch))
        return True

    def _take(self) -> list[Line]:
        with self._mutex:
            if self._dropped:
                lost = f"({self._dropped} lines were lost: Redis could not take them in time)"
                self._waiting.appendleft((time.time(), "WARNING", lost))
                self._dropped = 0
            return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]


class _TaskLogger(logging.Logger):
    """A logger of one try; made directly, since `getLogger` would keep it for ever.

    Its handler with the locks of its thread comes with the first line: most tasks write none.
    """

    _first_line = threading.Lock()

    def __init__(self, name: str, send: Callable[[list[Line]], None]) -> None:
        super().__init__(name, logging.INFO)
        self._send = send

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        with self._first_line:
            if not self.handlers:
                self.addHandler(RedisStreamHandler(self._send))
        super().callHandlers(record)

    def close(self) -> None:
        for handler in self.handlers:
            handler.close()


class _LineWriter(io.TextIOBase):
    """A text stream whose complete lines go to a logger."""

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._partial = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._logger.log(self._level, "%s", line)
        return len(text)

    def finish(self) -> None:
        if self._partial:
            self._logger.log(self._level, "%s", self._partial)
            self._partial = ""


def _shortened(line: str) -> str:
    line = line.encode(errors="replace").decode()  # Redis takes no lone surrogates
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]}… ({len(line) - MAX_LINE} characters more)"


def send_missing(client: redis.Redis, key: str, retention: int, lines: list[Line]) -> None:
    """Send those lines that the stream does not have."""
    last = client.xrevrange(key, count=len(lines) + _BATCH)
    entries = cast("list[tuple[str, dict[str, str]]]", last)
    known = {(fields["t"], fields["line"]) for _, fields in entries}
    missing = [one for one in lines if (f"{one[0]:.6f}", one[2]) not in known]
    for start in range(0, len(missing), _BATCH):
        _send(client, key, retention, missing[start : start + _BATCH])


def _send(client: redis.Redis, key: str, retention: int, lines: list[Line]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for at, level, line in lines:
            fields = {"t": f"{at:.6f}", "level": level, "line": line}
            pipe.xadd(key, fields, maxlen=MAX_LINES, approximate=True)  # type: ignore[arg-type]
        pipe.expire(key, retention)
        pipe.execute()
