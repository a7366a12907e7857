"""What tables are made of: columns that fit, times and sizes as text."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from rich import filesize
from rich.console import Console, RenderableType
from rich.table import Table

from pydag_dist.cli.display.output import echo

UNCUT: Final = 10_000  # columns of what is piped: nothing is cut
GAP: Final = 2  # columns between two of a table


def plain_table(first: str, *others: str) -> Table:
    """A table without lines. Its first column is never cut, since that is what people copy."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(first, no_wrap=True, overflow="ignore")
    for name in others:
        table.add_column(name)
    return table


def fitted_table(*columns: tuple[str, int]) -> Table:
    """A table of columns with these headings and widths: what is longer ends with an ellipsis."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for heading, width in columns:
        table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
    return table


def print_fitted(made: Callable[[int], RenderableType]) -> None:
    """Print what `made` returns for the width of the terminal; without one nothing is cut.

    The variable COLUMNS, if it is set, is the width in both cases.
    """
    console = Console()
    if console.is_terminal:
        # What does not fit all the same, such as a long id, is wrapped instead of cut.
        Console(width=UNCUT).print(made(console.width))
        return
    width = console.width if os.environ.get("COLUMNS", "").isdigit() else UNCUT
    piped = Console(width=UNCUT, no_color=True)
    with piped.capture() as captured:
        piped.print(made(width))
    echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def wide_output() -> Console:
    """A console for tables that are not made to fit: a narrow terminal wraps their lines."""
    return Console(width=max(Console().width, 200))


def billed(count: int | None) -> str:
    """Bytes in the unit that they are read in; empty for none."""
    return filesize.decimal(count) if count else ""


def duration(started_at: float | None, ended_at: float | None) -> str:
    """How long something took, or takes so far; empty if it has not started."""
    if started_at is None:
        return ""
    return span(max(0.0, (ended_at or time.time()) - started_at))


def span(seconds: float | None) -> str:
    """A length of time; empty for none."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def clock(at: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time by the clock of this host; empty for none, ``?`` for what no clock shows."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime(form)
    except (ValueError, OverflowError, OSError):  # a damaged key
        return "?"


def shortened(text: str, width: int) -> str:
    """An id of at most `width` characters: of a longer one the middle is left out."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
