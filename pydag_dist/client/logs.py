"""Reading the logs of tasks: a stream of parts for each try, see the engine's log.lua."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from typing import Any, Protocol

import redis

from pydag_dist.engine import ENDED_TASK_STATES, Reading, RunSnapshot
from pydag_dist.engine.protocol import LOG_PART
from pydag_dist.errors import PydagError
from pydag_dist.visible import one_line

PAGE = 100  # parts
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
    """Reads the streams of a run's tries, each from where it stopped the last time."""

    def __init__(
        self, connection: redis.Redis, prefix: str, run_id: str, task: str | None = None
    ) -> None:
        self._connection = connection
        self._prefix = f"{prefix}:log:{run_id}"
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
        yield from merge(*(self._read_try(*key) for key in tries))
        for name, number in tries:
            task = run.tasks[name]
            if number < task.try_number or task.state in ENDED_TASK_STATES:
                self._done.add((name, number))

    def _with_children(self, run: HasTasks) -> list[str]:
        """The task, and those that it has become if it was expanded."""
        task = str(self._task)
        names = (f"{task}.{number}" for number in range(run.tasks[task].children or 0))
        return [task, *(name for name in names if name in run.tasks)]

    def _read_try(self, task: str, number: int) -> Iterator[LogLine]:
        key = f"{self._prefix}:{task}:{number}"
        cursor = self._open.setdefault((task, number), _Cursor())
        while True:
            page: Any = self._connection.xrange(key, min=cursor.start, count=PAGE)
            for entry, fields in page:
                cursor.start = f"({entry}"
                try:
                    lines = list(cursor.lines(task, number, fields))
                except (LookupError, TypeError, ValueError):  # somebody else wrote it
                    at = int(entry.partition("-")[0]) / 1000
                    damaged = "(a part of this log is damaged)"
                    lines = [LogLine(at, task, number, "WARNING", damaged)]
                yield from lines
            if len(page) < PAGE:
                return


@dataclass
class _Cursor:
    """How far the log of a try was read."""

    start: str = "-"
    read: dict[str, tuple[int, int]] = field(default_factory=dict)  # writer -> lines and bytes

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
    cursor = "0"
    while True:
        run = look()
        yield from reader.read(run)
        if run.ended or (task is not None and run.tasks[task].state in ENDED_TASK_STATES):
            return
        events = reading.events(run_id, cursor, round(POLL_SECONDS * 1000))
        cursor = events[-1].id if events else cursor
