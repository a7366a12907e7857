"""What people do to a DAG by hand, as changes of its file's text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.dag.editing.changes import Change
from pydag_dist.dag.editing.names import Task, renamed, without
from pydag_dist.dag.editing.params_text import with_params
from pydag_dist.dag.editing.rewriting import rewritten
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.text import patterns
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import Loaded, NotJson
from pydag_dist.errors import PydagError

Path = tuple[str | int, ...]
Content = dict[str, Any]  # the object with the DAG's fields

# New fields stand behind these, as a person writes a task.
_FIRST: Final = ("task_id", "operator", "script", "params")


@dataclass(frozen=True)
class SetField:
    """Set a field of a task, or of the DAG, or something within it: ``["params", "sql"]``.

    The number after a list's last adds an item.
    """

    path: Annotated[Path, Field(min_length=1)]
    value: Any
    task: str | None = None
    edit: Literal["set"] = "set"


@dataclass(frozen=True)
class RemoveField:
    """Remove a field of a task, or of the DAG, or something within it."""

    path: Annotated[Path, Field(min_length=1)]
    task: str | None = None
    edit: Literal["remove"] = "remove"


@dataclass(frozen=True)
class AddTask:
    """Add a task, behind that one or at the end."""

    task: dict[str, Any]
    after: str | None = None
    edit: Literal["add_task"] = "add_task"


@dataclass(frozen=True)
class RemoveTask:
    """Remove a task, and all edges to and from it."""

    task: str
    edit: Literal["remove_task"] = "remove_task"


@dataclass(frozen=True)
class RenameTask:
    """Give a task another id, everywhere: in dependencies, branches, teardowns and templates."""

    task: str
    to: str
    edit: Literal["rename_task"] = "rename_task"


@dataclass(frozen=True)
class AddDependency:
    """Let a task wait for another one."""

    task: str
    upstream: str
    edit: Literal["add_dependency"] = "add_dependency"


@dataclass(frozen=True)
class RemoveDependency:
    """Let a task no longer wait for another one."""

    task: str
    upstream: str
    edit: Literal["remove_dependency"] = "remove_dependency"


Edit = Annotated[
    SetField | RemoveField | AddTask | RemoveTask | RenameTask | AddDependency | RemoveDependency,
    Field(discriminator="edit"),
]


def edited(text: str, edits: Sequence[Any]) -> list[Change]:
    """The changes of a file's text that these edits are, one after the other.

    Raises `PydagError` if the text is no DAG's, or if an edit can't be made; nothing else of the
    file need be right.
    """
    try:
        root = Loaded(text.removeprefix("\ufeff")).value
    except NotJson as error:
        raise PydagError(f"the file is {error}: edit its text") from None
    content = content_of(root)
    try:
        made = reduce(lambda found, edit: _EDITS[type(edit)](found, edit), edits, content)
    except RecursionError:
        raise PydagError("the file is nested too deeply: edit its text") from None
    return rewritten(text, made if content is root else {**root, "dag": made}, root)


def content_of(root: Any) -> Content:
    """The object with the DAG's fields: pyDag wraps it. Raises `PydagError` if there is none."""
    wraps = isinstance(root, dict) and "dag" in root and "tasks" not in root
    content = root["dag"] if wraps else root
    if not isinstance(content, dict):
        raise PydagError("the file has no object with a DAG's fields: edit its text")
    return content


def _tasks(content: Content) -> list[Any]:
    tasks = content.get("tasks", [])
    if not isinstance(tasks, list):
        raise PydagError("tasks: must be a list: edit the text")
    return tasks


def _number(tasks: Sequence[Any], name: str) -> int:
    found = [n for n, task in enumerate(tasks) if isinstance(task, dict) and _id(task) == name]
    if len(found) != 1:
        what = "is the id of several tasks: edit the text" if found else "is no task of this DAG"
        raise PydagError(f"{quote(name)} {what}")
    return found[0]


def _id(task: Any) -> Any:
    return task.get("task_id") if isinstance(task, dict) else None


def _with_task(content: Content, name: str, change: Callable[[Task], Task]) -> Content:
    tasks = list(_tasks(content))
    number = _number(tasks, name)
    tasks[number] = change(tasks[number])
    return {**content, "tasks": tasks}


def _of_all(content: Content, change: Callable[[Task], Task]) -> Content:
    tasks = [change(task) if isinstance(task, dict) else task for task in _tasks(content)]
    return {**content, "tasks": tasks}


def _set(content: Content, edit: SetField) -> Content:
    _refuse_tasks(edit)
    return _at_place(content, edit, lambda thing: _put(thing, edit.path, edit.value))


def _remove(content: Content, edit: RemoveField) -> Content:
    _refuse_tasks(edit)
    return _at_place(content, edit, lambda thing: _taken(thing, edit.path))


def _at_place(
    content: Content, edit: SetField | RemoveField, change: Callable[[Any], Any]
) -> Content:
    try:
        return change(content) if edit.task is None else _with_task(content, edit.task, change)
    except LookupError:
        place = ".".join(map(str, edit.path))
        raise PydagError(f"{place}: there is no such place") from None


def _refuse_tasks(edit: SetField | RemoveField) -> None:
    if edit.task is None and edit.path[0] == "tasks":
        raise PydagError("tasks: name the task whose field it is, or add or remove a task")
    if edit.task is not None and edit.path == ("task_id",):
        raise PydagError("task_id: rename the task")


def _put(inside: Any, path: Path, value: Any) -> Any:
    """What has that value at that path; params that are a text stay one."""
    if not path:
        return value
    step, *rest = path
    old = _at(inside, step) if _has(inside, step) else None
    if step == "params" and isinstance(old, str) and not isinstance(value if not rest else {}, str):
        new = _put(_read(old), tuple(rest), value)
        made: Any = with_params(old, new) if isinstance(new, dict) else new
    else:
        made = _put({} if old is None and rest else old, tuple(rest), value)
    if isinstance(inside, list) and isinstance(step, int) and 0 <= step <= len(inside):
        return [*inside[:step], made, *inside[step + 1 :]]
    if isinstance(inside, dict) and isinstance(step, str):
        return {**inside, step: made} if step in inside else _with_field(inside, step, made)
    raise LookupError(step)


def _with_field(inside: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The object with a new field where a person would write it."""
    names = list(inside)
    place = len(names)
    if "tasks" in inside and names[-1] == "tasks":
        place -= 1
    elif "task_id" in inside and name in _FIRST:
        before = [names.index(each) for each in _FIRST[: _FIRST.index(name)] if each in inside]
        place = max(before, default=-1) + 1
    pairs = list(inside.items())
    return dict([*pairs[:place], (name, value), *pairs[place:]])


def _taken(inside: Any, path: Path) -> Any:
    step, *rest = path
    if not _has(inside, step):
        raise LookupError(step)
    old = _at(inside, step)
    if rest:
        if step == "params" and isinstance(old, str):
            return {**inside, step: with_params(old, _taken(_read(old), tuple(rest)))}
        return _put(inside, (step,), _taken(old, tuple(rest)))
    if isinstance(inside, list):
        return [item for number, item in enumerate(inside) if number != step]
    return {name: value for name, value in inside.items() if name != step}


def _has(inside: Any, step: str | int) -> bool:
    if isinstance(inside, list):
        return isinstance(step, int) and 0 <= step < len(inside)
    return isinstance(inside, dict) and step in inside


def _at(inside: Any, step: Any) -> Any:
    return inside[step]


def _read(text: str) -> Any:
    try:
        return read_params(text)
    except ValueError as error:
        raise PydagError(f"params: {error}: edit the text") from None


def _add(content: Content, edit: AddTask) -> Content:
    tasks = list(_tasks(content))
    name = _id(edit.task)
    if not isinstance(name, str):
        raise PydagError("the new task has no task_id")
    _check_new(tasks, name)
    place = len(tasks) if edit.after is None else _number(tasks, edit.after) + 1
    return {**content, "tasks": [*tasks[:place], edit.task, *tasks[place:]]}


def _check_new(tasks: Sequence[Any], name: str) -> None:
    if not re.search(patterns.ID, name) or len(name) > limits.ID or "\n" in name:
        raise PydagError(f"{quote(name)}: {patterns.WORDS[patterns.ID]}, {limits.ID} at most")
    if any(_id(task) == name for task in tasks):
        raise PydagError(f"{quote(name)} is the id of another task")


def _drop(content: Content, edit: RemoveTask) -> Content:
    number = _number(_tasks(content), edit.task)
    left = [task for place, task in enumerate(_tasks(content)) if place != number]
    return _of_all({**content, "tasks": left}, lambda task: without(task, edit.task))


def _rename(content: Content, edit: RenameTask) -> Content:
    _number(_tasks(content), edit.task)
    if edit.to == edit.task:
        return content
    _check_new(_tasks(content), edit.to)
    return _of_all(content, lambda task: renamed(task, edit.task, edit.to))


def _connect(content: Content, edit: AddDependency) -> Content:
    _number(_tasks(content), edit.upstream)
    if edit.task == edit.upstream:
        raise PydagError(f"{quote(edit.task)} can't wait for itself")

    def change(task: Task) -> Task:
        given = _dependencies(task)
        return task if edit.upstream in given else _put(
            task, ("dependencies",), [*given, edit.upstream]
        )  # fmt: skip

    return _with_task(content, edit.task, change)


def _disconnect(content: Content, edit: RemoveDependency) -> Content:
    def change(task: Task) -> Task:
        given = _dependencies(task)
        if edit.upstream not in given:
            raise PydagError(f"{quote(edit.task)} does not wait for {quote(edit.upstream)}")
        left = [name for name in given if name != edit.upstream]
        return {**task, "dependencies": left}

    return _with_task(content, edit.task, change)


def _dependencies(task: Task) -> list[Any]:
    given = task.get("dependencies", [])
    if not isinstance(given, list):
        raise PydagError(f"{quote(_id(task))}: dependencies must be a list: edit the text")
    return given


_EDITS: Final[dict[type, Callable[[Content, Any], Content]]] = {
    SetField: _set,
    RemoveField: _remove,
    AddTask: _add,
    RemoveTask: _drop,
    RenameTask: _rename,
    AddDependency: _connect,
    RemoveDependency: _disconnect,
}
