"""A run's progress: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from rich import filesize
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pydag_dist.cli.screen import cell
from pydag_dist.engine import ENDED_TASK_STATES, RunSnapshot, TaskSnapshot
from pydag_dist.visible import one_line

COLOURS = {
    "success": "green",
    "running": "cyan",
    "queued": "yellow",
    "ready": "yellow",
    "deferred": "blue",
    "up_for_retry": "magenta",
    "cancelling": "magenta",
    "failed": "bold red",
    "upstream_failed": "red",
    "cancelled": "red",
    "skipped": "dim",
}
UNDER_WAY = frozenset({"running", "deferred", "up_for_retry", "cancelling"})
ROWS = 30  # a DAG with more tasks shows what runs and what ended last
WIDE = 200
LINES = 200  # a DAG with more tasks is told in counts where there is no terminal


def watch(snapshots: Iterable[RunSnapshot], console: Console) -> RunSnapshot:
    """Show a run's snapshots as they come; the last one."""
    if not console.is_terminal:
        return _watch_lines(snapshots, console)
    with Live(console=console, auto_refresh=False) as screen:
        for snapshot in snapshots:
            screen.update(render(snapshot, ROWS), refresh=True)
    return snapshot


def _watch_lines(snapshots: Iterable[RunSnapshot], console: Console) -> RunSnapshot:
    told: dict[str, tuple[str, int]] = {}
    counted = ""
    for snapshot in snapshots:
        if len(snapshot.tasks) > LINES:
            if (counts := counts_text(snapshot)) != counted:
                console.print(f"{_now()} {counts}", highlight=False, soft_wrap=True)
                counted = counts
            continue
        for line in _changes(told, snapshot.tasks):
            told_line = f"{_now()} {one_line(line)}"
            console.print(told_line, highlight=False, soft_wrap=True, markup=False)
    state = f"run {snapshot.run_id}: {snapshot.state}"
    console.print(f"{_now()} {state}", highlight=False, soft_wrap=True)
    return snapshot


def _changes(told: dict[str, tuple[str, int]], tasks: Mapping[str, TaskSnapshot]) -> list[str]:
    """A line for each task that started or ended since `told`, which is brought up to date."""
    lines = []
    for name, task in tasks.items():
        now = (task.state, task.try_number)
        if told.get(name) == now:
            continue
        told[name] = now
        if task.state == "running":
            again = f", try {task.try_number}" if task.try_number > 1 else ""
            lines.append(f"{name}: running on {task.worker}{again}")
        elif task.state in ENDED_TASK_STATES:
            took = duration(task.started_at, task.ended_at)
            lines.append(f"{name}: {task.state}{' after ' + took if took else ''}")
        elif task.state == "up_for_retry":
            error = (task.error or "no error").splitlines()[0]
            lines.append(f"{name}: up_for_retry, try {task.try_number} failed: {error}")
        elif task.state in {"deferred", "cancelling"}:
            lines.append(f"{name}: {task.state}")
    return lines


def render(snapshot: RunSnapshot, rows: float) -> RenderableType:
    """The run as a header with a progress bar, and a table of at most `rows` tasks."""
    total = len(snapshot.tasks)
    ended = sum(task.state in ENDED_TASK_STATES for task in snapshot.tasks.values())
    head = Table.grid(padding=(0, 2))
    head.add_row(
        coloured(snapshot.state),
        ProgressBar(total=max(total, 1), completed=ended, width=30),
        f"{ended}/{total} tasks",
        duration(snapshot.started_at, snapshot.ended_at),
        f"{billed(snapshot.bytes_billed)} billed" if snapshot.bytes_billed else "",
    )
    chosen = snapshot.tasks if total <= rows else _most_telling(snapshot.tasks, int(rows))
    order = sorted(chosen, key=lambda name: (chosen[name].started_at or math.inf, name))
    table = plain_table("task", "state", "try", "took", "worker")
    seldom = {
        heading: cells
        for heading, cells in (
            ("billed", [billed(chosen[name].bytes_billed) for name in order]),
            ("cached from", [chosen[name].cached_from or "" for name in order]),
            ("given back by", [chosen[name].refused or "" for name in order]),
        )
        if any(cells)
    }
    for heading in seldom:
        table.add_column(heading)
    for name, *more in zip(order, *seldom.values(), strict=True):
        task = chosen[name]
        table.add_row(
            cell(name),
            coloured(task.state),
            str(task.try_number) if task.try_number > 1 else "",
            duration(task.started_at, task.ended_at),
            cell(task.worker),
            *map(cell, more),
        )
    title = cell(snapshot.run_id, "bold")
    if total <= rows:
        return Group(title, head, table)
    return Group(title, head, Text(counts_text(snapshot)), table)


def plain_table(first: str, *others: str) -> Table:
    """A table without lines, whose first column is never cut: it is what one copies."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True, overflow="ignore")
    for name in others:
        table.add_column(name)
    return table


def output() -> Console:
    """Where commands print tables: nothing is cut, a narrow terminal wraps the lines."""
    return Console(width=max(Console().width, WIDE))


def billed(count: int | None) -> str:
    """Bytes in the unit that they are read in; empty for none."""
    return filesize.decimal(count) if count else ""


def _most_telling(tasks: Mapping[str, TaskSnapshot], rows: int) -> dict[str, TaskSnapshot]:
    """The tasks under way, failed ones first, then those that ended last."""
    running = [name for name, task in tasks.items() if task.state in UNDER_WAY]
    failed = [name for name, task in tasks.items() if task.state == "failed"]
    ended = [name for name, task in tasks.items() if task.state == "success"]
    ended.sort(key=lambda name: tasks[name].ended_at or 0, reverse=True)
    half = rows // 2
    names = failed[: half // 2] + running[:half]
    names += ended[: rows - len(names)]
    return {name: tasks[name] for name in names}


def counts_text(snapshot: RunSnapshot) -> str:
    """The number of tasks in each state, in words."""
    counts = snapshot.counts
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts))


def coloured(state: str) -> Text:
    """A state in its colour."""
    return Text(state, COLOURS.get(state, ""))


def duration(started_at: float | None, ended_at: float | None) -> str:
    """How long something took, or takes so far; empty if it has not started."""
    if started_at is None:
        return ""
    seconds = max(0.0, (ended_at or time.time()) - started_at)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02} min"


def _now() -> str:
    return time.strftime("%H:%M:%S")
