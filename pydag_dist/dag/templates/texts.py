"""Finds texts with ``{{ … }}`` in params, and places of values, without parsing expressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from pydag_dist.dag.text.strict_json import Path

MARK: Final = "{{"
_CONTAINERS: Final = (dict, list)


def templates(value: Any) -> Iterator[tuple[Path, str]]:
    """The templates in a value of JSON, each with its path; keys of objects can't be templates."""
    seen = set()
    todo: list[tuple[Path, Any]] = [((), value)]
    while todo:
        path, item = todo.pop()
        if isinstance(item, str):
            if MARK in item:
                yield path, item
        elif isinstance(item, _CONTAINERS) and id(item) not in seen:
            seen.add(id(item))  # a Python value may contain itself
            items = item.items() if isinstance(item, dict) else enumerate(item)
            todo += [
                ((*path, key), inner)
                for key, inner in reversed(list(items))
                if isinstance(inner, _CONTAINERS) or (isinstance(inner, str) and MARK in inner)
            ]


def is_templated(value: Any) -> bool:
    """Whether a template is in the value, so that only a worker can know the value."""
    return next(templates(value), None) is not None


def as_template(expression: str) -> str:
    """A template of this expression only: it renders as the expression's value."""
    return f"{MARK} {expression} }}}}"


class Place(NamedTuple):
    """Where a list is: below the result of a task, or below a param of the run."""

    root: str  # "tasks" or "params"
    name: str
    path: tuple[str | int, ...]


def at_path(value: Any, path: Sequence[str | int]) -> Any:
    """The part of a value of JSON at that path; raises LookupError if there is none."""
    for key in path:
        try:
            value = value[key]
        except TypeError:
            raise LookupError(key) from None
    return value
