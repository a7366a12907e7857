"""Reading the log lines of tasks: one capped Redis stream for each try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import Any

import redis

from pydag_dist.engine import ENDED_TASK_STATES, Engine, RunSnapshot
from pydag_dist.errors import PydagError
from pydag_dist.visible import one_line

PAGE = 1000
POLL_SECONDS = 0.5


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


class LogReader:
    """Reads the streams of a run's tries, each from where it stopped the last time."""

    def __init__(
        self, connection: redis.Redis, prefix: str, run_id: str, task: str | None = None
    ) -> None:
        self._connection = connection
        self._prefix = f"{prefix}:log:{run_id}"
        self._run_id = run_id
        self._task = task
        # The last entry read of each try, by task and try number; a try that ended and was read
        # to its end is not asked for again.
        self._open: dict[tuple[str, int], str] = {}
        self._done: set[tuple[str, int]] = set()

    def read(self, run: RunSnapshot) -> Iterator[LogLine]:
        """The lines that came since the last call, by time."""
        if self._task is not None and self._task not in run.tasks:
            raise PydagError(
                f"run {self._run_id} has no task {self._task!r}: `pydag status {self._run_id}` "
                "lists them"
            )
        tries = [
            (name, number)
            for name in (run.tasks if self._task is None else [self._task])
            for number in range(1, run.tasks[name].try_number + 1)
            if (name, number) not in self._done
        ]
        yield from merge(*(self._read_try(*key) for key in tries))
        for name, number in tries:
            task = run.tasks[name]
            if number < task.try_number or task.state in ENDED_TASK_STATES:
                self._done.add((name, number))

    def _read_try(self, task: str, number: int) -> Iterator[LogLine]:
        key = f"{self._prefix}:{task}:{number}"
        while True:
            start = self._open.get((task, number), "-")
            page: Any = self._connection.xrange(key, min=start, count=PAGE)
            for entry, fields in page:
                self._open[task, number] = f"({entry}"
                yield LogLine(
                    at=float(fields["t"]),
                    task=task,
                    try_number=number,
                    level=fields["level"],
                    line=fields["line"],
                )
            if len(page) < PAGE:
                return


def follow(reader: LogReader, engine: Engine, run_id: str, task: str | None) -> Iterator[LogLine]:
    """Lines as they come; ends when the run, or the given task, has ended and all was read."""
    cursor = "0"
    while True:
        run = engine.snapshot(run_id)
        yield from reader.read(run)
        if run.ended or (task is not None and run.tasks[task].state in ENDED_TASK_STATES):
            return
        events = engine.events(run_id, cursor, round(POLL_SECONDS * 1000))
        cursor = events[-1].id if events else cursor
