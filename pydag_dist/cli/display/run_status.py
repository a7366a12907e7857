"""All of a run: when and by whom, its tasks as a table, and what failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from pydag_dist.cli.display.states import coloured
from pydag_dist.cli.display.tables import (
    GAP,
    Cell,
    Lines,
    Page,
    Shown,
    billed,
    clock,
    duration,
    shortened,
    span,
)
from pydag_dist.dag.planning.prices import usd
from pydag_dist.engine import ENDED_TASK_STATES, RunSnapshot, TaskSnapshot
from pydag_dist.engine.snapshot import Act
from pydag_dist.settings import load_settings
from pydag_dist.visible import one_line
from pydag_dist.why.failure import failure_of

if TYPE_CHECKING:
    from rich.console import RenderableType

ERROR_LENGTH: Final = 300  # characters of an error on one line
ERRORS: Final = 20  # tasks whose errors `status` shows
ACTS: Final = 10  # things that people did to the run
BAR: Final = 30
DETAILS: Final = "worker, or error"
LEAST: Final = 10  # columns of the last column, or there is none

Tasks = Mapping[str, TaskSnapshot]


def status_screen(run: RunSnapshot, now: float, width: int) -> Page:
    """All of the run: when and by whom, every task by its start, and what failed."""
    parts: list[Shown] = [
        Cell(run.run_id, "bold"),
        head_of(run, now, width),
        *map(Cell, _times(run, now)),
    ]
    if run.error:
        parts.append(Cell(f"error: {error_line(run.error)}", "red"))
    order = sorted(run.tasks, key=lambda name: run.tasks[name].started_at or math.inf)
    if order:
        tasks = {name: run.tasks[name] for name in order}
        parts.append(tasks_table(tasks, now, width, cut_names=False))
    failed = [name for name in order if run.tasks[name].state == "failed"]
    for name in failed[:ERRORS]:
        why = error_line(failure_of(run, name)) or "no error was told"
        what = f"{name}, try {run.tasks[name].try_number}: {why}"
        parts.append(Cell(what, "red"))
    if len(failed) > ERRORS:
        parts.append(
            Cell(f"{len(failed) - ERRORS} more have failed: pydag status {run.run_id} --json")
        )
    return Page(*parts)


def counts_text(tasks: Iterable[TaskSnapshot]) -> str:
    """The number of tasks in each state, in words."""
    counts = Counter(task.state for task in tasks)
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts))


def error_line(error: str | None) -> str:
    """An error on one line, with controls shown: its last line, after what the first one says."""
    first, *others = (error or "").strip().splitlines() or [""]
    last = others[-1].strip() if others else ""
    parts = [first.strip()] if not first.startswith("Traceback (most recent") else []
    parts = [part for part in (*parts, last) if part]
    if sum(map(len, parts)) > ERROR_LENGTH - 3:
        length = (ERROR_LENGTH - 3) // len(parts)
        parts = [part if len(part) <= length else f"{part[: length - 1]}…" for part in parts]
    return one_line(" … ".join(parts))


class Head(NamedTuple):
    """The run's state, how far it is, and what it took; on one line."""

    state: str
    ended: int
    total: int
    text: str
    bar: int  # columns that there are for one

    def plain(self) -> Iterator[str]:
        """The line without colours and bar."""
        yield f"{self.state}  {self.text}"

    def __rich__(self) -> RenderableType:
        """The line as rich prints it."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self.bar < LEAST:
            line = Text.assemble(coloured(self.state), "  ", self.text)
            line.no_wrap, line.overflow = True, "ellipsis"
            return line
        head = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        progress = ProgressBar(total=max(self.total, 1), completed=self.ended, width=self.bar)
        head.add_row(coloured(self.state), progress, self.text)
        return head


def head_of(run: RunSnapshot, now: float, width: int, end: float | None = None) -> Head:
    """The run's head for lines of that width; it may `end` at that time."""
    total = len(run.tasks)
    ended = sum(task.state in ENDED_TASK_STATES for task in run.tasks.values())
    parts = [f"{ended}/{total} tasks", span(run.took(now))]
    parts += [f"round {run.rounds}"] * (run.rounds > 1)
    parts += [_cost(count)] if (count := run.bytes_billed) else []
    if end is not None:
        is_today = clock(end, "%j") == clock(now, "%j")
        parts.append(f"may end {clock(end, '%H:%M:%S' if is_today else '%Y-%m-%d %H:%M')}")
    text = "  ".join(filter(None, parts))
    bar = min(BAR, width - len(run.state) - len(text) - 2 * GAP)
    return Head(run.state, ended, total, text, bar)


def _cost(count: int) -> str:
    settings = load_settings()
    price = usd(count, settings.bigquery_price)
    return f"{billed(count)} billed" + (f" (USD {price:,.2f})" if price >= 0.01 else "")


def _times(run: RunSnapshot, now: float) -> list[str]:
    form = "%Y-%m-%d %H:%M:%S %Z"
    by = f" by {run.submitted_by}" if run.submitted_by else ""
    if run.parent_run:
        by = f" by task {run.parent_task} of run {run.parent_run}"
    lines = [f"submitted {clock(run.submitted_at, form)}{by}"]
    if run.logical_date:
        what = f"backfill {run.backfill}" if run.backfill else run.run_type
        started_by = f", {what}, version {run.version}" if run.version else ""
        lines.append(f"for       {run.logical_date}{started_by}")
    if run.is_late(now):
        lines.append(f"late      its end was expected at {clock(run.expected_at, form)}")
    if run.started_at is not None:
        lines.append(f"started   {clock(run.started_at, form)}")
    if run.rounds > 1:
        since = f", which started {clock(run.round_at, form)}" * bool(run.round_at)
        lines.append(
            f"resumed   {run.rounds - 1} {'time' if run.rounds == 2 else 'times'}: this "
            f"is round {run.rounds}{since}"
        )
    if run.ended_at is not None:
        why = f", by its {run.reason}" if run.reason in {"timeout", "cancel"} else ""
        lines.append(f"ended     {clock(run.ended_at, form)}{why}")
    if len(run.acts) > ACTS:
        lines.append(f"{len(run.acts) - ACTS} more by hand: pydag status {run.run_id} --json")
    lines += [f"by hand   {clock(act.at, form)}  {_act_line(act)}" for act in run.acts[-ACTS:]]
    return lines


def _act_line(act: Act) -> str:
    of = {"resume": " from", "mark": " of"}.get(act.act, "") + f" {act.task}" if act.task else ""
    return f"{act.by}: {act.act}{of}{f' as {act.state}' if act.state else ''}"


def tasks_table(tasks: Tasks, now: float, width: int, *, cut_names: bool = True) -> Lines:
    """A row for each task, which fits the width; names are cut only if they may be."""
    cells = {
        "state": [coloured(task.state) for task in tasks.values()],
        "try": [Cell(str(t.try_number) * (t.try_number > 1)) for t in tasks.values()],
        "took": [Cell(duration(task.started_at, task.ended_at or now)) for task in tasks.values()],
        DETAILS: [Cell(_details(task)) for task in tasks.values()],
    }
    widths = {
        heading: max(len(heading), *(cell.width for cell in column))
        for heading, column in cells.items()
        if heading != "try" or any(cell.text for cell in column)
    }
    details = widths.pop(DETAILS) if any(cell.text for cell in cells[DETAILS]) else 0
    longest = max(4, *map(len, tasks))

    def names_and_rest() -> tuple[int, int]:
        """Columns for the names, and those that are left for the last column."""
        rest = width - sum(GAP + length for length in widths.values())
        # Half of it is for the last column, if that has so much to say.
        wanted = min(details, max(rest // 2, LEAST)) + GAP if details else 0
        names = min(longest, max(LEAST, rest - wanted)) if cut_names else longest
        return names, rest - names - GAP

    for column in ("try", "took"):  # what went wrong matters more than these
        if details and names_and_rest()[1] < LEAST:
            widths.pop(column, None)
    names, rest = names_and_rest()
    # Where names may not be cut, a long one makes its line longer.
    if details and (rest >= LEAST or not cut_names):
        widths[DETAILS] = max(LEAST, min(rest, details))
    table = Lines(("task", names), *widths.items())
    for number, name in enumerate(tasks):
        row = [cells[heading][number] for heading in widths]
        table.add_row(Cell(shortened(name, names)), *row)
    return table


def _details(task: TaskSnapshot) -> str:
    """Where a task runs or ran, or what is the matter with it."""
    if task.state in {"failed", "up_for_retry"} and task.error:
        return error_line(task.error)
    parts = [task.worker or ""]
    parts += [f"{billed(task.bytes_billed)} billed"] * bool(task.bytes_billed)
    parts += [f"cached from {task.cached_from}"] * bool(task.cached_from)
    parts += [f"given back by {task.refused}"] * bool(task.refused)
    return one_line(", ".join(filter(None, parts)))
