"""Three-way merges of DAG files, by task and by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from pydag_dist.dag.editing.changes import Change, applied
from pydag_dist.dag.editing.edits import content_of
from pydag_dist.dag.editing.params_text import with_params
from pydag_dist.dag.editing.rewriting import rewritten, same
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.text.strict_json import Loaded, NotJson, Path, dotted
from pydag_dist.errors import PydagError

Side = Literal["mine", "theirs"]
Choices = Mapping[tuple[str | None, str], Side]  # (task, field) -> whose value it shall be


class _Absent:
    """A field or a task that is not there."""


_ABSENT: Final = _Absent()


@dataclass(frozen=True)
class Conflict:
    """A field that both have changed, or a task that one has changed and the other has removed.

    A value that is not there is null. `task` is None for the DAG's own fields, `field` is empty for
    a whole task.
    """

    task: str | None
    field: str
    base: Any
    mine: Any
    theirs: Any


def merged(
    base: str,
    mine: str,
    theirs: str,
    prefer: Side | None = None,
    choices: Choices = MappingProxyType({}),
) -> tuple[str, list[Conflict]]:
    """`theirs` with all changes from `base` to `mine`, and where both have changed the same.

    There their value stands, or the one that is chosen or preferred, and then it is no conflict.
    What only they have changed stays to the byte. Raises `PydagError` if one of the texts is no
    DAG's.
    """
    if mine in (base, theirs):
        return theirs, []
    if theirs == base:
        return mine, []
    values = [_loaded(name, text) for name, text in
              (("base", base), ("your text", mine), ("the file", theirs))]  # fmt: skip
    work = _Merge(prefer, choices)
    return _rewritten(theirs, values[2], work, *map(content_of, values[:2])), work.conflicts


def brought(text: str, root: Any, base: Any, mine: Any) -> str:
    """The text, whose value is `root`, with all changes from one content of a DAG to another.

    What the text has otherwise than `base` becomes what `mine` has, where that differs from `base`.
    """
    return _rewritten(text, root, _Merge("mine", {}), base, mine)


def _rewritten(text: str, root: Any, work: _Merge, base: Any, mine: Any) -> str:
    theirs = content_of(root)
    try:
        content = work.value((), base, mine, theirs)
    except RecursionError:
        raise PydagError("the texts are nested too deeply: they can't be merged") from None
    made = content if theirs is root else {**root, "dag": content}
    changes: list[Change] = rewritten(text, made, root)
    return applied(text, changes)


def _loaded(name: str, text: str) -> Any:
    try:
        return Loaded(text.removeprefix("\ufeff")).value
    except NotJson as error:
        raise PydagError(f"{name} is {error}: it can't be merged") from None


class _Merge:
    def __init__(self, prefer: Side | None, choices: Choices) -> None:
        self._prefer, self._choices = prefer, choices
        self._task: str | None = None
        self.conflicts: list[Conflict] = []

    def value(self, path: Path, base: Any, mine: Any, theirs: Any) -> Any:
        """What becomes of a value."""
        if same(base, mine) or same(mine, theirs):
            return theirs
        if same(base, theirs):
            return mine
        if isinstance(mine, dict) and isinstance(theirs, dict):
            return self._object(path, base if isinstance(base, dict) else {}, mine, theirs)
        return self._of_kind(path, base, mine, theirs)

    def _of_kind(self, path: Path, base: Any, mine: Any, theirs: Any) -> Any:
        sides = (base, mine, theirs)
        if path == ("tasks",) and self._task is None and all(map(_has_ids, sides)):
            return self._tasks(base, mine, theirs)
        if path == ("dependencies",) and _are_ids(mine) and _are_ids(theirs):
            return _both(base if _are_ids(base) else [], mine, theirs)
        read = [_params(each) for each in sides] if path == ("params",) else [None]
        if all(isinstance(each, dict) for each in read):
            made = self._object(path, *read)
            return with_params(theirs, made) if isinstance(theirs, str) else made
        return self._conflict(path, base, mine, theirs)

    def _conflict(self, path: Path, base: Any, mine: Any, theirs: Any) -> Any:
        field = dotted(path)
        side = self._choices.get((self._task, field), self._prefer)
        if side is None:
            given = [None if each is _ABSENT else each for each in (base, mine, theirs)]
            self.conflicts.append(Conflict(self._task, field, *given))
        return mine if side == "mine" else theirs

    def _object(self, path: Path, base: Any, mine: Any, theirs: Any) -> dict[str, Any]:
        made = {}
        for key in _in_order(list(theirs), list(mine)):
            sides = [each.get(key, _ABSENT) for each in (base, mine, theirs)]
            value = self.value((*path, key), *sides)
            if value is not _ABSENT:
                made[key] = value
        return made

    def _tasks(self, base: list[Any], mine: list[Any], theirs: list[Any]) -> list[Any]:
        by_id = [{task["task_id"]: task for task in tasks} for tasks in (base, mine, theirs)]
        made = []
        for name in _in_order(list(by_id[2]), list(by_id[1])):
            self._task = name
            value = self.value((), *(tasks.get(name, _ABSENT) for tasks in by_id))
            if value is not _ABSENT:
                made.append(value)
        self._task = None
        return made


def _has_ids(tasks: Any) -> bool:
    """Whether that is a list of tasks, each with an id of its own."""
    if not isinstance(tasks, list):
        return False
    ids = [task.get("task_id") if isinstance(task, dict) else None for task in tasks]
    return all(isinstance(each, str) for each in ids) and len(set(ids)) == len(ids)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _both(base: list[str], mine: list[str], theirs: list[str]) -> list[str]:
    """What neither has removed, and what each has added."""
    before, ours, others = set(base), set(mine), set(theirs)
    kept = [each for each in theirs if each in ours or each not in before]
    return [*kept, *(each for each in mine if each not in before and each not in others)]


def _params(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return read_params(value)
        except ValueError:
            return None
    return {} if value is _ABSENT else value


def _in_order(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The names of both: in the first's order, others behind those that they stand behind."""
    known = set(first)
    behind: dict[str | None, list[str]] = {}
    anchor = None
    for name in second:
        if name in known:
            anchor = name
        else:
            behind.setdefault(anchor, []).append(name)
    made = list(behind.get(None, []))
    for name in first:
        made += [name, *behind.get(name, [])]
    return made
