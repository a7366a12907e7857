"""The functions of the DAGs beside this file, for a worker with --import callables."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from pydag_dist import Fail, Skip


def work(seconds: float = 0) -> str:
    """Take this long."""
    time.sleep(seconds)
    return "done"


def fail() -> None:
    raise RuntimeError("fails on purpose")


def skip(why: str) -> None:
    """Skip its own task."""
    raise Skip(why)


def fail_for_good(why: str) -> None:
    """Fail its task, whatever retries are left."""
    raise Fail(why)


def choose(tasks: str | list[str] | bool) -> str | list[str] | bool:
    """The task that a branch follows. A real branch looks at data, a date, or a table's size."""
    return tasks


def succeed_after(failures: int, name: str) -> int:
    """Fail this many times, then succeed; the tries are counted in a file on this host."""
    counter = Path(tempfile.gettempdir()) / f"pydag-example-{name}"
    with counter.open("a") as file:
        file.write("x")
    tries = counter.stat().st_size
    if tries <= failures:
        raise RuntimeError(f"try {tries} fails on purpose")
    counter.unlink()
    return tries


def find_files(country: str, day: str, count: int) -> dict[str, Any]:
    """Names of files, which a real function would find in a bucket."""
    files = [f"{country}-{day}-{number}.csv" for number in range(count)]
    return {"files": files, "count": len(files)}


def load(file: str, number: int) -> dict[str, Any]:
    """Load one file, and tell how many rows it had."""
    return {"file": file, "rows": 10 * (number + 1)}


def echo(**given: Any) -> dict[str, Any]:
    """Return what it was given."""
    return given
