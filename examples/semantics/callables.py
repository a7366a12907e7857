"""The functions of the DAGs beside this file, for a worker with --import callables."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path


def work(seconds: float = 0) -> str:
    """Take that long."""
    time.sleep(seconds)
    return "done"


def fail() -> None:
    raise RuntimeError("fails on purpose")


def choose(tasks: str | list[str]) -> str | list[str]:
    """What a branch follows. A real one looks at data, a date, or the size of a table."""
    return tasks


def succeed_after(failures: int, name: str) -> int:
    """Fail so many times, then succeed; the tries are counted in a file of this host."""
    counter = Path(tempfile.gettempdir()) / f"pydag-example-{name}"
    with counter.open("a") as file:
        file.write("x")
    tries = counter.stat().st_size
    if tries <= failures:
        raise RuntimeError(f"try {tries} fails on purpose")
    counter.unlink()
    return tries
