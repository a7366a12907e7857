"""What the tasks of integration tests do: they write what happened into a journal file.

A worker started with ``--import tests.tasks.callables`` calls these. A line is one write to a file
opened for appending, so lines of many processes never mix, and their order is that of time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from celery import current_task

from pydag_dist import Fail, Skip


class Line(NamedTuple):
    """What one process did for a try of a task."""

    what: str
    run: str
    task: str
    try_number: int
    push: str
    pid: int


class Journal:
    """The lines that tasks wrote until now, in the order of time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def lines(self, what: str | None = None, run: str | None = None) -> list[Line]:
        """Those lines of a kind and of a run."""
        found = []
        for text in self.path.read_text().splitlines():
            kind, run_id, task, number, push, pid = text.split()
            found.append(Line(kind, run_id, task, int(number), push, int(pid)))
        return [x for x in found if what in (None, x.what) and run in (None, x.run)]

    def tasks(self, what: str, run: str | None = None) -> list[str]:
        """The tasks of those lines."""
        return [line.task for line in self.lines(what, run)]


def _write(journal: str, what: str) -> None:
    header = current_task.request.pydag
    fields = [what, header["run"], header["task"], header["try"], header["push"], os.getpid()]
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, (" ".join(map(str, fields)) + "\n").encode())
    finally:
        os.close(descriptor)


def note(journal: str, fail: bool = False, ms: int = 0) -> str:
    """Leave a line, work for so many milliseconds, and fail if told so."""
    _write(journal, "ran")
    time.sleep(ms / 1000)
    if fail:
        raise ValueError("told to fail")
    return "noted"


def hold(journal: str, gate: str) -> None:
    """Run until a file is there."""
    _write(journal, "start")
    while not os.path.exists(gate):  # noqa: PTH110  called often
        time.sleep(0.01)
    _write(journal, "end")


def keep_lock(journal: str, seconds: int) -> None:
    """Run for so long without letting any other thread of the process run."""
    _write(journal, "start")
    ctypes.PyDLL(None).sleep(seconds)


def own(journal: str, gate: str) -> int:
    """Run until a file named after `gate` and this process is there; the process."""
    hold(journal, f"{gate}.{os.getpid()}")
    return os.getpid()


def work(journal: str, ms: int) -> None:
    """Run for so many milliseconds."""
    _write(journal, "start")
    time.sleep(ms / 1000)
    _write(journal, "end")


def signal_at_death_of_parent() -> int:
    """The signal that the kernel sends to this process when its parent ends."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number))  # PR_GET_PDEATHSIG of linux/prctl.h
    return number.value


def stubborn(journal: str) -> None:
    """Run for ever, whatever is raised in it."""
    _write(journal, "start")
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001  that is the point
            _write(journal, "caught")


def leave_traces(journal: str) -> str:
    """Change the process and write who did; whether it was as it should be."""
    is_clean = "TRACES" not in os.environ and Path.cwd() != Path("/")
    os.environ["TRACES"] = "left"
    os.chdir("/")
    _write(journal, "ran")
    os.write(1, f"traces of {current_task.request.pydag['task']}\n".encode())
    return "clean" if is_clean else "not clean"


def succeed_at(journal: str, number: int) -> int:
    """Fail in every try before that one."""
    _write(journal, "ran")
    if current_task.request.pydag["try"] != str(number):
        raise ValueError("not yet")
    return number


def reads_and_writes(reads: list[str], writes: list[str]) -> dict[str, list[str]]:
    """Say what was read and written, as operators do."""
    return {"reads": reads, "writes": writes}


def skip(journal: str, why: str) -> None:
    """Skip the task."""
    _write(journal, "ran")
    raise Skip(why)


def fail_for_good(journal: str, why: str) -> None:
    """Fail the task, whatever retries are left."""
    _write(journal, "ran")
    raise Fail(why)


async def skip_odd(journal: str, number: int) -> int:
    """Skip the task if the number is odd."""
    _write(journal, "ran")
    if number % 2:
        raise Skip(f"{number} is odd")
    return number


def choose(tasks: list[str]) -> list[str]:
    """Follow these."""
    return tasks


class CannotTravel(Exception):
    """An exception that no process can send to another."""

    def __init__(self) -> None:
        super().__init__("with a function in it")
        self.function = lambda: None

    def __reduce__(self) -> Any:
        raise TypeError("an exception that can't be pickled")


class NoText(Exception):
    """An exception whose text is an error of its own."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Rude(BaseException):
    """What only `except BaseException` catches."""


def die(journal: str, how: str) -> Any:
    """Leave a line, then end in one of many ways."""
    _write(journal, "ran")
    return _WAYS[how]()


def _raise(error: BaseException) -> None:
    raise error


def _recurse() -> None:
    _recurse()


def _crash() -> None:
    ctypes.string_at(0)


def _be_terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def _nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


_WAYS = {
    "os._exit": lambda: os._exit(1),
    "os._exit 0": lambda: os._exit(0),
    "kill -9": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": _be_terminated,
    "segfault": _crash,
    "abort": os.abort,
    "sys.exit": lambda: _raise(SystemExit(3)),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "BaseException": lambda: _raise(Rude("and more")),
    "MemoryError": lambda: _raise(MemoryError("out of it")),
    "RecursionError": _recurse,
    "unpicklable": lambda: _raise(CannotTravel()),
    "no text": lambda: _raise(NoText()),
    "long text": lambda: _raise(ValueError("x" * 5_000_000)),
    "surrogate": lambda: _raise(ValueError("half a \ud83d character\0")),
    "not JSON": lambda: {1, 2},
    "NaN": lambda: float("nan"),
    "nested": _nested,
    "surrogate result": lambda: "half a \ud83d character\0",
}


def frozen() -> int:
    """How many objects are left out of collections in this process."""
    return gc.get_freeze_count()
