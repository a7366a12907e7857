"""Checks where tasks name other tasks: templates, expansion, `then` and `else`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from pydag_dist.dag import limits
from pydag_dist.dag.expansion import lengths
from pydag_dist.dag.fields import Task
from pydag_dist.dag.graph import Graph, cycles
from pydag_dist.dag.operators import BRANCH, may_have_secrets
from pydag_dist.dag.reading.report import Report
from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import MARK, templates
from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import dotted

MAX_TASK_PARTS: Final = 20_000  # of the templates of a task: what a worker reads in half a second
MAX_PARTS: Final = 500_000  # of the templates of a DAG: what a coordinator reads in ten seconds

_LONGEST_CHILD: Final = len(f".{limits.CHILDREN - 1}")
_COMPARED: Final = 50_000  # names, in search of those that unknown ones could mean: a second
_SHOWN: Final = "since what they tell a service is shown there, and kept"
_BITS: Final = 2048  # tasks searched for at once: 256 bytes for each task of the DAG

Graphlike = Mapping[str, Sequence[str]]
Reference = tuple[int, str, str]  # number of the task, field, the task that it names


class TemplateChecker:
    """Checks the templates of a DAG. After too many it stops, since reading them takes time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._left = MAX_PARTS

    def check(self, task: Task, number: int) -> list[Reference]:
        """The syntax and the names of a task's templates; whose results they name."""
        when = task.params.get("when", "") if task.operator == BRANCH else ""
        if not isinstance(when, str) or MARK in when:
            message = (
                "must be an expression, such as tasks.count.result.rows > 0, and without {{ }}"
            )
            self._report.add(message, "params.when", number)
            return []
        named: list[Reference] = []
        parts = 0
        for path, text in templates(task.params_to_render):
            if parts > MAX_TASK_PARTS or self._left < 0:
                most = f"{MAX_TASK_PARTS:,} in a task and {MAX_PARTS:,} in a DAG"
                self._report.add(f"too many parts of templates: at most {most}", "params", number)
                break
            size = self._check_one(task, number, dotted(("params", *path)), text, named)
            parts += size
            self._left -= size
        return named

    def _check_one(
        self, task: Task, number: int, field: str, text: str, named: list[Reference]
    ) -> int:
        try:
            found = parsed(text)
        except ValueError as error:
            self._report.add(f"template {error}", field, number)
            return len(text)  # it was read, too
        named += [(number, field, name) for name in sorted(found.tasks)]
        if found.secrets and not may_have_secrets(task.operator):
            message = (
                f"template {quote(text)}: tasks of {task.operator} can't have secrets, {_SHOWN}"
            )
            self._report.add(message, field, number)
        if found.secrets and task.cache:
            message = f"template {quote(text)}: a task with cache can't have secrets"
            self._report.add(message, field, number)
        if not task.expand:
            for name in sorted(found.names & {"item", "index"}):
                message = f"template {quote(text)}: only a task with expand has {name}"
                self._report.add(message, field, number)
        return found.size


def check_expand(task: Task, number: int, report: Report) -> None:
    """Check a task's `expand`, apart from the list that it names."""
    if not task.expand:
        return
    if task.operator == BRANCH:
        report.add("a branch can't be expanded", "expand", number)
    if len(task.task_id) > limits.ID - _LONGEST_CHILD:
        most = limits.ID - _LONGEST_CHILD
        report.add(f"must have at most {most} characters with expand", "task_id", number)


def check_references(
    tasks: Sequence[Task | None],
    numbers: Mapping[str, int],
    dependencies: Graphlike,
    report: Report,
) -> None:
    """Each task that is named must exist, and stand where it has to stand in the DAG."""
    _check_results(tasks, numbers, dependencies, report)
    _check_expansions(tasks, numbers, report)
    _check_followed(tasks, dependencies, report)


def _check_results(
    tasks: Sequence[Task | None],
    numbers: Mapping[str, int],
    dependencies: Graphlike,
    report: Report,
) -> None:
    unknown: list[Reference] = []
    farther: list[Reference] = []
    checker = TemplateChecker(report)
    for number, task in enumerate(tasks):
        named = checker.check(task, number) if task else []
        if not named:
            continue
        assert task is not None  # noqa: S101  see above
        direct = set(dependencies[task.task_id])
        for reference in named:
            _, field, name = reference
            if name not in numbers:
                unknown.append(reference)
            elif name == task.task_id:
                report.add("a task can't have its own result", field, number)
            elif name not in direct:
                farther.append(reference)
    for count, (number, field, name) in enumerate(unknown, start=1):
        hint = did_you_mean(name, numbers) if count * len(numbers) <= _COMPARED else ""
        report.add(f"unknown task {quote(name)}{hint}", field, number)
    if farther and not cycles(dependencies):
        ids = {number: task.task_id for number, task in enumerate(tasks) if task}
        for number, field, name in _not_upstream(farther, ids, Graph(dependencies)):
            message = f"the task {quote(name)} is not upstream: add it to the dependencies"
            report.add(message, field, number)


def _not_upstream(
    references: Sequence[Reference], ids: Mapping[int, str], graph: Graph
) -> Iterator[Reference]:
    names = iter(dict.fromkeys(name for _, _, name in references))
    while batch := list(islice(names, _BITS)):
        bits = {name: 1 << place for place, name in enumerate(batch)}
        above: dict[str, int] = {}
        for task in graph.order:
            found = 0
            for upstream in graph.dependencies[task]:
                found |= above[upstream] | bits.get(upstream, 0)
            above[task] = found
        for reference in references:
            number, _, name = reference
            if name in bits and not above[ids[number]] & bits[name]:
                yield reference


def _check_expansions(
    tasks: Sequence[Task | None], numbers: Mapping[str, int], report: Report
) -> None:
    expanded = {task.task_id: number for number, task in enumerate(tasks) if task and task.expand}
    if not expanded:
        return
    for number in expanded.values():
        task = tasks[number]
        assert task is not None  # noqa: S101  see above
        assert task.expand is not None  # noqa: S101
        try:
            name = task.expand.task
        except ValueError:
            continue  # reported elsewhere
        if not name:
            continue
        if name not in numbers:
            message = f"unknown task {quote(name)}{did_you_mean(name, task.dependencies)}"
            report.add(message, "expand.over", number)
        elif name not in task.dependencies:
            message = f"the task {quote(name)} must be among the dependencies"
            report.add(message, "expand.over", number)
        elif name in expanded:
            message = (
                f"the task {quote(name)} is expanded itself: "
                "let a task between them make one list of its results"
            )
            report.add(message, "expand.over", number)
    for task_id, number in numbers.items():
        parent, _, last = task_id.rpartition(".")
        if parent in expanded and last.isdecimal():
            message = f"is what a child of the expanded task {quote(parent)} would be called"
            report.add(message, "task_id", number)


def _check_followed(tasks: Sequence[Task | None], dependencies: Graphlike, report: Report) -> None:
    downstream: dict[str, set[str]] = {
        task.task_id: set()
        for task in tasks
        if task and task.operator == BRANCH and "when" in task.params
    }
    if not downstream:
        return
    for task_id, upstream in dependencies.items():
        for name in upstream:
            if name in downstream:
                downstream[name].add(task_id)
    for number, task in enumerate(tasks):
        if not task or task.task_id not in downstream:
            continue
        known = downstream[task.task_id]
        for field in ("then", "else"):
            ids = task.params.get(field, [])
            for name in [ids] if isinstance(ids, str) else ids if isinstance(ids, list) else ():
                if isinstance(name, str) and name not in known and MARK not in name:
                    message = (
                        f"the task {quote(name)} is not directly downstream"
                        f"{did_you_mean(name, known)}: a branch chooses among those that are"
                    )
                    report.add(message, f"params.{field}", number)


def check_lists(tasks: Sequence[Task | None], params: Mapping[str, Any], report: Report) -> None:
    """Lists of a file; `params` are the defaults of its runs."""
    for number, text in lengths(tasks, params, complete=False)[1]:
        report.add(text, "expand.over", number)
