"""Reading the logs of tasks: a stream of parts for each try, see the engine's log.lua.

What Redis has no longer of a try that has ended is read from the log store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis

from pydag_dist.engine import ENDED_TASK_STATES, Reading, RunSnapshot
from pydag_dist.engine.protocol import LOG_LEVELS, LOG_PART, LogLevel
from pydag_dist.errors import PydagError
from pydag_dist.visible import one_line

if TYPE_CHECKING:
    from pydag_dist.log_store import LogStore, Part

PAGE = 100  # parts
MANY = 1_000  # names that Redis is asked for at once
POLL_SECONDS = 0.5
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, order=True)
class LogLine:
    """One line that a task logged: when (epoch seconds), which try, and what.

    As text it has the time in UTC, as ISO 8601 has it, and control characters are shown.
    """

    at: float
    task: str
    try_number: int
    level: str
    line: str

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        when = when.removesuffix("+00:00") + "Z"
        return one_line(f"{when} {self.task}#{self.try_number} {self.level:<7} {self.line}")


@dataclass(frozen=True)
class LogFilter:
    """Which lines are wanted: written at or after `since` (epoch seconds), with `level` or above.

    And with `text` in them, whatever its case. A level that `logging` has not counts as INFO.
    """

    since: float | None = None
    level: LogLevel = "DEBUG"
    text: str = ""

    def fits(self, line: LogLine) -> bool:
        """Whether that line is wanted."""
        return (
            (self.since is None or line.at >= self.since)
            and _rank(line.level) >= _rank(self.level)
            and (not self.text or self.text.casefold() in line.line.casefold())
        )


ALL_LINES: Final = LogFilter()


def _rank(level: str) -> int:
    return LOG_LEVELS.index(level) if level in LOG_LEVELS else 1


class HasTry(Protocol):
    """A task, as far as its log goes."""

    @property
    def state(self) -> str:
        """The task's state."""

    @property
    def try_number(self) -> int:
        """The newest try."""

    @property
    def children(self) -> int | None:
        """Into how many tasks it was expanded."""


class HasTasks(Protocol):
    """A run, as far as its logs go."""

    @property
    def tasks(self) -> Mapping[str, HasTry]:
        """The tasks by their ids."""


class LogReader:
    """Reads the logs of a run's tries, each from where it stopped the last time.

    `open_store` gives the log store, if there is one; it is called when it is needed.
    """

    def __init__(
        self,
        connection: redis.Redis,
        prefix: str,
        run_id: str,
        task: str | None = None,
        open_store: Callable[[], LogStore | None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._names = f"{prefix}:logs"
        self._prefix = f"{prefix}:log:{run_id}"
        self._open_store = open_store
        self._run_id = run_id
        self._task = task
        # By task and try number. A try that ended and was read to its end is not asked for again.
        self._open: dict[tuple[str, int], _Cursor] = {}
        self._done: set[tuple[str, int]] = set()

    def read(self, run: HasTasks) -> Iterator[LogLine]:
        """The lines that came since the last call, by time."""
        if self._task is not None and self._task not in run.tasks:
            raise PydagError(
                f"run {self._run_id} has no task {self._task!r}: `pydag status {self._run_id}` "
                "lists them"
            )
        tries = [
            (name, number)
            for name in (run.tasks if self._task is None else self._with_children(run))
            for number in range(1, run.tasks[name].try_number + 1)
            if (name, number) not in self._done
        ]
        over = {
            (name, number)
            for name, number in tries
            if number < run.tasks[name].try_number or run.tasks[name].state in ENDED_TASK_STATES
        }
        stored = self._stored([key for key in tries if key in over and key not in self._open])
        yield from merge(*(self._read_try(*key, stored.get(key), key in over) for key in tries))
        self._done |= over

    def _stored(self, tries: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Iterator[Part]]:
        """The logs of those of these tries that Redis has not: most of them wrote nothing."""
        gone = []
        for at in range(0, len(tries), MANY):
            some = tries[at : at + MANY]
            names = [f"{self._run_id}:{name}:{number}" for name, number in some]
            sizes: Any = self._connection.hmget(self._names, names)
            gone += [key for key, size in zip(some, sizes, strict=True) if size is None]
        store = self._open_store() if gone else None
        found = store.read(self._run_id, gone) if store else {}
        return {key: found.get(key, iter(())) for key in gone}

    def _with_children(self, run: HasTasks) -> list[str]:
        """The task, and those that it has become if it was expanded."""
        task = str(self._task)
        names = (f"{task}.{number}" for number in range(run.tasks[task].children or 0))
        return [task, *(name for name in names if name in run.tasks)]

    def _read_try(
        self, task: str, number: int, stored: Iterator[Part] | None, is_over: bool
    ) -> Iterator[LogLine]:
        key = f"{self._prefix}:{task}:{number}"
        cursor = self._open.setdefault((task, number), _Cursor())
        while stored is None:
            page: Any = self._connection.xrange(key, min=cursor.start, count=PAGE)
            for entry, fields in page:
                cursor.start = f"({entry}"
                yield from cursor.readable(task, number, fields)
            if len(page) < PAGE:
                break
        if stored is None and is_over and cursor.start == "-" and (store := self._open_store()):
            stored = store.read(self._run_id, [(task, number)]).get((task, number))
        for part in stored or ():
            yield from cursor.readable(task, number, part)


@dataclass
class _Cursor:
    """How far the log of a try was read."""

    start: str = "-"
    at: float = 0.0  # the time of the line before
    read: dict[str, tuple[int, int]] = field(default_factory=dict)  # writer -> lines and bytes

    def readable(self, task: str, number: int, fields: dict[str, str]) -> list[LogLine]:
        """The lines of a part, or one that says why there are none."""
        if trouble := fields.get("trouble"):
            return [LogLine(self.at, task, number, "WARNING", trouble)]
        try:
            found = list(self.lines(task, number, fields))
        except (LookupError, TypeError, ValueError):  # somebody else wrote it
            damaged = "(a part of this log is damaged)"
            return [LogLine(self.at, task, number, "WARNING", damaged)]
        self.at = found[-1].at if found else self.at
        return found

    def lines(self, task: str, number: int, fields: dict[str, str]) -> Iterator[LogLine]:
        """The lines of a part, after one that says what was left out before it."""
        writer = fields[LOG_PART["writer"]]
        first, offset = int(fields[LOG_PART["line"]]), int(fields[LOG_PART["byte"]])
        lines = [
            (float(at), str(level), str(text))
            for at, level, text in json.loads(fields[LOG_PART["lines"]])
        ]
        if not all(0 <= at < _LATEST for at, _, _ in lines):
            raise ValueError("a time that is none")
        known, known_bytes = self.read.get(writer, (0, 0))
        if first > known:
            gap = (
                f"({first - known:,} lines of {offset - known_bytes:,} bytes are left out here: of "
                "a long log its beginning and its end are kept)"
            )
            yield LogLine(lines[0][0], task, number, "WARNING", gap)
        self.read[writer] = first + len(lines), offset + sum(len(x[2].encode()) for x in lines)
        for at, level, text in lines:
            yield LogLine(at, task, number, level, text)


def follow(
    reader: LogReader,
    look: Callable[[], RunSnapshot],
    reading: Reading,
    run_id: str,
    task: str | None,
) -> Iterator[LogLine]:
    """Lines as they come; ends when the run, or the given task, has ended and all was read."""
    while True:
        newest = reading.newest_event(run_id)
        run = look()
        yield from reader.read(run)
        if run.ended or (task is not None and run.tasks[task].state in ENDED_TASK_STATES):
            return
        reading.has_event(run_id, newest, round(POLL_SECONDS * 1000))
