"""What the tasks of random DAGs do, and the journal in which they say so.

A line is one write to a file opened for appending, so lines of many processes never mix.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery import current_task


@dataclass(frozen=True)
class Line:
    """What a process did for a try of a task; `at` is this machine's clock."""

    what: str  # start, or end: the work is done, its outcome not yet released
    at: float
    run: str
    task: str
    try_number: int
    push: str
    pid: int
    parent: int

    def claimed_before(self, other: Line) -> bool:
        """Whether the message of this one is the older one, of the same try."""
        mine, theirs = (tuple(map(int, line.push.split("-"))) for line in (self, other))
        return mine < theirs


def _write(journal: str, what: str) -> int:
    """Leave a line; the number of the try."""
    header = current_task.request.pydag
    number = int(header["try"])
    line = Line(
        what,
        time.time(),
        header["run"],
        header["task"],
        number,
        header["push"],
        os.getpid(),
        os.getppid(),
    )
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, (json.dumps(asdict(line)) + "\n").encode())
    finally:
        os.close(descriptor)
    return number


def call(journal: str, ms: int, fails: int, result: Any = None) -> Any:
    """Work for so many milliseconds, and fail in that many tries before one succeeds."""
    number = _write(journal, "start")
    time.sleep(ms / 1000)
    _write(journal, "end")
    if number <= fails:
        raise ValueError(f"told to fail in try {number}")
    return result


def read(journal: Path) -> list[Line]:
    """The lines that tasks wrote until now, in the order in which they wrote them."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [Line(**json.loads(line)) for line in lines]


def hold(journal: str, gate: str) -> None:
    """Run until a file is there."""
    _write(journal, "start")
    while not Path(gate).exists():
        time.sleep(0.05)
    _write(journal, "end")
