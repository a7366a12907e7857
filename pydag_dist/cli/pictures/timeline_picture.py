"""A run's timeline as a picture: when each task waited and ran, on one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydag_dist.cli.pictures import svg
from pydag_dist.cli.pictures.looks import LOOKS, known, length
from pydag_dist.cli.pictures.plan import Upstream, critical_path
from pydag_dist.engine import ENDED_TASK_STATES, RunSnapshot, TaskSnapshot

MOST_ROWS: Final = 5_000
_ROW: Final = 22
_TOP: Final = 96
_LEFT: Final = 236  # of the bars
_TRACK: Final = 700
_WIDTH: Final = 1090
_LABEL: Final = 31  # characters

Try = tuple[str, float | None, float | None]
"""The state, the start and the end of an earlier try."""


@dataclass(frozen=True)
class Plan:
    """What is known beside a run: edges, usual seconds of tasks, and their earlier tries."""

    upstream: Upstream = field(default_factory=dict)
    usual: Mapping[str, float] = field(default_factory=dict)
    tries: Mapping[str, Sequence[Try]] = field(default_factory=dict)


def timeline_picture(run: RunSnapshot, plan: Plan, now: float) -> str:
    """The tasks that began, in that order, as SVG; their usual time as a dashed frame."""
    begun = [name for name, task in run.tasks.items() if _begin(task) is not None]
    begun.sort(key=lambda name: _begin(run.tasks[name]) or 0)
    shown = begun[:MOST_ROWS]
    since = run.round_at or run.started_at or now
    until = max(run.ended_at or now, since + 1)
    scale = _Scale(since, until)
    path = critical_path(plan.upstream, run.tasks)
    told, wide = svg.legend({known(s): n for s, n in run.counts.items()}, 48)
    took = f", {length(run.took(now) or 0)}" if run.started_at else ""
    title = f"{run.run_id}: {run.state}{took}"
    left_out = len(begun) - len(shown)
    notes = ["a diamond: on the critical path, which the end hung on", "hatched: it waited"]
    notes += ["a dashed frame: its usual time"] if plan.usual else []
    notes += [f"{left_out:,} tasks that began later are left out"] if left_out else []
    notes += [] if begun else ["no task has begun"]
    parts = [
        svg.heading(title),
        told,
        f'<text class="n" x="16" y="68">{"; ".join(notes)}</text>',
        *_axis(scale, len(shown)),
        '<clipPath id="name"><path d="M16 0H232V22H16Z"/></clipPath>',
        *(
            _line(name, run.tasks[name], plan, scale, _TOP + _ROW * row, is_critical=name in path)
            for row, name in enumerate(shown)
        ),
    ]
    height = _TOP + _ROW * len(shown) + 12
    return svg.picture(max(_WIDTH, wide), height, title, parts)


def _begin(task: TaskSnapshot) -> float | None:
    return task.started_at if task.started_at is not None else task.ready_at


class _Scale:
    def __init__(self, since: float, until: float) -> None:
        self.since, self.until = since, until

    def at(self, moment: float) -> float:
        share = (moment - self.since) / (self.until - self.since)
        return _LEFT + _TRACK * min(1.0, max(0.0, share))

    def bar(self, css: str, start: float, end: float, inset: int, least: float = 2) -> str:
        x, wide = self.at(start), max(least, self.at(end) - self.at(start))
        x = min(x, _LEFT + _TRACK - least)
        return (
            f'<rect class="{css}" x="{svg.num(x)}" y="{inset}" width="{svg.num(wide)}" '
            f'height="{_ROW - 2 * inset}" rx="2"/>'
        )


def _axis(scale: _Scale, rows: int) -> Iterator[str]:
    whole = scale.until - scale.since
    for part in (0, 0.25, 0.5, 0.75, 1):
        x = svg.num(_LEFT + _TRACK * part)
        words = "0" if part == 0 else f"+{length(whole * part)}"
        yield (
            f'<path class="l" d="M{x} {_TOP - 16}V{_TOP + _ROW * rows}"/>'
            f'<text class="n" x="{x}" dx="4" y="{_TOP - 8}">{words}</text>'
        )


def _line(
    name: str, task: TaskSnapshot, plan: Plan, scale: _Scale, y: float, *, is_critical: bool
) -> str:
    state, end = known(task.state), scale.until
    if task.state in ENDED_TASK_STATES and task.ended_at is not None:
        end = task.ended_at
    waited = task.ready_at if task.ready_at is not None else task.queued_at
    usual = plan.usual.get(name)
    took = None if task.started_at is None else max(0.0, end - task.started_at)
    said = [LOOKS[state].says]
    said += [f"took {length(took)}"] if took is not None else []
    said += [f"usually {length(usual)}"] if usual is not None else []
    said += ["on the critical path"] if is_critical else []
    said += [f"try {task.try_number}"] if task.try_number > 1 else []
    parts = [f'<g transform="translate(0 {svg.num(y)})">']
    parts += [f"<title>{svg.text(name)}: {', '.join(said)}</title>"]
    if is_critical:
        parts.append('<path class="mark" d="M18 11 22 7 26 11 22 15Z"/>')
    css = ' class="bold"' if is_critical else ""
    label = svg.text(svg.cut(name, _LABEL))
    parts.append(f'<text{css} clip-path="url(#name)" x="30" y="15">{label}</text>')
    for tried, start, ended in plan.tries.get(name, ()):
        if start is not None and ended is not None and ended >= scale.since:
            parts.append(scale.bar(f"f-{known(tried)}", start, ended, 7))
    if waited is not None:
        parts.append(scale.bar("waited", waited, task.started_at or end, 4, 0))
    if usual is not None and task.started_at is not None:
        parts.append(scale.bar("usual", task.started_at, task.started_at + usual, 1))
    if task.started_at is not None:
        parts.append(scale.bar(f"f-{state}", task.started_at, end, 4))
    parts.append(svg.badge(state, _LEFT + _TRACK + 8, 3))
    numbers = "" if took is None else length(took)
    numbers += f" · try {task.try_number}" if task.try_number > 1 else ""
    parts.append(f'<text class="n" x="{_LEFT + _TRACK + 30}" y="15">{numbers}</text></g>')
    return "".join(parts)
