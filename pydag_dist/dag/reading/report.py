"""Collects problems while a DAG is checked, and puts them into the file's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from pydag_dist.errors import InvalidDag, Problem

_LONGEST: Final = 200  # characters of a task or field in a problem


class Report:
    """The problems of one source so far."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[tuple[int, Problem]] = []
        self._raw_tasks: Sequence[Any] = ()

    def name_tasks(self, raw_tasks: Sequence[Any]) -> None:
        """Give the tasks as they stand in the file, for problems that name them by number."""
        self._raw_tasks = raw_tasks

    def add(self, message: str, field: str | None = None, number: int = -1) -> None:
        """Note a problem of a field of the task of that number, or of the DAG itself."""
        task = None
        if number >= 0:
            raw = self._raw_tasks[number]
            task = raw.get("task_id") if isinstance(raw, dict) else None
            if not isinstance(task, str) or not task:
                task = None
                field = f"tasks[{number}].{field}" if field else f"tasks[{number}]"
        problem = Problem(self._source, _cut(task), _cut(field), message)
        self._found.append((number, problem))

    def stop(self, message: str, field: str | None = None) -> NoReturn:
        """Note a problem after which nothing more can be read."""
        self.add(message, field)
        self.raise_if_any()
        raise AssertionError

    def raise_if_any(self) -> None:
        """Raise `InvalidDag` with all problems, each once: the DAG's own, then task by task."""
        if self._found:
            in_order = sorted(self._found, key=lambda found: found[0])
            raise InvalidDag(dict.fromkeys(problem for _, problem in in_order))


def _cut(text: str | None) -> str | None:
    if not text or len(text) <= _LONGEST:
        return text or None
    return f"{text[:_LONGEST]}…"
