"""What a process of the pool leaves behind if it dies: lines not sent yet, and how its try ended.

A file in memory that the parent makes before it forks the process, and reads after its death. A
line costs one write there; the file is emptied whenever all lines have reached Redis.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from typing import Any

MAX_BYTES = 4 << 20  # further lines are in the memory of the process only

_file: int | None = None  # of this process; in the parent that of the process forked next
_files: dict[int, int] = {}  # in the parent: process -> its file


@dataclass
class LastWords:
    """Lines as (key of their stream, epoch seconds, level, text), and what else was written."""

    lines: list[tuple[str, float, str, str]] = field(default_factory=list)
    ended: dict[str, Any] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)  # faulthandler's


class _Unsent:
    """Counts the lines that are in the file and not in Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def add(self, key: str, at: float, level: str, text: str) -> None:
        if _file is None:
            return
        with self._lock:
            self._count += 1
            if os.lseek(_file, 0, os.SEEK_END) < MAX_BYTES:
                _write(["line", key, at, level, text])

    def remove(self, count: int) -> None:
        if _file is None:
            return
        with self._lock:
            self._count -= count
            if self._count <= 0:
                self._count = 0
                os.ftruncate(_file, 0)


unsent = _Unsent()


def _write(record: list[Any]) -> None:
    if _file is not None:
        with contextlib.suppress(OSError):  # no memory: then without
            os.write(_file, json.dumps(record).encode() + b"\n")


def bequeath(ended: dict[str, Any]) -> None:
    """Leave to the parent how the try, or this process, has ended; it tells the engine."""
    _write(["ended", ended])


def file() -> int | None:
    """The file of this process, for what writes text there; None if it has none."""
    return _file


def prepare() -> None:
    """In the parent, before it forks a process: make that one's file."""
    global _file  # noqa: PLW0603  a fork takes nothing else along
    if hasattr(os, "memfd_create"):
        _file = os.memfd_create("pydag-last-words")
    else:
        with tempfile.TemporaryFile() as made:
            _file = os.dup(made.fileno())
    fcntl.fcntl(_file, fcntl.F_SETFL, fcntl.fcntl(_file, fcntl.F_GETFL) | os.O_APPEND)


def made(pid: int) -> None:
    """In the parent, after the fork."""
    global _file  # noqa: PLW0603
    if _file is not None:
        _files[pid] = _file
    _file = None


def forget() -> None:
    """In a process that is none of the pool's, but was forked by one."""
    global _file  # noqa: PLW0603
    _file = None


def of(pid: int) -> LastWords:
    """In the parent: what a process left that has ended; once."""
    words = LastWords()
    if (found := _files.pop(pid, None)) is None:
        return words
    with os.fdopen(found, "rb") as file_:
        file_.seek(0)
        text = file_.read().decode(errors="replace")
    for line in text.splitlines():
        try:
            kind, *values = json.loads(line)
        except ValueError:
            words.more.append(line)
        else:
            if kind == "line":
                words.lines.append(tuple(values))
            else:
                words.ended = values[0]
    return words
