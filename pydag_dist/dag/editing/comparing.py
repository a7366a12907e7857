"""What one state of a DAG has otherwise than another: fields, tasks, edges, and the text."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydag_dist.dag.editing.edits import content_of
from pydag_dist.dag.editing.merging import brought
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
    return _differences(content_of(_root(before)), content_of(_root(after)))


def since(text: str, now: Dag, was: Dag) -> tuple[str, Differences]:
    """A file's text as it would be if its DAG, which is `now`, were `was`; and what differs.

    The text keeps the file's own style, and what means the same stays as the file has it.
    """
    old, new = was.to_dict(), now.to_dict()
    found = _differences(old, new)
    root = _root(text)
    file = content_of(root)
    differ = {each.task for each in found.tasks}
    if now.retries != was.retries:  # tasks say theirs only where they are others than the DAG's
        differ |= now.tasks.keys()
    sides = [_as_in(file, dag, content, differ) for dag, content in ((now, new), (was, old))]
    return brought(text, root, *sides), found


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Differences:
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


def _as_in(
    file: Mapping[str, Any], dag: Dag, content: dict[str, Any], differ: Collection[str]
) -> dict[str, Any]:
    """A DAG's content, with what the file says though it is a default.

    A task that does not differ is the file's own object, so that nobody looks into it.
    """
    given = _tasks(file)
    made: dict[str, Any] = {name: value for name, value in content.items() if name != "tasks"}
    _say(made, file, dag)
    made = _plain(made)
    made["tasks"] = tasks = []
    for task in content["tasks"]:
        name = task["task_id"]
        if name in differ:
            _say(task, given.get(name, {}), dag.tasks[name])
            tasks.append(_plain(task))
        else:
            tasks.append(given[name])
    return made


def _plain(value: Any) -> Any:
    """As a file that is read has it."""
    return json.loads(json.dumps(value))


def _say(content: dict[str, Any], file: Mapping[str, Any], of: Dag | Task) -> None:
    for name in file.keys() - content.keys() - {"operator", "script", "tasks"}:
        if (value := getattr(of, name)) is not None:
            content[name] = value


def _root(text: str) -> Any:
    try:
        return Loaded(text.removeprefix("\ufeff")).value
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
