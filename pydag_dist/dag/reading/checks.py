"""Checks what types can't say: operators, params, delays, dependencies, branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pydag_dist.dag import limits
from pydag_dist.dag.fields import CACHE_SECONDS, Task
from pydag_dist.dag.graph import cycles
from pydag_dist.dag.operators import (
    BRANCH,
    CACHED,
    CREATE_CLUSTER,
    SCRIPTS,
    USE_CLUSTERS,
    may_be_cached,
    operator_names,
    params_model,
)
from pydag_dist.dag.reading.references import check_expand, check_references
from pydag_dist.dag.reading.report import Report
from pydag_dist.dag.reading.teardowns import check_teardowns
from pydag_dist.dag.templates.texts import MARK, is_templated
from pydag_dist.dag.text.messages import did_you_mean, field_names, message
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import dotted

_COMPARED: Final = 50_000  # names, in search of those that unknown ones could mean: a second
_ALIKE: Final = 0.9  # dataproc.delete_cluster doesn't mean dataproc.create_cluster
_SHOWN: Final = 20  # tasks of a cycle


def check_task(task: Task, number: int, bad: Collection[str], report: Report) -> None:
    """Check a task apart from its place in the DAG; `bad` fields have reported problems."""
    _check_operator(task, number, bad, report)
    if "params" not in bad:
        _check_params(task, number, report)
    if "expand" not in bad:
        check_expand(task, number, report)
    if task.retry_backoff and not {"retry_delay", "max_retry_delay"}.intersection(bad):
        _check_delays(task, number, report)
    _check_cache(task, number, bad, report)


def _check_operator(task: Task, number: int, bad: Collection[str], report: Report) -> None:
    if task.script:
        if task.operator != f"script.{task.script.engine}":
            report.add("a task has an operator or a script, not both", "operator", number)
    elif task.operator in SCRIPTS:
        report.add('a script is named by the field "script"', "operator", number)
    elif not task.operator:
        if "operator" not in bad and "script" not in bad:
            report.add('is missing (or "script")', "operator", number)
    elif task.operator not in operator_names():
        known = operator_names()
        hint = did_you_mean(task.operator, known, _ALIKE) or f"; there are {', '.join(known)}"
        report.add(f"unknown operator {quote(task.operator)}{hint}", "operator", number)


def _check_params(task: Task, number: int, report: Report) -> None:
    model = params_model(task.operator)
    if model is None:
        return
    try:
        model.model_validate(task.params)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            if not _is_for_the_worker(found):
                path = dotted(("params", *(part for part in found["loc"] if part != "[key]")))
                report.add(message(found, field_names(model)), path, number)
    for name in task.params if task.script else ():
        if name.startswith("**") and not _is_reference(name):
            report.add('a connection is named "**GROUP_key"', dotted(("params", name)), number)


def _is_for_the_worker(found: ErrorDetails) -> bool:
    """Whether only the worker, who renders the value, can say if it is right."""
    about_value = found["loc"] and found["type"] not in {"missing", "extra_forbidden"}
    return bool(about_value) and is_templated(found["input"])


def _check_delays(task: Task, number: int, report: Report) -> None:
    least, given = task.retry_delay, task.max_retry_delay
    if given < least:
        text = f"must be at least the retry_delay, {least:,.12g}, not {given:,.12g}"
        report.add(text, "max_retry_delay", number)


def _check_cache(task: Task, number: int, bad: Collection[str], report: Report) -> None:
    if task.cache and not may_be_cached(task.operator):
        known = ", ".join(sorted(name.replace("script.bq", "bq scripts") for name in CACHED))
        report.add(f"tasks of {task.operator} can't be cached, only {known}", "cache", number)
    if task.cache_seconds != CACHE_SECONDS and not task.cache and "cache" not in bad:
        report.add('is for a task with "cache"', "cache_seconds", number)


def _is_reference(name: str) -> bool:
    group, _, key = name.removeprefix("**").partition("_")
    return bool(group and key)


def check_edges(tasks: Sequence[Task | None], report: Report) -> None:
    """Check ids and dependencies; `tasks` has None where the file has no object."""
    numbers = _ids(tasks, report)
    edges = sum(len(task.dependencies) for task in tasks if task)
    if edges > limits.EDGES:
        report.add(f"a DAG has at most {limits.EDGES:,} dependencies, not {edges:,}", "tasks")
        return
    _check_queues(tasks, report)
    unknown: list[tuple[int, str]] = []
    graph: dict[str, list[str]] = {}
    for number, task in enumerate(tasks):
        if not task:
            continue
        known = graph.setdefault(task.task_id, [])
        for dependency in dict.fromkeys(task.dependencies):
            if dependency == task.task_id:
                report.add("the task depends on itself", "dependencies", number)
            elif dependency in numbers:
                known.append(dependency)
            else:
                unknown.append((number, dependency))
        if len(set(task.dependencies)) != len(task.dependencies):
            _check_repeated(task, number, report)
    for count, (number, name) in enumerate(unknown, start=1):
        hint = did_you_mean(name, numbers) if count * len(numbers) <= _COMPARED else ""
        report.add(f"unknown task {quote(name)}{hint}", "dependencies", number)
    knots = cycles(graph)
    for cycle in knots:
        report.add(_cycle(cycle), "dependencies", numbers[cycle[0]])
    check_teardowns(tasks, numbers, None if knots else graph, report)
    _check_branches(tasks, graph, report)
    _check_clusters(tasks, report)
    check_references(tasks, numbers, graph, report)


def _check_queues(tasks: Sequence[Task | None], report: Report) -> None:
    queues = {task.queue for task in tasks if task}
    if len(queues) > limits.QUEUES:
        report.add(f"a DAG has at most {limits.QUEUES} queues, not {len(queues):,}", "tasks")


def _check_branches(
    tasks: Sequence[Task | None], graph: Mapping[str, Sequence[str]], report: Report
) -> None:
    upstream = {name for dependencies in graph.values() for name in dependencies}
    for number, task in enumerate(tasks):
        if task and task.operator == BRANCH and task.task_id not in upstream:
            report.add("a branch needs downstream tasks to choose from", "operator", number)


def _check_clusters(tasks: Sequence[Task | None], report: Report) -> None:
    """A task that names a cluster of this DAG names the same region and project, too.

    Otherwise a deletion would look in the wrong region, find no cluster and succeed, and the
    cluster would go on running.
    """
    made: dict[str, dict[tuple[str, str], str]] = {}
    for task in tasks:
        if task and task.operator == CREATE_CLUSTER and (place := _cluster_of(task)):
            made.setdefault(place[0], {})[place[1:]] = task.task_id
    for number, task in enumerate(tasks):
        if not task or task.operator not in USE_CLUSTERS or not (place := _cluster_of(task)):
            continue
        places = made.get(place[0], {})
        if places and place[1:] not in places:
            (region, project), maker = next(iter(places.items()))
            field, here, there = "region", place[1], region
            if here == there:
                field, here, there = "project", place[2] or "the connection's", project
            report.add(
                f"task {quote(maker)} makes cluster {quote(place[0])} in {field} "
                f"{there or 'of its connection'}, and here it is {here}",
                f"params.{field}",
                number,
            )


def _cluster_of(task: Task) -> tuple[str, str, str] | None:
    """Name, region and project of its cluster; None unless the file says which."""
    params = task.params if isinstance(task.params, dict) else {}
    names = ("cluster_name", "region", "project")
    name, region, project = (params.get(field) or "" for field in names)
    place = (name, region, project)
    is_known = all(isinstance(value, str) and MARK not in value for value in place)
    return place if is_known and name and region and not task.expand else None


def _ids(tasks: Sequence[Task | None], report: Report) -> dict[str, int]:
    """The number of each task by its id."""
    numbers: dict[str, int] = {}
    for number, task in enumerate(tasks):
        if task and task.task_id:
            first = numbers.setdefault(task.task_id, number)
            if first != number:
                report.add(f"is the id of tasks[{first}] and tasks[{number}]", "task_id", number)
    return numbers


def _check_repeated(task: Task, number: int, report: Report) -> None:
    for dependency, times in Counter(task.dependencies).items():
        if times > 1:
            report.add(f"{quote(dependency)} is there {times} times", "dependencies", number)


def _cycle(cycle: list[str]) -> str:
    names = [quote(task) for task in cycle]
    if len(names) > _SHOWN:
        half = _SHOWN // 2
        names[half:-half] = [f"({len(names) - 2 * half:,} more)"]
    return f"a cycle: {' -> '.join([*names, names[0]])}"
