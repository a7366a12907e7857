"""Where a DAG names a task, and how it is renamed there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydag_dist.dag.editing.params_text import with_params
from pydag_dist.dag.operators import BRANCH
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.templates.parsing import parsed, tokens
from pydag_dist.dag.templates.texts import MARK, as_template
from pydag_dist.errors import PydagError

Task = dict[str, Any]
_CHOICES: Final = ("then", "else")


def renamed(task: Task, old: str, new: str) -> Task:
    """The task with another name for that task wherever it names it."""
    made = {
        field: new if field in {"task_id", "teardown_of"} and value == old else value
        for field, value in task.items()
    }
    made |= _changed(task, "dependencies", lambda ids: _in_list(ids, old, new))
    made |= _changed(task, "expand", lambda expand: _in_expand(expand, old, new))
    return made | _changed(task, "params", lambda params: _in_params(task, params, old, new))


def without(task: Task, name: str) -> Task:
    """The task when that one is gone: templates and lists of its results still name it."""
    made = {k: v for k, v in task.items() if k != "teardown_of" or v != name}
    made |= _changed(task, "dependencies", lambda ids: _left_out(ids, name))
    if task.get("operator") != BRANCH:
        return made

    def choices(params: Any) -> Any:
        if not isinstance(params, dict):
            return params
        kept = {k: v for k, v in params.items() if k not in _CHOICES or v != name}
        for field in _CHOICES:
            kept |= _changed(kept, field, lambda ids: _left_out(ids, name))
        return kept

    return made | _changed(task, "params", lambda params: _of_either(params, choices))


def _changed(task: Task, field: str, change: Callable[[Any], Any]) -> Task:
    return {field: change(task[field])} if field in task else {}


def _in_list(ids: Any, old: str, new: str) -> Any:
    if isinstance(ids, list) and old in ids:
        return [new if name == old else name for name in ids]
    return ids


def _left_out(ids: Any, name: str) -> Any:
    return [each for each in ids if each != name] if isinstance(ids, list) and name in ids else ids


def _in_expand(expand: Any, old: str, new: str) -> Any:
    if not isinstance(expand, dict) or not isinstance(expand.get("over"), str):
        return expand
    return {**expand, "over": _in_expression(expand["over"], old, new)}


def _of_either(params: Any, change: Callable[[Any], Any]) -> Any:
    """Params after that change, whether they are an object or the text of one."""
    if not isinstance(params, str):
        return change(params)
    try:
        value = read_params(params)
    except ValueError:
        return params  # which is a problem of the file
    made = change(value)
    return params if made == value else with_params(params, made)


def _in_params(task: Task, params: Any, old: str, new: str) -> Any:
    def change(value: Any) -> Any:
        made = _in_templates(value, old, new)
        if task.get("operator") != BRANCH or not isinstance(made, dict):
            return made
        if isinstance(when := made.get("when"), str) and MARK not in when:
            made = {**made, "when": _in_expression(when, old, new)}
        for field in _CHOICES:
            if field in made:
                chosen = new if made[field] == old else _in_list(made[field], old, new)
                made = {**made, field: chosen}
        return made

    return _of_either(params, change)


def _in_templates(value: Any, old: str, new: str) -> Any:
    match value:
        case str():
            return _in_template(value, old, new) if MARK in value and old in value else value
        case dict():
            made = {key: _in_templates(item, old, new) for key, item in value.items()}
        case list():
            listed = [_in_templates(item, old, new) for item in value]
            return listed if any(a is not b for a, b in zip(listed, value, strict=True)) else value
        case _:
            return value
    return made if any(made[key] is not value[key] for key in value) else value


def _in_expression(text: str, old: str, new: str) -> str:
    if old not in text:
        return text
    before, after = as_template("\0").split("\0")
    whole = _in_template(as_template(text), old, new)
    return whole[len(before) : len(whole) - len(after)]


def _in_template(text: str, old: str, new: str) -> str:
    """The template with ``tasks.NEW`` for ``tasks.OLD``; as it is if it can't be read."""
    try:
        named = parsed(text).tasks
    except ValueError:
        return text
    if old not in named:
        return text
    parts, at = [], 0
    for begin, end in _mentions(text, old):
        parts += [text[at:begin], f".{new}" if new.isidentifier() else f"['{new}']"]
        at = end
    made = "".join([*parts, text[at:]])
    if parsed(made).tasks != (named - {old}) | {new}:
        raise PydagError(f"the template {text} names {old} in a way that can't be renamed")
    return made


def _mentions(text: str, name: str) -> list[tuple[int, int]]:
    """Where ``.NAME`` and ``['NAME']`` stand after ``tasks``."""
    found, before = [], ("", "")
    kept = [token for token in tokens(text) if token[1] != "whitespace"]
    for number, (_, kind, value) in enumerate(kept):
        if (kind, value) == ("name", "tasks") and before != ("operator", "."):
            rest = kept[number + 1 : number + 4]
            shapes = [(kind, value) for _, kind, value in rest]
            if shapes[:2] == [("operator", "."), ("name", name)]:
                found.append((rest[0][0], rest[1][0] + len(name)))
            elif (
                len(shapes) == 3
                and (shapes[0][1], shapes[2][1]) == ("[", "]")
                and (shapes[1] in {("string", f"'{name}'"), ("string", f'"{name}"')})
            ):
                found.append((rest[0][0], rest[2][0] + 1))
        before = (kind, value)
    return found
