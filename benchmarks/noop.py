"""The tasks that are measured: what remains is the cost of running a task, or of its output."""

from __future__ import annotations

import logging
import time


def noop() -> None:
    """Do nothing."""


def sleep(seconds: float) -> None:
    """Take so long."""
    time.sleep(seconds)


def says(lines: int) -> None:
    """Print so many lines."""
    for number in range(lines):
        print("a line that has sixty characters, and that is number", number)


def logs(lines: int) -> None:
    """Log so many lines."""
    for number in range(lines):
        logging.info("a line that has sixty characters, and that is number %d", number)  # noqa: LOG015


def moves(number: int) -> dict[str, list[str]]:
    """Print a line, and say what was read and written."""
    says(1)
    return {"reads": ["p.d.orders"], "writes": [f"p.d.part_{number}"]}
