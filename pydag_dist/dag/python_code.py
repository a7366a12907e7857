"""A DAG as a program that builds it with this library."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydag_dist.dag.model import Dag

_WIDTH: Final = 100
_INDENT: Final = "    "
_TAKEN: Final = frozenset({"Dag", "dag", *dir(builtins), *keyword.kwlist})


def python(dag: Dag) -> str:
    """The program; running it prints the DAG's JSON."""
    content = dag.to_dict()
    tasks = content.pop("tasks")
    names = _names(task["task_id"] for task in tasks)
    fields = {name: value for name, value in content.items() if name != "dag_id"}
    lines = [
        "from pydag_dist import Dag",
        "",
        f"with {_call('Dag', [dag.dag_id], fields, '')} as dag:",
    ]
    lines += [_INDENT + _task(task, names[task["task_id"]]) for task in tasks]
    lines.extend(
        f"{_INDENT}{_upstream(task['dependencies'], names)} >> {names[task['task_id']]}"
        for task in tasks
        if task.get("dependencies")
    )
    return "\n".join([*lines, "", 'if __name__ == "__main__":', "    print(dag.to_json())", ""])


def _names(ids: Iterable[str]) -> dict[str, str]:
    """A name of a variable for each id."""
    names: dict[str, str] = {}
    used = set(_TAKEN)
    for task_id in ids:
        name = first = re.sub(r"\W|^(?=\d)", "_", task_id, flags=re.ASCII)
        number = 2
        while name in used:
            name, number = f"{first}_{number}", number + 1
        used.add(name)
        names[task_id] = name
    return names


def _task(task: Mapping[str, Any], name: str) -> str:
    fields = dict(task)
    fields.pop("dependencies", None)
    kind = "script" if "script" in fields else "operator"
    given = [fields.pop("task_id"), fields.pop(kind)]
    method = "script" if kind == "script" else "task"
    return f"{name} = {_call(f'dag.{method}', given, fields, _INDENT, len(name) + 3)}"


def _upstream(ids: list[str], names: Mapping[str, str]) -> str:
    given = [names[each] for each in ids]
    flat = f"[{', '.join(given)}]"
    if len(given) == 1:
        return given[0]
    if len(flat) <= _WIDTH - 40:
        return flat
    inner = "".join(f"{_INDENT * 2}{name},\n" for name in given)
    return f"[\n{inner}{_INDENT}]"


def _call(
    function: str, given: list[Any], fields: Mapping[str, Any], indent: str, before: int = 0
) -> str:
    """A call of keywords and literals, on lines of its own if it is long."""
    arguments = [(_literal(value, ""), value, "") for value in given]
    arguments += [(_literal(value, ""), value, f"{name}=") for name, value in fields.items()]
    flat = f"{function}({', '.join(name + text for text, _, name in arguments)})"
    if "\n" not in flat and len(indent) + before + len(flat) <= _WIDTH:
        return flat
    inner = indent + _INDENT
    lines = "".join(f"{inner}{name}{_literal(v, inner, len(name))},\n" for _, v, name in arguments)
    return f"{function}(\n{lines}{indent})"


def _literal(value: Any, indent: str, before: int = 0) -> str:
    """The value as Python has it; `before`: characters before it on its line."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, dict | list):
        return repr(value)
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    inner = indent + _INDENT
    pairs = (
        [(f"{_text(key)}: ", item) for key, item in value.items()]
        if isinstance(value, dict)
        else [("", item) for item in value]
    )
    brackets = "{}" if isinstance(value, dict) else "[]"
    texts = [name + _literal(item, inner, len(name)) for name, item in pairs]
    flat = f"{brackets[0]}{', '.join(texts)}{brackets[1]}"
    if "\n" not in flat and len(indent) + before + len(flat) < _WIDTH:
        return flat
    lines = "".join(f"{inner}{text},\n" for text in texts)
    return f"{brackets[0]}\n{lines}{indent}{brackets[1]}"


def _text(value: str) -> str:
    """A text in double quotes; one of several lines as it is, where nothing in it is special."""
    shown = all(char.isprintable() or char == "\n" for char in value)
    if "\n" in value and shown and "\\" not in value and '"""' not in value and value[-1] != '"':
        return f'"""{value}"""'
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
