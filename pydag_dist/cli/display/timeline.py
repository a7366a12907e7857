"""A run's timeline as text: a bar for each task, on one scale."""

from __future__ import annotations

from pydag_dist.cli.display.tables import duration
from pydag_dist.engine import RunSnapshot, TaskSnapshot

WAITING, RUNNING = "·", "█"


def timeline(run: RunSnapshot, now: float, width: int = 60) -> list[str]:
    """One line per task that started, by start: its bar, how long it took, its worker.

    Dots are the time in which the task was ready and waited for a slot.
    """
    started = {name: task for name, task in run.tasks.items() if task.started_at is not None}
    if not started or run.started_at is None:
        return []
    ends = [task.ended_at for task in started.values() if task.ended_at is not None]
    begin = run.started_at
    scale = width / max(max(ends, default=begin) - begin, 1e-6)
    longest = max(map(len, started))
    order = sorted(started, key=lambda name: (started[name].started_at, name))
    return [
        f"{name:<{longest}} |{_bar(task, begin, scale, width)}| "
        f"{duration(task.started_at, task.ended_at or now):>8}  {task.worker}"
        for name in order
        for task in [started[name]]
    ]


def _bar(task: TaskSnapshot, begin: float, scale: float, width: int) -> str:
    def column(at: float | None) -> int:
        return width if at is None else min(width, max(0, round((at - begin) * scale)))

    start = min(column(task.started_at), width - 1)
    ready = min(column(task.ready_at or task.started_at), start)
    end = max(column(task.ended_at), start + 1)
    return (" " * ready + WAITING * (start - ready) + RUNNING * (end - start)).ljust(width)
