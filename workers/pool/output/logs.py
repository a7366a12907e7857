"""A try's log: its lines go to Redis a few times a second, in numbered parts.

The try does not wait for that, until it ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import redis

from pydag_dist.dag import limits
from pydag_dist.engine import Held, LogPart, Working, is_transient
from pydag_dist.engine.protocol import LogAdded
from workers.process import SHUTDOWN_WAIT, engine, settings, shutdown_since
from workers.secrecy.masks import NONE, of_this_process

_PAUSE = 0.2  # seconds in which lines gather for one call
_CALM = 1.0  # the same, for a log that is past its head
_LOOK = 0.5  # seconds after which the sender looks for lines though nothing woke it
_LAST_LINES = 2.0  # seconds that a try's end waits for a Redis that refuses its last lines
_REST = 64  # bytes of the words that say how much of a line is left out
_LEVEL = 20  # characters of a level's name
_OVERHEAD = 40  # bytes that a line takes beside its text, about


class Line(NamedTuple):
    """A line with its numbers: see `LogPart`."""

    line: int
    byte: int
    position: int
    at: float
    level: str
    text: str


class Log:
    """The lines of one writer of a try's log, until they are in Redis.

    Behind the head of a log, lines that can't be sent in time are dropped for newer ones; readers
    see by the numbers of the lines how many are missing. Threads may share it.
    """

    def __init__(self, send: Callable[[LogPart], LogAdded], writer: str) -> None:
        self._send = send
        self._writer = writer
        self.masks = NONE  # beside those of this process
        self._head: deque[Line] = deque()
        self._tail: deque[Line] = deque()
        self._tail_bytes = 0
        self._line = self._byte = 0
        self._part: tuple[LogPart, int] | None = None  # that is being sent, and its size
        self._mutex = threading.Lock()
        self.sending = threading.Lock()
        self._not_before = 0.0

    @property
    def is_past_head(self) -> bool:
        """Whether lines may be left out from now on."""
        return self._byte + _OVERHEAD * self._line > limits.LOG_HEAD

    @property
    def is_new(self) -> bool:
        """Whether it has had no line yet."""
        return self._line == 0

    def add(self, at: float, level: str, text: str, position: int | None = None) -> None:
        """Add one line; `position` is where it ends in the writer's output, else its number."""
        text, size = _shortened(self.masks.hide(text) if self.masks else _hidden(text))
        level = _shortened(level)[0][:_LEVEL]
        with self._mutex:
            number, start, past = self._line, self._byte, self.is_past_head
            self._line, self._byte = number + 1, start + size
            at_end = self._line if position is None else position
            line = Line(number, start, at_end, at, level, text)
            if not past:
                self._head.append(line)
                return
            self._tail.append(line)
            self._tail_bytes += len(text.encode()) + _OVERHEAD
            while self._tail_bytes > limits.LOG_TAIL:
                self._tail_bytes -= len(self._tail.popleft().text.encode()) + _OVERHEAD

    def skip(self, lines: int, size: int) -> None:
        """Count so many lines and bytes as left out here."""
        with self._mutex:
            self._line += lines
            self._byte += size

    def send_waiting(self, *, at_once: bool = False) -> None:
        """Send the lines that wait; raises the error of Redis."""
        if not at_once and self.is_past_head:
            if time.monotonic() < self._not_before:
                return
            self._not_before = time.monotonic() + _CALM
        with self.sending:
            while part := self.next_part():
                if self._send(part[0]) == "later":
                    raise redis.exceptions.OutOfMemoryError("no room for logs now")
                self.is_sent()

    def next_part(self) -> tuple[LogPart, int] | None:
        """The part that is to be sent now, and its size; the caller is `sending`."""
        self._part = self._part or self._take()
        return self._part

    def is_sent(self) -> None:
        """Redis has that part."""
        self._part = None

    def close(self) -> None:
        """Send the last lines, and wait for Redis if it can't take them now.

        A Redis that refuses them is asked again for two seconds; one that is away, until this
        worker has to end.
        """
        until = time.monotonic() + _LAST_LINES
        while True:
            try:
                self.send_waiting(at_once=True)
            except redis.RedisError as error:
                is_full = isinstance(error, redis.exceptions.OutOfMemoryError)
                shutdown = shutdown_since()
                if shutdown and time.monotonic() - shutdown > SHUTDOWN_WAIT:
                    return
                if (is_full or not is_transient(error)) and time.monotonic() > until:
                    return
                time.sleep(_PAUSE)
            else:
                return

    def _take(self) -> tuple[LogPart, int] | None:
        with self._mutex:
            lines = self._head or self._tail
            if not lines:
                return None
            first = last = lines[0]
            texts: list[str] = []
            size = 2
            while lines and (not texts or lines[0].line == last.line + 1):
                text = json.dumps([round(lines[0].at, 3), *lines[0][4:]], ensure_ascii=False)
                size += len(text.encode()) + 1
                if size > limits.LOG_PART:
                    break
                texts.append(text)
                last = lines.popleft()
                if lines is self._tail:
                    self._tail_bytes -= len(last.text.encode()) + _OVERHEAD
            packed = f"[{','.join(texts)}]"
            return LogPart(self._writer, last.position, first.line, first.byte, packed), size


def _shortened(text: str) -> tuple[str, int]:
    """The line as Redis takes it, and its bytes."""
    raw = text.encode(errors="backslashreplace")  # halves of characters
    if len(raw) > limits.LOG_LINE + _REST:
        rest = len(raw) - limits.LOG_LINE
        kept = raw[: limits.LOG_LINE].decode(errors="ignore")
        return shortened(kept, rest), len(raw)
    return raw.decode(), len(raw)


def _hidden(text: str) -> str:
    return masks.hide(text) if (masks := of_this_process()) else text


def shortened(kept: str, rest: int) -> str:
    """The beginning of a line of which so many bytes are left out."""
    return f"{kept}… ({rest:,} bytes more)"


def log_of(held: Held, writer: str = "") -> Log:
    """The log of a try as this process writes it: its token is that of no other process."""
    return Log(partial(_write, held), writer or held.token)


def _write(held: Held, part: LogPart) -> LogAdded:
    return write(engine().working, held, part)


def write(to: Working, held: Held, part: LogPart) -> LogAdded:
    """Add a part to the log of a try; answers as `Working.write_log` does."""
    return to.write_log(held, part, settings().retention)


def close_all(logs: Mapping[Held, Log]) -> None:
    """Send the last lines of the logs that this process writes of several tries, as `close` does.

    What waits in each of them goes to Redis in one call, as far as it is no more than a part.
    """
    with contextlib.ExitStack() as stack:
        parts: list[tuple[Held, LogPart]] = []
        size = 0
        for held, log in logs.items():
            stack.enter_context(log.sending)
            if size < limits.LOG_PART and (waiting := log.next_part()):
                parts.append((held, waiting[0]))
                size += waiting[1]
        with contextlib.suppress(redis.RedisError):  # each is sent again by itself
            answers = engine().working.write_logs(parts, settings().retention) if parts else []
            for (held, _), answer in zip(parts, answers, strict=True):
                if answer != "later":
                    logs[held].is_sent()
    for log in logs.values():
        log.close()


class Source(Protocol):
    """Something that has lines for Redis now and then."""

    def send_waiting(self) -> None:
        """Send them; may raise an error of Redis."""


class Sender:
    """The thread that sends the lines of this process's tries, a few times a second.

    There is one for all tries: starting one for each took a seventh of a short task's time.
    """

    def __init__(self) -> None:
        self._sources: set[Source] = set()
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, source: Source) -> None:
        """Send its lines from now on."""
        with self._mutex:
            self._sources.add(source)
            if self._thread is None or not self._thread.is_alive():  # it does not cross a fork
                self._thread = threading.Thread(target=self._run, name="task-log", daemon=True)
                self._thread.start()

    def remove(self, source: Source) -> None:
        """Leave its lines alone from now on."""
        with self._mutex:
            self._sources.discard(source)

    def wake(self) -> None:
        """There are lines."""
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            if self._wake.wait(_LOOK):
                self._wake.clear()
                time.sleep(_PAUSE)
            with self._mutex:
                sources = list(self._sources)
            for source in sources:
                try:
                    source.send_waiting()
                except (redis.RedisError, OSError):
                    self._wake.set()  # again
                except Exception:
                    logging.getLogger(__name__).exception("lines of a try can't be sent")


SENDER = Sender()


class TaskLogger(logging.Logger):
    """A logger of one try; made directly, since `getLogger` would keep it for ever.

    What it takes goes to `add` line by line.
    """

    def __init__(self, add: Callable[[float, str, str], Any]) -> None:
        super().__init__("task", logging.INFO)
        self._add = add

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Add the record's lines; never waits for Redis."""
        for text in lines_of(record):
            self._add(record.created, record.levelname, text)


_FORMAT = logging.Formatter()


def lines_of(record: logging.LogRecord) -> list[str]:
    """The text of a record, with its traceback if it has one."""
    try:
        text = _FORMAT.format(record)
    except Exception as error:  # noqa: BLE001  a bad log call must not fail the task
        text = f"{record.msg!r} % {record.args!r}: {type(error).__name__}: {error}"
    return text.removesuffix("\n").split("\n")
