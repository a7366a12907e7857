"""A DAG as a drawing: text for a terminal, and Mermaid for documents."""

from __future__ import annotations

from typing import Final

from pydag_dist.dag.fields import Expand, Task, TriggerRule
from pydag_dist.dag.model import Dag
from pydag_dist.dag.operators import BRANCH

_SHOWN: Final = 8  # upstream tasks on one line
_WIDEST: Final = 48  # columns of an id that others are aligned with


def text(dag: Dag) -> str:
    """The tasks level by level: each with its operator and, after the arrow, what it waits for.

    All tasks of a level can run at the same time; a task waits only for tasks of the levels above.
    Marks show branches (at the tasks that wait for them), trigger rules other than the default,
    expanded tasks and teardowns.
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
            lines.append((line + _arrow(dag, task)).rstrip())
    return "\n".join(lines)


def mermaid(dag: Dag) -> str:
    """A Mermaid flowchart, which GitHub and many documentation tools draw.

    A branch is a rhombus, an expanded task has a double frame; a trigger rule that is not the
    default stands below its task's id.
    """
    names = {task_id: f"t{number}" for number, task_id in enumerate(dag.tasks)}
    lines = ["flowchart LR"]
    lines += [f"    {name}{_box(dag.tasks[task_id])}" for task_id, name in names.items()]
    lines += [
        f"    {names[upstream]} --> {names[task_id]}"
        for task_id, task in dag.tasks.items()
        for upstream in task.dependencies
    ]
    return "\n".join(lines)


def _box(task: Task) -> str:
    rule = _rule(task)
    label = f"{task.task_id}<br>{rule}" if rule else task.task_id
    if task.teardown_of is not None:
        label += f"<br>teardown of {task.teardown_of}"
    if task.expand:
        return f'[["{label}"]]'
    return f'{{"{label}"}}' if task.operator == BRANCH else f'["{label}"]'


def _arrow(dag: Dag, task: Task) -> str:
    if not task.dependencies:
        return ""
    more = len(task.dependencies) - _SHOWN
    shown = task.dependencies[:_SHOWN] if more > 1 else task.dependencies
    names = [f"{t} (branch)" if dag.tasks[t].operator == BRANCH else t for t in shown]
    if more > 1:
        names.append(f"and {more:,} more")
    marks = [f"each of {_list(task.expand)}"] if task.expand else []
    marks += [rule] if (rule := _rule(task)) else []
    marks += [f"teardown of {task.teardown_of}"] if task.teardown_of is not None else []
    return f"  <- {', '.join(names)}" + (f"  [{', '.join(marks)}]" if marks else "")


def _list(expand: Expand) -> str:
    place = expand.place
    if place is None:
        return _count(len(expand.over), "item")
    return place.name if place.root == "tasks" else f"params.{place.name}"


def _rule(task: Task) -> str:
    """The trigger rule, if it has an effect and is not the default."""
    default = task.trigger_rule is TriggerRule.ALL_SUCCESS or not task.dependencies
    return "" if default else task.trigger_rule.value


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
