"""What tables are made of: columns that fit, times and sizes as text."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pydag_dist.cli.display.output import echo
from pydag_dist.dag.planning.prices import size
from pydag_dist.visible import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

UNCUT: Final = 10_000  # columns of what is piped: nothing is cut
GAP: Final = 2  # columns between two of a table


class Cell(NamedTuple):
    """What stands in a table at one place, and how."""

    text: str
    style: str = ""

    @property
    def shown(self) -> str:
        """The text on one line, with its control characters as such."""
        return one_line(self.text).expandtabs()

    @property
    def width(self) -> int:
        """The columns that it takes on a screen."""
        if (text := self.shown).isascii():
            return len(text)
        from rich.cells import cell_len

        return cell_len(text)

    def plain(self) -> Iterator[str]:
        """The text as a line of its own, without colours."""
        yield self.shown

    def __rich__(self) -> Text:
        """The text as rich prints it on a line of its own, or on several if it is long."""
        from rich.text import Text

        return Text(self.shown, self.style, overflow="fold")


class Shown(Protocol):
    """A part of a `Page`: rich can print it, and it can be printed without."""

    def plain(self) -> Iterator[str]:
        """The lines without colours."""


class Page:
    """Lines and tables, one below the other."""

    def __init__(self, *parts: Shown) -> None:
        self._parts = parts

    def plain(self) -> Iterator[str]:
        """The lines without colours."""
        for part in self._parts:
            yield from part.plain()

    def __rich_console__(self, _console: Console, _options: Any) -> Iterator[Any]:
        """The parts as rich prints them."""
        yield from self._parts


class Lines:
    """A table of columns with these headings and widths: what is longer ends with an ellipsis.

    rich lays out its own tables anew for each cell, which takes seconds for 10,000 rows.
    """

    def __init__(self, *columns: tuple[str, int]) -> None:
        self._widths = [width for _, width in columns]
        self._rows = [[Cell(heading, "bold") for heading, _ in columns]]

    def add_row(self, *cells: Cell) -> None:
        """A row, a cell for each column."""
        self._rows.append(list(cells))

    def plain(self) -> Iterator[str]:
        """The rows as texts without colours."""
        gap = " " * GAP
        for row in self._rows:
            yield gap.join(map(_fitted, row, self._widths)).rstrip()

    def __rich_console__(self, console: Console, _options: Any) -> Iterator[Any]:
        """The rows as rich prints them."""
        from rich.segment import Segment

        gap, end = Segment(" " * GAP), Segment.line()
        for row in self._rows:
            for number, (cell, width) in enumerate(zip(row, self._widths, strict=True)):
                if number:
                    yield gap
                text = _fitted(cell, width)
                yield Segment(text, console.get_style(cell.style) if cell.style else None)
            yield end


def _fitted(cell: Cell, width: int) -> str:
    text = cell.shown
    if text.isascii():
        return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
    from rich.cells import cell_len, set_cell_size

    fits = cell_len(text) <= width
    return set_cell_size(text, width) if fits else f"{set_cell_size(text, width - 1)}…"


def table(
    columns: Mapping[str, Sequence[Cell]], width: int = UNCUT, drop: Sequence[str] = ()
) -> Lines:
    """A table of these columns by their headings, that fits the width if it can: nothing is cut.

    As far as needed, columns are left out: those without any text, then those of `drop` in order.
    """
    widths = {
        heading: max(len(heading), *(cell.width for cell in cells), 0)
        for heading, cells in columns.items()
    }
    empty = (name for name, cells in columns.items() if not any(cell.text for cell in cells))
    for column in (*empty, *drop):
        if sum(widths.values()) + GAP * (len(widths) - 1) <= width:
            break
        widths.pop(column, None)
    found = Lines(*widths.items())
    for row in zip(*(columns[heading] for heading in widths), strict=True):
        found.add_row(*row)
    return found


def rows_table(headings: Sequence[str], rows: Iterable[Sequence[str]], width: int = UNCUT) -> Lines:
    """A table of rows of texts, which fits the width if it can."""
    given = [[*map(Cell, row)] for row in rows]
    columns = {heading: [row[at] for row in given] for at, heading in enumerate(headings)}
    return table(columns, width)


def print_fitted(made: Callable[[int], Shown]) -> None:
    """Print what `made` returns for the width of the terminal; without one nothing is cut.

    The variable COLUMNS, if it is set, is the width in both cases.
    """
    if _may_be_terminal():
        from rich.console import Console

        console = Console()
        if console.is_terminal:
            # What does not fit all the same, such as a long id, is wrapped instead of cut.
            Console(width=UNCUT).print(made(console.width))
            return
    columns = os.environ.get("COLUMNS", "")
    echo("\n".join(made(int(columns) if columns.isdigit() else UNCUT).plain()))


def wrapped(text: str, indent: int) -> str:
    """The text in lines that fit the terminal, all but the first indented; without one as it is.

    The variable COLUMNS, if it is set, is the width in both cases.
    """
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return text
    import shutil

    return textwrap.fill(
        text,
        max(shutil.get_terminal_size().columns, 2 * indent),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _may_be_terminal() -> bool:
    """Whether rich could take the output for a terminal."""
    return sys.stdout.isatty() or any(map(os.environ.get, ("FORCE_COLOR", "TTY_COMPATIBLE")))


def billed(count: int | None) -> str:
    """Bytes in the unit that they are read in; empty for none."""
    return size(count) if count else ""


def duration(started_at: float | None, until: float | None) -> str:
    """How long something took until then; empty if it has not started."""
    if started_at is None or until is None:
        return ""
    return span(max(0.0, until - started_at))


def span(seconds: float | None) -> str:
    """A length of time; empty for none."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def clock(at: datetime | float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time by the clock of this host; empty for none, ``?`` for what no clock shows."""
    if at is None:
        return ""
    try:
        moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
        return moment.astimezone().strftime(form)
    except (ValueError, OverflowError, OSError):  # a damaged key
        return "?"


def shortened(text: str, width: int) -> str:
    """An id of at most `width` characters: of a longer one the middle is left out."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
