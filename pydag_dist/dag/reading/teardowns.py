"""Checks setups and their teardowns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydag_dist.dag import limits
from pydag_dist.dag.fields import Expand, Task, TriggerRule
from pydag_dist.dag.graph import Edges, Graph, between
from pydag_dist.dag.operators import BRANCH
from pydag_dist.dag.reading.report import Report
from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.quote import quote


def check_teardowns(
    tasks: Sequence[Task | None],
    numbers: Mapping[str, int],
    dependencies: Edges | None,
    report: Report,
) -> None:
    """Each has a setup upstream of it; `dependencies` is None if they have a cycle."""
    found = _pairs(tasks, numbers, report)
    if found and dependencies is not None:
        _check_between(found, Graph(dependencies), report)


def _pairs(
    tasks: Sequence[Task | None], numbers: Mapping[str, int], report: Report
) -> list[tuple[int, str, str]]:
    """Each teardown that has a setup: its number, the setup, and itself."""
    found = []
    for number, task in enumerate(tasks):
        if not task or task.teardown_of is None:
            continue
        setup = tasks[numbers[task.teardown_of]] if task.teardown_of in numbers else None
        if setup is None:
            hint = did_you_mean(task.teardown_of, numbers)
            report.add(f"unknown task {quote(task.teardown_of)}{hint}", "teardown_of", number)
        elif problem := _teardown_problem(task, setup):
            report.add(problem, "teardown_of", number)
        else:
            found.append((number, setup.task_id, task.task_id))
    setups = {setup for _, setup, _ in found}
    for number, task in enumerate(tasks):
        # A setup runs again for the sake of others, and then has another result.
        if task and task.expand and (name := _list_of(task.expand)) in setups:
            text = f"{quote(name)} has a teardown: let another task return the list"
            report.add(text, "expand", number)
    if len(found) > limits.TEARDOWNS:
        text = f"a DAG has at most {limits.TEARDOWNS:,} teardowns, not {len(found):,}"
        report.add(text, "tasks")
        return []
    return found


def _list_of(expand: Expand) -> str:
    try:
        return expand.task
    except ValueError:  # reported elsewhere
        return ""


def _check_between(teardowns: Sequence[tuple[int, str, str]], graph: Graph, report: Report) -> None:
    """A teardown must be downstream of its setup, and waits for all tasks between the two."""
    waits = 0
    pairs = [(setup, teardown) for _, setup, teardown in teardowns]
    for (number, setup, _), found in zip(teardowns, between(graph, pairs), strict=True):
        waits += len(found or ())
        if found is None:
            text = f"must be downstream of {quote(setup)}: add it to the dependencies"
            report.add(text, "teardown_of", number)
    if waits > limits.EDGES:
        report.add(f"its teardowns wait for more than {limits.EDGES:,} tasks together", "tasks")


def _teardown_problem(task: Task, setup: Task) -> str:
    name = quote(setup.task_id)
    if setup is task:
        return "a task does not undo itself"
    if task.expand or task.operator == BRANCH:
        return f"{'an expanded task' if task.expand else 'a branch'} can't be a teardown"
    if setup.expand or setup.operator == BRANCH or setup.teardown_of is not None:
        what = "an expanded task" if setup.expand else "a branch"
        what = "a teardown" if setup.teardown_of is not None else what
        return f"{name} is {what}, which has no teardown"
    if task.trigger_rule != TriggerRule.ALL_SUCCESS:
        return "a teardown has no trigger_rule: it runs once all between has ended, however"
    return ""
