"""What one state of a DAG has otherwise than another: fields, tasks, edges, and the text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydag_dist.dag.editing.edits import content_of
from pydag_dist.dag.editing.merging import merged
from pydag_dist.dag.fields import Task
from pydag_dist.dag.model import Dag
from pydag_dist.dag.text.strict_json import Loaded, NotJson
from pydag_dist.errors import PydagError

What = Literal["added", "removed", "changed"]
Tasks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class TaskDifference:
    """A task that is new, gone, or changed in these fields."""

    task: str
    what: What
    fields: list[str]


@dataclass(frozen=True)
class EdgeDifference:
    """An edge that is new or gone."""

    upstream: str
    task: str
    what: What


@dataclass(frozen=True)
class Differences:
    """The DAG's fields that differ, then tasks and edges: new ones, those gone, changed ones."""

    fields: list[str]
    tasks: list[TaskDifference]
    edges: list[EdgeDifference]


def differences(before: str, after: str) -> Differences:
    """What the second text has otherwise; of what is no task with an id nothing is told.

    Raises `PydagError` if one of the texts is no DAG's.
    """
    old, new = _content(before), _content(after)
    was, now = _tasks(old), _tasks(new)
    changed = [
        TaskDifference(name, "changed", _differing(was[name], now[name]))
        for name in now
        if name in was and was[name] != now[name]
    ]
    edges_before, edges_now = _edges(was), _edges(now)
    return Differences(
        [name for name in _differing(old, new) if name != "tasks"],
        [
            *(TaskDifference(name, "added", []) for name in now if name not in was),
            *(TaskDifference(name, "removed", []) for name in was if name not in now),
            *changed,
        ],
        [
            *(EdgeDifference(*e, "added") for e in edges_now if e not in edges_before),
            *(EdgeDifference(*e, "removed") for e in edges_before if e not in edges_now),
        ],
    )


def as_it_was(text: str, was: Dag) -> str:
    """The text of a file as it would be if its DAG were that one, in the file's own style.

    What means the same stays as the file has it. Raises `InvalidDag` if the file has problems.
    """
    now = Dag.parse(text, source="file")
    file = _content(text)
    return merged(_as_in(file, now), _as_in(file, was), text, prefer="mine")[0]


def _as_in(file: Mapping[str, Any], dag: Dag) -> str:
    """The DAG in our own form, with what the file says though it is a default."""
    content, given = dag.to_dict(), _tasks(file)
    _say(content, file, dag)
    for task in content["tasks"]:
        name = task["task_id"]
        _say(task, given.get(name, {}), dag.tasks[name])
    return json.dumps(content)


def _say(content: dict[str, Any], file: Mapping[str, Any], of: Dag | Task) -> None:
    for name in file.keys() - content.keys() - {"operator", "script", "tasks"}:
        if (value := getattr(of, name)) is not None:
            content[name] = value


def _content(text: str) -> Mapping[str, Any]:
    try:
        return content_of(Loaded(text.removeprefix("\ufeff")).value)
    except NotJson as error:
        raise PydagError(f"the text is {error}: it can't be compared") from None


def _tasks(content: Mapping[str, Any]) -> Tasks:
    return {
        task["task_id"]: task
        for task in _list(content.get("tasks"))
        if isinstance(task, dict) and isinstance(task.get("task_id"), str)
    }


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _edges(tasks: Tasks) -> dict[tuple[str, str], None]:
    """Each edge, in the file's order."""
    return {
        (upstream, name): None
        for name, task in tasks.items()
        for upstream in _list(task.get("dependencies"))
        if isinstance(upstream, str)
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
