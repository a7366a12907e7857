"""A run and its tasks as a table: what fits the screen while it is watched, else all of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pydag_dist.cli.display.output import cell
from pydag_dist.cli.display.states import DONE, FAILED, WAITING, colour, coloured
from pydag_dist.cli.display.tables import (
    GAP,
    Cell,
    Lines,
    billed,
    clock,
    duration,
    price_of,
    shortened,
    span,
)
from pydag_dist.engine import ENDED_TASK_STATES, RunSnapshot, TaskSnapshot
from pydag_dist.engine.snapshot import Act
from pydag_dist.settings import load_settings
from pydag_dist.visible import one_line

SMALL: Final = 16  # lines of a screen that has no room for long texts
NOTE_LINES: Final = 3
ERROR_LENGTH: Final = 300  # characters of an error on one line
ERRORS: Final = 20  # tasks whose errors `status` shows
ACTS: Final = 10  # things that people did to the run
BAR: Final = 30
DETAILS: Final = "worker, or error"
LEAST: Final = 10  # columns of the last column, or there is none

Tasks = Mapping[str, TaskSnapshot]


def live_screen(
    run: RunSnapshot, width: int, height: int, note: str = "", end: float | None = None
) -> RenderableType:
    """The run on a screen of that size: failed, running and waiting tasks first.

    What is done is folded into one line, and what there is no room for is counted. The `note` is
    shown below. It may `end` at that time.
    """
    small = height < SMALL
    title = Text(shortened(run.run_id, width) if small else run.run_id, "bold", overflow="fold")
    parts: list[RenderableType] = [title, _head(run, width, end)]
    done = {name: task for name, task in run.tasks.items() if task.state in DONE}
    if done:
        parts.append(Text(f"done: {counts_text(done.values())}", no_wrap=True, overflow="ellipsis"))
    notes = _note_lines(note, width, 1 if small else NOTE_LINES)
    # One line is the cursor's, one the table's head.
    taken = math.ceil(len(title) / width) + len(parts) - 1 + len(notes) + 2
    names, hidden = _chosen(run.tasks, max(1, height - taken))
    if names:
        parts.append(_table({name: run.tasks[name] for name in names}, width))
    if hidden:
        more = counts_text(run.tasks[name] for name in hidden)
        parts.append(Text(f"not shown: {more}", no_wrap=True, overflow="ellipsis"))
    return Group(*parts, *notes)


def status_screen(run: RunSnapshot, width: int) -> RenderableType:
    """All of the run: when and by whom, every task by its start, and what failed."""
    parts: list[RenderableType] = [
        Text(run.run_id, "bold", overflow="fold"),
        _head(run, width),
        *(cell(line) for line in _times(run)),
    ]
    if run.error:
        parts.append(cell(f"error: {error_line(run.error)}", "red"))
    order = sorted(run.tasks, key=lambda name: run.tasks[name].started_at or math.inf)
    if order:
        parts.append(_table({name: run.tasks[name] for name in order}, width, cut_names=False))
    failed = [name for name in order if run.tasks[name].state == "failed"]
    for name in failed[:ERRORS]:
        task = run.tasks[name]
        what = f"{name}, try {task.try_number}: {error_line(task.error) or 'no error was told'}"
        parts.append(cell(what, "red"))
    if len(failed) > ERRORS:
        more = f"{len(failed) - ERRORS} more have failed: pydag status {run.run_id} --json"
        parts.append(Text(more))
    return Group(*parts)


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


def _head(run: RunSnapshot, width: int, end: float | None = None) -> RenderableType:
    """The run's state, how far it is, and what it took; on one line."""
    total = len(run.tasks)
    ended = sum(task.state in ENDED_TASK_STATES for task in run.tasks.values())
    parts = [f"{ended}/{total} tasks", span(run.took(time.time()))]
    parts += [f"round {run.rounds}"] * (run.rounds > 1)
    parts += [_cost(run.bytes_billed)] * bool(run.bytes_billed)
    if end is not None:
        is_today = clock(end, "%j") == clock(time.time(), "%j")
        parts.append(f"may end {clock(end, '%H:%M:%S' if is_today else '%Y-%m-%d %H:%M')}")
    text = "  ".join(filter(None, parts))
    bar = min(BAR, width - len(run.state) - len(text) - 2 * GAP)
    if bar < LEAST:
        line = Text.assemble(coloured(run.state), "  ", text)
        line.no_wrap, line.overflow = True, "ellipsis"
        return line
    head = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    progress = ProgressBar(total=max(total, 1), completed=ended, width=bar)
    head.add_row(coloured(run.state), progress, text)
    return head


def _cost(count: int | None) -> str:
    settings = load_settings()
    price = price_of(count or 0, settings.bigquery_price)
    return f"{billed(count)} billed" + (f" (USD {price:,.2f})" if price >= 0.01 else "")


def _times(run: RunSnapshot) -> list[str]:
    form = "%Y-%m-%d %H:%M:%S %Z"
    by = f" by {run.submitted_by}" if run.submitted_by else ""
    if run.parent_run:
        by = f" by task {run.parent_task} of run {run.parent_run}"
    lines = [f"submitted {clock(run.submitted_at, form)}{by}"]
    if run.logical_date:
        what = f"backfill {run.backfill}" if run.backfill else run.run_type
        started_by = f", {what}, version {run.version}" if run.version else ""
        lines.append(f"for       {run.logical_date}{started_by}")
    if run.is_late(time.time()):
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


def _chosen(tasks: Tasks, rows: int) -> tuple[list[str], list[str]]:
    """The tasks to show in so many rows, in order, and those that are not done and have none."""
    failed, under_way, waiting, done = _grouped(tasks)
    unfinished = len(failed) + len(under_way) + len(waiting)
    if unfinished <= rows:
        return failed + under_way + waiting + done[: rows - unfinished], []
    room = rows - 1  # a line counts the others
    # Many failures must not hide all that runs, nor the other way round.
    few = failed[: max(room // 2, room - len(under_way))]
    first = few + under_way[: room - len(few)]
    shown = first + waiting[: room - len(first)]
    known = set(shown)
    return shown, [name for name in failed + under_way + waiting if name not in known]


def _grouped(tasks: Tasks) -> tuple[list[str], list[str], list[str], list[str]]:
    """What failed, is under way, waits, is done: of ends the newest first, of starts the oldest."""
    groups: tuple[list[str], ...] = ([], [], [], [])
    for name, task in tasks.items():
        kinds = (FAILED, (), WAITING, DONE)
        groups[next((i for i, kind in enumerate(kinds) if task.state in kind), 1)].append(name)
    failed, under_way, waiting, done = groups
    failed.sort(key=lambda name: -(tasks[name].ended_at or 0))
    under_way.sort(key=lambda name: tasks[name].started_at or math.inf)
    waiting.sort(key=lambda name: (WAITING.index(tasks[name].state), name))
    done.sort(key=lambda name: -(tasks[name].ended_at or 0))
    return failed, under_way, waiting, done


def _table(tasks: Tasks, width: int, *, cut_names: bool = True) -> Lines:
    """A row for each task, which fits the width; names are cut only if they may be."""
    cells = {
        "state": [Cell(task.state, colour(task.state)) for task in tasks.values()],
        "try": [Cell(str(t.try_number) * (t.try_number > 1)) for t in tasks.values()],
        "took": [Cell(duration(task.started_at, task.ended_at)) for task in tasks.values()],
        DETAILS: [Cell(_details(task)) for task in tasks.values()],
    }
    widths = {
        heading: max(len(heading), *(len(cell.text) for cell in column))
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


def _note_lines(note: str, width: int, most: int) -> Sequence[Text]:
    lines = [part for line in note.splitlines() for part in wrap(one_line(line), max(width, 20))]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 2]} …"]
    return [Text(line, "yellow", no_wrap=True, overflow="ellipsis") for line in lines]
