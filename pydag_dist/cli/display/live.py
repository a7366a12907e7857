"""A run on the screen of whoever watches it: what fits, what matters most first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from pydag_dist.cli.display.run_status import Tasks, counts_text, head_of, tasks_table
from pydag_dist.cli.display.states import DONE, FAILED, WAITING
from pydag_dist.cli.display.tables import shortened
from pydag_dist.engine import RunSnapshot
from pydag_dist.visible import one_line

SMALL: Final = 16  # lines of a screen that has no room for long texts
NOTE_LINES: Final = 3

Outlook = tuple[float, float | None]  # what time it is, and when the run may end; epoch seconds


def live_screen(
    run: RunSnapshot, outlook: Outlook, width: int, height: int, note: str = ""
) -> RenderableType:
    """The run on a screen of that size: failed, running and waiting tasks first.

    What is done is folded into one line, and what there is no room for is counted. The `note` is
    shown below.
    """
    (now, end), small = outlook, height < SMALL
    title = Text(shortened(run.run_id, width) if small else run.run_id, "bold", overflow="fold")
    parts: list[RenderableType] = [title, head_of(run, now, width, end)]
    done = {name: task for name, task in run.tasks.items() if task.state in DONE}
    if done:
        parts.append(Text(f"done: {counts_text(done.values())}", no_wrap=True, overflow="ellipsis"))
    notes = _note_lines(note, width, 1 if small else NOTE_LINES)
    # One line is the cursor's, one the table's head.
    taken = math.ceil(len(title) / width) + len(parts) - 1 + len(notes) + 2
    names, hidden = _chosen(run.tasks, max(1, height - taken))
    if names:
        parts.append(tasks_table({name: run.tasks[name] for name in names}, now, width))
    if hidden:
        more = counts_text(run.tasks[name] for name in hidden)
        parts.append(Text(f"not shown: {more}", no_wrap=True, overflow="ellipsis"))
    return Group(*parts, *notes)


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


def _note_lines(note: str, width: int, most: int) -> Sequence[Text]:
    lines = [part for line in note.splitlines() for part in wrap(one_line(line), max(width, 20))]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 2]} …"]
    return [Text(line, "yellow", no_wrap=True, overflow="ellipsis") for line in lines]
