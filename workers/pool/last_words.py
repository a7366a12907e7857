"""The last words of a process of the pool: how its tries ended, and where it crashed.

They are in a file in memory, which the parent makes before it forks the process, and reads after
its death. What the process had printed is in its spool.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

_file: int | None = None  # of this process; in the parent that of the process forked next
_files: dict[int, int] = {}  # in the parent: process -> its file


@dataclass
class LastWords:
    """What a process has written there."""

    ended: dict[str, Any] = field(default_factory=dict)
    ends: list[dict[str, Any]] = field(default_factory=list)  # of tries of its hand, untold
    more: list[str] = field(default_factory=list)  # faulthandler's


def _write(record: list[Any]) -> None:
    if _file is not None:
        with contextlib.suppress(OSError):  # no memory: then without
            os.write(_file, json.dumps(record).encode() + b"\n")


def leave(ended: dict[str, Any]) -> None:
    """Leave to the parent how the try, or this process, has ended; it tells the engine."""
    _write(["ended", ended])


def leave_end(end: Any) -> None:
    """Leave how a try ended of which Redis has not heard yet: an `Untold`."""
    _write(["end", vars(end) | {"held": vars(end.held), "ended": vars(end.ended)}])


def forget_ends() -> None:
    """Redis has heard of all."""
    if _file is not None:
        os.ftruncate(_file, 0)


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


def forked(pid: int) -> None:
    """In the parent, after the fork."""
    global _file  # noqa: PLW0603
    if _file is not None:
        _files[pid] = _file
    _file = None


def forget() -> None:
    """In a process that is none of the pool's, but was forked by one."""
    global _file  # noqa: PLW0603
    _file = None


def so_far(pid: int) -> LastWords | None:
    """In the parent: what a process that goes on has left until now; None if there is none."""
    return None if (found := _files.get(pid)) is None else _read(found)


def of(pid: int) -> LastWords:
    """In the parent: what a process left that has ended; once."""
    if (found := _files.pop(pid, None)) is None:
        return LastWords()
    try:
        return _read(found)
    finally:
        os.close(found)


def _read(file_: int) -> LastWords:
    words = LastWords()
    text = os.pread(file_, os.fstat(file_).st_size, 0).decode(errors="replace")
    for line in text.splitlines():
        try:
            kind, *values = json.loads(line)
        except ValueError:
            words.more.append(line)
        else:
            if kind == "end":
                words.ends += values
            elif kind == "ended":
                words.ended = values[0]
    return words
