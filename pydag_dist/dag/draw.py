"""A DAG as a drawing: text for a terminal, and Mermaid for documents."""

from __future__ import annotations

from pydag_dist.dag.model import Dag


def text(dag: Dag) -> str:
    """The tasks level by level, each with its operator and what it waits for."""
    levels = dag.levels()
    edges = sum(len(task.dependencies) for task in dag.tasks.values())
    lines = [f"{dag.dag_id}: {len(dag.tasks)} tasks, {edges} edges, {len(levels)} levels"]
    width = max(map(len, dag.tasks))
    for number, level in enumerate(levels, start=1):
        lines += ["", f"level {number}"]
        for task_id in level:
            task = dag.tasks[task_id]
            waits = f"  <- {', '.join(task.dependencies)}" if task.dependencies else ""
            lines.append(f"  {task_id:{width}}  {task.operator}{waits}")
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
