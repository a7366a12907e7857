"""Where in a DAG file's text its problems are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydag_dist.dag.text.places import Span, items, place
from pydag_dist.dag.text.strict_json import Loaded, NotJson
from pydag_dist.errors import Problem

_NUMBER: Final = re.compile(r"\[(\d{1,9})\]")

Path = list[str | int]


def placed(text: str, problems: Sequence[Problem]) -> Iterator[tuple[Problem, Path, Span]]:
    """Each problem, the path of the value that it is about, and where that stands in the text.

    Of what is not there these are its parent's; of a text that is no JSON it is where it breaks.
    """
    places = _Places(text)
    for problem, path in _located(text, problems):
        yield problem, path, places.of(path) or _syntax_error(text)


def _located(text: str, problems: Sequence[Problem]) -> Iterator[tuple[Problem, Path]]:
    """Each problem, and the path of the value that it is about, as far as that goes."""
    try:
        value = Loaded(text.removeprefix("\ufeff")).value
    except NotJson:
        value = None
    root: Path = []
    if isinstance(value, dict) and "dag" in value and "tasks" not in value:
        root, value = ["dag"], value["dag"]
    tasks = value.get("tasks") if isinstance(value, dict) else None
    numbers = {
        str(task.get("task_id")): number
        for number, task in reversed([*enumerate(tasks if isinstance(tasks, list) else ())])
        if isinstance(task, dict)
    }
    for problem in problems:
        path, about = list(root), value
        if problem.task in numbers and isinstance(tasks, list):
            number = numbers[str(problem.task)]
            path += ["tasks", number]
            about = tasks[number]
        yield problem, [*path, *_steps(about, problem.field or "")]


def _steps(value: Any, field: str) -> Path:
    """The path of a field, such as ``params.args[0]``; of what is not there that of its parent."""
    path: Path = []
    while field:
        step: str | int
        number = _NUMBER.match(field)
        if isinstance(value, list) and number:
            if int(number[1]) >= len(value):
                break
            step = int(number[1])
            field = field[number.end() :]
        elif isinstance(value, dict):
            field = field.removeprefix(".")
            keys = [k for k in value if field == k or field.startswith((f"{k}.", f"{k}["))]
            if not keys:
                break
            name = max(keys, key=len)
            step, field = name, field[len(name) :]
        else:
            break
        path.append(step)
        value = value[step]
    return path


class _Places:
    """Where values stand in a text. The tasks are looked for once, since there may be many."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tasks: dict[tuple[str | int, ...], list[Span]] = {}

    def of(self, path: Path) -> Span | None:
        """Of the value of that path; None if the text is no JSON."""
        if "tasks" not in path[:2] or len(path) <= path.index("tasks") + 1:
            return place(self._text, path)
        at = path.index("tasks")
        root = tuple(path[: at + 1])
        if root not in self._tasks:
            self._tasks[root] = items(self._text, root)
        begin, end = self._tasks[root][int(path[at + 1])]
        inner = place(self._text[begin:end], path[at + 2 :])
        return inner and (begin + inner[0], begin + inner[1])


def _syntax_error(text: str) -> Span:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos, min(error.pos + 1, len(text))
    except (ValueError, RecursionError):
        pass
    return 0, len(text)
