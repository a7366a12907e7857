"""The filters and operators of templates: of values of JSON, and with bounds for what they make.

Those of Jinja2 that could make gigabytes of a few characters are left out or replaced.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NoReturn

from jinja2 import Undefined, pass_context
from jinja2.filters import FILTERS as JINJA

MAX_TEXT: Final = 1_000_000  # characters
MAX_ITEMS: Final = 1_000_000  # of a list
MAX_BITS: Final = 4096  # of a product

_SHOWN: Final = 10  # keys of an object


class Params(dict[str, Any]):
    """A run's params; what they lack is told as such."""


def shape(value: Any) -> str:
    """What a value is, for messages: data may be long or secret."""
    if isinstance(value, Params):
        return "params"
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, itertools.islice(value, _SHOWN)))
        more = ", …" if len(value) > _SHOWN else ""
        return f"an object of {keys}{more}" if keys else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "a text")


def fail(missing: Undefined) -> NoReturn:
    """Raise what is missing; also of an ``if`` without ``else``, which Jinja2 takes for nothing."""
    missing._fail_with_undefined_error()  # noqa: SLF001  what every use of it calls
    raise AssertionError


def plain(value: Any) -> Any:
    """The value as JSON has it; raises ValueError for what it can't, or if it is too long."""
    match value:
        case Undefined():
            fail(value)
        case str():
            return _short(value, len(value))
        case Mapping():
            return {text(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float() if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
        case _:
            return value


def text(value: Any) -> str:
    """A text as it is, anything else as JSON writes it."""
    value = plain(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def join(values: Iterable[Any], separator: str = "") -> str:
    """The texts of values, one after the other."""
    texts = []
    length = 0
    for value in values:
        texts.append(text(value))
        length += len(texts[-1]) + len(separator)
        _short(value, length - len(separator))
    return separator.join(texts)


def _short(value: Any, length: int) -> Any:
    if length > MAX_TEXT:
        raise ValueError(f"becomes longer than {MAX_TEXT:,} characters")
    return value


def _replace(value: Any, old: str, new: str) -> str:
    before = text(value)
    _short(value, len(before) + before.count(old) * (len(new) - len(old)))
    return before.replace(old, new)


def _split(value: str, separator: str | None = None) -> list[str]:
    return value.split(separator)


def _int(value: Any) -> int:
    return int(value)


def _float(value: Any) -> float:
    return float(value)


def _round(value: float, digits: int = 0) -> float:
    if abs(digits) > 100:
        raise ValueError("round takes at most 100 digits")
    rounded = round(value, digits)
    return rounded if digits > 0 else int(rounded)


def _sum(values: Iterable[Any]) -> float:
    total: float = 0
    for value in values:
        total = _add(total, _number(value))
    return total


def _to_json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False)


def _add_days(value: str, days: float) -> str:
    """The date, or date and time, so many days later; in the form that it was given in."""
    if len(value) == len("2026-01-31"):
        return (date.fromisoformat(value) + timedelta(days=days)).isoformat()
    return (datetime.fromisoformat(value) + timedelta(days=days)).isoformat()


def _strftime(value: str, form: str) -> str:
    return datetime.fromisoformat(value).strftime(form)


def _listed(name: str) -> Callable[..., list[Any]]:
    """Jinja2's filter of that name, which makes values one by one, as one that makes a list."""
    function = JINJA[name]

    @pass_context
    def listed(context: Any, *arguments: Any, **named: Any) -> list[Any]:
        return list(function(context, *arguments, **named))

    return listed


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(
        {json.dumps(value, sort_keys=True): value for value in plain(list(values))}.values()
    )


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        _short(left, len(left) + len(right))
    elif isinstance(left, list) and isinstance(right, list):
        if len(left) + len(right) > MAX_ITEMS:
            raise ValueError(f"becomes longer than {MAX_ITEMS:,} items")
    else:
        _number(left), _number(right)
    return left + right


def _multiply(left: Any, right: Any) -> Any:
    if _bits(left) + _bits(right) > MAX_BITS:
        raise ValueError("the product is too large")
    return left * right


def _modulo(left: Any, right: Any) -> Any:
    return _number(left) % _number(right)


def _bits(value: Any) -> int:
    number = _number(value)
    return number.bit_length() if isinstance(number, int) else 64


def _number(value: Any) -> Any:
    plain(value)
    if not isinstance(value, int | float):
        raise TypeError(f"{shape(value)} is no number (and texts are joined by ~)")
    return value


BINARY: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {"+": _add, "*": _multiply, "%": _modulo}
)

FILTERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {name: JINJA[name] for name in ("abs", "count", "d", "default", "first", "last", "length")}
    | {name: JINJA[name] for name in ("lower", "max", "min", "sort", "trim", "upper")}
    | {name: _listed(name) for name in ("map", "reject", "rejectattr", "select", "selectattr")}
    | {
        "add_days": _add_days,
        "float": _float,
        "int": _int,
        "items": lambda value: [[key, item] for key, item in value.items()],
        "join": join,
        "list": list,
        "replace": _replace,
        "reverse": lambda value: value[::-1],
        "round": _round,
        "split": _split,
        "strftime": _strftime,
        "string": text,
        "sum": _sum,
        "tojson": _to_json,
        "unique": _unique,
    }
)

# Filters whose texts are about as long as what they are given.
OF_MAP: Final = (
    "abs",
    "float",
    "int",
    "length",
    "lower",
    "round",
    "string",
    "tojson",
    "trim",
    "upper",
    "first",
    "last",
)
