"""A list of runs, each on a line that fits the screen: an id is cut only while it names its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydag_dist.cli.display.states import colour
from pydag_dist.cli.display.tables import GAP, Cell, Lines, clock, span
from pydag_dist.engine import RunSummary

DAY, MINUTE = "submitted", "when"
# The columns that are tried, the most telling first; the first two with whole ids.
_COLUMNS: Final = (
    ("state", DAY, "for", "took", "tasks", "failed", "by"),
    ("state", DAY, "took", "tasks", "failed", "by"),
    ("state", DAY, "took", "tasks", "failed"),
    ("state", MINUTE, "took", "tasks", "failed"),
    ("state", MINUTE, "tasks", "failed"),
    ("state", "tasks"),
    ("state",),
)
_WHOLE: Final = 4  # of them are tried with whole ids before any is shortened


def runs_screen(
    runs: Sequence[RunSummary], names: Mapping[str, str], now: float, width: int
) -> Lines:
    """The runs as a table that fits the width; `names` are the shortest that ids may become."""
    cells = {column: [form(run, now) for run in runs] for column, form in _FORMS.items()}
    widths = {
        column: max(len(column), *(cell.width for cell in shown), 0)
        for column, shown in cells.items()
        if column == "state" or any(cell.text for cell in shown)
    }

    def left(columns: Sequence[str]) -> int:
        return width - sum(widths[column] + GAP for column in columns)

    ids = max(3, *(len(run.run_id) for run in runs), 0)
    least = max(3, *(len(_ended(run.run_id, names)) for run in runs), 0)
    chosen = [[column for column in columns if column in widths] for columns in _COLUMNS]
    fits = [(columns, ids) for columns in chosen[:_WHOLE] if left(columns) >= ids]
    fits += [(columns, left(columns)) for columns in chosen[1:] if left(columns) >= least]
    columns, room = fits[0] if fits else (chosen[-1], ids)
    table = Lines(("run", min(room, ids)), *((column, widths[column]) for column in columns))
    for number, run in enumerate(runs):
        shown = run.run_id if len(run.run_id) <= room else f"{run.run_id[: room - 1]}…"
        table.add_row(Cell(shown), *(cells[column][number] for column in columns))
    return table


def _ended(run_id: str, names: Mapping[str, str]) -> str:
    """The shortest form of an id, with its ellipsis if that is any shorter."""
    short = f"{names.get(run_id, run_id)}…"
    return short if len(short) < len(run_id) else run_id


_FORMS: Final[Mapping[str, Callable[[RunSummary, float], Cell]]] = {
    "state": lambda run, now: Cell(
        f"{run.state}, late" if run.ended_at is None and run.is_late(now) else run.state,
        colour(run.state),
    ),
    DAY: lambda run, _: Cell(clock(run.submitted_at)),
    MINUTE: lambda run, _: Cell(clock(run.submitted_at, "%m-%d %H:%M")),
    "took": lambda run, now: Cell(span(run.took(now))),
    "tasks": lambda run, _: Cell(f"{run.counts['ended']}/{run.counts['total']}"),
    "failed": lambda run, _: Cell(str(run.counts["failed"] or "")),
    "for": lambda run, _: Cell(run.logical_date or ""),
    "by": lambda run, _: Cell(run.submitted_by or run.backfill or ""),
}
