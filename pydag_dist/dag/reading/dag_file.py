"""From a file's text to checked fields and tasks, with every problem on the way."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pydag_dist.dag import limits
from pydag_dist.dag.fields import DagFields, Task
from pydag_dist.dag.reading.chains import check_chains
from pydag_dist.dag.reading.checks import check_edges, check_task
from pydag_dist.dag.reading.references import TemplateChecker, check_lists
from pydag_dist.dag.reading.report import Report
from pydag_dist.dag.reading.schedules import check_schedule
from pydag_dist.dag.text.messages import field_names, message
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import Loaded, NotJson, Path, dotted, faults

_FIELDS: Final = TypeAdapter(DagFields)
_TASKS: Final = TypeAdapter(list[Task])
_FIELD_NAMES: Final = (*field_names(DagFields), "tasks")
_TASK_NAMES: Final = tuple(field_names(Task))


def read(data: Any, source: str) -> tuple[DagFields, list[Task]]:
    """The fields and tasks of a DAG given as text, bytes or dict; raises `InvalidDag`."""
    report = Report(source)
    if isinstance(data, str | bytes | bytearray) and len(data) > limits.DAG_BYTES:
        report.stop(too_long(len(data)))
    content = _content(data, source, report)
    raw_tasks = _raw_tasks(content, report)
    if not isinstance(data, str | bytes | bytearray) or len(data) > limits.PARAMS_BYTES:
        _check_params_sizes(content, raw_tasks, report)
    fields = _fields({k: v for k, v in content.items() if k != "tasks"}, report)
    tasks = _tasks(raw_tasks, report, fields.retries if fields else 0)
    check_edges(tasks, report)
    check_chains(fields.dag_id if fields else "", tasks, report)
    check_lists(tasks, fields.params if fields else {}, report)
    report.raise_if_any()
    assert fields is not None  # noqa: S101  else there was a problem
    return fields, [task for task in tasks if task]


def read_task(data: dict[str, Any], source: str, retries: int) -> Task:
    """One task, checked but for its place in the DAG; `retries` is the DAG's default."""
    report = Report(source)
    report.name_tasks([data])
    for path, text in faults(data):
        report.add(text, dotted(path), 0)
    _check_params_sizes({}, [data], report)
    [task] = _tasks([data], report, retries)
    assert task is not None  # noqa: S101  it is an object
    TemplateChecker(report).check(task, 0)
    report.raise_if_any()
    return task


def _instead(source: str) -> str:
    """What to do with a file that is not JSON, as its name says, too."""
    if source.endswith((".yaml", ".yml")):
        return "; DAG files are JSON"
    if source.endswith(".py"):
        return (
            "; DAG files are JSON: a program submits the DAG that it builds by Client, so run it "
            "instead, and a DAG of Airflow is read by `pydag convert`"
        )
    return ""


def _content(data: Any, source: str, report: Report) -> dict[str, Any]:
    """The object that holds the DAG's fields: pyDag wraps it in one with the key "dag"."""
    if isinstance(data, bytes | bytearray):
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            report.stop(f"not UTF-8: byte {error.start} is {data[error.start]:#04x}")
    if isinstance(data, str):
        try:
            loaded = Loaded(data.removeprefix("\ufeff"))
        except NotJson as error:
            report.stop(f"{error}{_instead(source)}")
        data, wrong = loaded.value, list(loaded.faults())
    else:
        wrong = list(faults(data))
    if not isinstance(data, dict):
        report.stop(f"must be an object, not {quote(data)}")
    content, wrapped = data, "dag" in data and "tasks" not in data
    if wrapped:
        for name in data:
            if name != "dag":
                report.add('unknown field beside "dag"', str(name))
        content = data["dag"]
        if not isinstance(content, dict):
            report.stop(f"must be an object, not {quote(content)}", "dag")
    _add_faults(wrong, wrapped, content, report)
    return content


def too_long(size: int) -> str:
    """The problem of a DAG of so many bytes."""
    return (
        f"a DAG has at most {limits.DAG_BYTES:,} bytes of JSON, not {size:,}: "
        "keep data in files or tables, and name them"
    )


def params_problem(params: Any) -> str | None:
    """What is wrong with the size of params, if anything is."""
    try:
        size = len(json.dumps(params))
    except (TypeError, ValueError, RecursionError):
        return None  # not JSON, which is reported elsewhere
    if size <= limits.PARAMS_BYTES:
        return None
    return (
        f"must have at most {limits.PARAMS_BYTES:,} bytes as JSON, not {size:,}: "
        "keep data in a file or a table, and name it"
    )


def _check_params_sizes(content: dict[str, Any], raw_tasks: list[Any], report: Report) -> None:
    if problem := params_problem(content.get("params")):
        report.add(problem, "params")
    for number, task in enumerate(raw_tasks):
        if isinstance(task, dict) and (problem := params_problem(task.get("params"))):
            report.add(problem, "params", number)


def _add_faults(
    wrong: list[tuple[Path, str]], wrapped: bool, content: dict[str, Any], report: Report
) -> None:
    if not wrong:
        return
    if isinstance(tasks := content.get("tasks"), list):
        report.name_tasks(tasks)
    for full, text in wrong:
        path = full[1:] if wrapped and full[:1] == ("dag",) else full
        match path:
            case ("tasks", int(number), *rest):
                report.add(text, dotted(tuple(rest)), number)
            case _:
                report.add(text, dotted(path))


def _raw_tasks(content: dict[str, Any], report: Report) -> list[Any]:
    tasks = content.get("tasks")
    if "tasks" not in content:
        report.add("is missing", "tasks")
    elif not isinstance(tasks, list):
        report.add(f"must be a list, not {quote(tasks)}", "tasks")
    elif not tasks:
        report.add("is empty: a DAG has at least one task", "tasks")
    elif len(tasks) > limits.TASKS:
        report.add(f"a DAG has at most {limits.TASKS:,} tasks, not {len(tasks):,}", "tasks")
    else:
        report.name_tasks(tasks)
        return tasks
    return []


def _fields(raw: dict[str, Any], report: Report) -> DagFields | None:
    """The DAG's own fields; None if one of them is bad, and then the others are checked, too."""
    bad: set[Any] = set()
    try:
        fields = _FIELDS.validate_python(raw)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            bad.update(found["loc"][:1])
            report.add(message(found, _FIELD_NAMES), dotted(found["loc"]))
        good = {name: value for name, value in raw.items() if name not in bad}
        fields = _FIELDS.validate_python({"dag_id": "unknown"} | good)
    check_schedule(fields, bad, report)
    return None if bad else fields


def _tasks(raw: list[Any], report: Report, retries: int) -> list[Task | None]:
    """The tasks; one with bad fields without these, None for what isn't an object."""
    bad: dict[int, set[Any]] = {}
    try:
        tasks: list[Task | None] = list(_TASKS.validate_python(raw))
    except ValidationError as error:
        for found in error.errors(include_url=False):
            number, *path = found["loc"]
            bad.setdefault(int(number), set()).update(path[:1])
            report.add(message(found, _TASK_NAMES), dotted(tuple(path)), int(number))
        tasks = [_salvaged(task, bad.get(number, set())) for number, task in enumerate(raw)]
    for number, task in enumerate(tasks):
        if task:
            check_task(task, number, bad.get(number, frozenset()), report)
            if retries and "retries" not in raw[number]:
                tasks[number] = dataclasses.replace(task, retries=retries)
    return tasks


def _salvaged(raw: Any, bad: set[Any]) -> Task | None:
    """A task without its bad fields, so that the others are checked all the same."""
    if not isinstance(raw, dict):
        return None
    good = {name: value for name, value in raw.items() if name not in bad}
    given = raw.get("dependencies")
    if "dependencies" in bad and isinstance(given, list):
        good["dependencies"] = [value for value in given if isinstance(value, str)]
    task = _TASKS.validate_python([{"task_id": "unknown"} | good])[0]
    if "task_id" not in bad:
        return task
    # Other tasks may depend on a malformed id, and no other can be "".
    given = raw.get("task_id")
    return dataclasses.replace(task, task_id=given if isinstance(given, str) else "")
