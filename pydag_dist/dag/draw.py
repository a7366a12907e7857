"""A DAG as a drawing: text for a terminal, and Mermaid for documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydag_dist.dag.model import Dag

_SHOWN: Final = 8  # upstream tasks on one line
_WIDEST: Final = 48  # columns of an id that others are aligned with


def text(dag: Dag) -> str:
    """The tasks level by level: each with its operator and, after the arrow, what it waits for.

    All tasks of a level can run at the same time; a task waits for those of levels above only.
    """
    levels = dag.levels()
    edges = sum(len(task.dependencies) for task in dag.tasks.values())
    counts = [_count(len(dag.tasks), "task"), _count(edges, "edge"), _count(len(levels), "level")]
    lines = [f"{dag.dag_id}: {', '.join(counts)}"]
    id_width = min(max(map(len, dag.tasks)), _WIDEST)
    operator_width = max(len(task.operator) for task in dag.tasks.values())
    for number, level in enumerate(levels, start=1):
        lines.append(f"level {number}")
        for task_id in level:
            task = dag.tasks[task_id]
            line = f"  {task_id:{id_width}}  {task.operator:{operator_width}}"
            lines.append((line + _arrow(task.dependencies)).rstrip())
    return "\n".join(lines)


def mermaid(dag: Dag) -> str:
    """A Mermaid flowchart, which GitHub and many documentation tools draw."""
    names = {task_id: f"t{number}" for number, task_id in enumerate(dag.tasks)}
    lines = ["flowchart LR"]
    lines += [f'    {name}["{task_id}"]' for task_id, name in names.items()]
    lines += [
        f"    {names[upstream]} --> {names[task_id]}"
        for task_id, task in dag.tasks.items()
        for upstream in task.dependencies
    ]
    return "\n".join(lines)


def _arrow(upstream: Sequence[str]) -> str:
    if not upstream:
        return ""
    more = len(upstream) - _SHOWN
    shown = [*upstream[:_SHOWN], f"and {more:,} more"] if more > 1 else upstream
    return f"  <- {', '.join(shown)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
