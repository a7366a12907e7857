"""Operations of values that are known: sums, comparisons, methods of texts and objects.

What can't be computed, or would be too big, raises one of Python's own errors.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydag_dist.dag.airflow.things import Span

LONGEST: Final = 1_000_000  # characters of a text, items of a list
TEXT_METHODS: Final = frozenset(
    {"replace", "format", "lower", "upper", "strip", "lstrip", "rstrip", "title", "join", "split",
     "rpartition", "partition", "removeprefix", "removesuffix", "startswith", "endswith"}
)  # fmt: skip
DICT_METHODS: Final = frozenset({"items", "keys", "values", "get"})
PLAIN: Final = (str, int, float, bool, type(None), list, dict)
_OPERATORS: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARES: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


def plain(value: Any) -> Any:
    """A value that is known."""
    if not isinstance(value, PLAIN):
        raise TypeError
    return value


def combined(kind: ast.operator, left: Any, right: Any) -> Any:
    """What `left + right` is, say, or `left % right` of a text."""
    if isinstance(kind, ast.Mult):
        return _product(left, right)
    if isinstance(left, str) and len(left) > LONGEST // 100:
        raise TypeError
    plain(left), plain(right)
    if isinstance(kind, ast.Mod) and isinstance(left, str):
        return narrow(left) % (tuple(right) if isinstance(right, list) else right)
    return _OPERATORS[type(kind)](left, right)


def _product(left: Any, right: Any) -> Any:
    if isinstance(left, Span) and isinstance(right, int | float):
        return Span(left.seconds * right)
    if isinstance(left, int | float) and isinstance(right, int | float):
        if max(abs(left), abs(right)) > 2**64:
            raise ValueError
        return left * right
    size = right if isinstance(right, int) else left
    if not isinstance(size, int) or size * len(left if size is right else right) > LONGEST:
        raise TypeError
    return left * right


def compares(kind: ast.cmpop, left: Any, right: Any) -> bool:
    """Whether `left < right`, say."""
    return bool(_COMPARES[type(kind)](plain(left), plain(right)))


def of_text(text: str, name: str, arguments: list[Any]) -> Any:
    """What a method of a text returns, other than `format`; of `join` the items are texts."""
    for each in arguments:
        plain(each)
    if name == "join" and sum(len(text) + len(each) for each in arguments[0]) > LONGEST:
        raise ValueError
    if name == "replace" and (len(text) + 1) * len(arguments[1]) > LONGEST:
        raise ValueError
    found = getattr(text, name)(*arguments)
    return list(found) if isinstance(found, tuple) else found


def formatted(text: str, pieces: Sequence[str], given: Mapping[str, str]) -> str:
    """What `format` of a text returns."""
    if re.search(r"\{[^{}]*[.\[:!]", text):
        raise ValueError  # attributes and widths
    return text.format(*pieces, **given)


def of_dict(value: dict[Any, Any], name: str, arguments: Sequence[Any]) -> Any:
    """What a method of an object returns."""
    if name == "get":
        return value.get(*arguments)
    return [list(each) if isinstance(each, tuple) else each for each in getattr(value, name)()]


def narrow(form: str) -> str:
    """A format, if none of its widths makes more than there is."""
    if re.search(r"\d{4}|\*", form):
        raise ValueError
    return form
