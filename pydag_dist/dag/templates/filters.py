"""The filters of templates, over values of JSON; a `Rendering` counts what they cost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from pydag_dist.dag.templates.operations import TESTS, Function, item, part
from pydag_dist.dag.templates.rendering import Missing, Rendering, known, shape
from pydag_dist.dag.text.quote import quote

_DAY: Final = len("2026-01-31")
_LONGEST_TIME: Final = 40  # characters of a date and time
_FORM: Final = re.compile(r"(?:[^%]|%-?[A-Za-z%]){1,100}")  # no widths: %999999999Y


def _items(r: Rendering, value: Any) -> list[Any]:
    """A list as it is; the keys of an object, the characters of a text."""
    if isinstance(value, list):
        return value
    if not isinstance(value, Mapping | str):
        raise TypeError(f"{shape(value)} is no list")
    r.spend(len(value))
    return list(value)


def _each(r: Rendering, values: Any) -> Iterator[Any]:
    for value in _items(r, values):
        r.spend(1)
        yield value


def _attribute(r: Rendering, path: str | int) -> Callable[[Any], Any]:
    """Gets what is at a path such as ``files.0.name`` of a value, or `Missing`."""
    keys = [int(key) if key.isdigit() else key for key in str(path)[:1000].split(".")]

    def get(value: Any) -> Any:
        r.spend(len(keys))
        for key in keys:
            value = item(value, key)
        return value

    return get


def _abs(r: Rendering, value: Any, /) -> Any:
    return abs(r.number(value))


def _length(r: Rendering, value: Any, /) -> int:
    if not isinstance(value, str | list | Mapping):
        raise TypeError(f"{shape(value)} has no length")
    r.spend(1)
    return len(value)


def _default(r: Rendering, value: Any, /, default_value: Any = "", boolean: bool = False) -> Any:
    r.spend(1)
    if isinstance(value, Missing):
        return default_value
    return value or default_value if boolean else value


def _first(r: Rendering, value: Any, /) -> Any:
    return next(iter(_items(r, value)), Missing("an empty list has no first item"))


def _last(r: Rendering, value: Any, /) -> Any:
    return next(reversed(_items(r, value)), Missing("an empty list has no last item"))


def _lower(r: Rendering, value: Any, /) -> str:
    return r.made(r.text(value).lower())


def _upper(r: Rendering, value: Any, /) -> str:
    return r.made(r.text(value).upper())


def _trim(r: Rendering, value: Any, /, chars: str | None = None) -> str:
    text = r.text(value)
    r.spend(len(chars or "") * (1 + (len(text) >> 6)))
    return r.made(text.strip(chars))


def _keys(r: Rendering, values: Any, case_sensitive: bool, attribute: Any) -> list[tuple[Any, Any]]:
    """The values with their keys; each counts as many steps as sorting compares it."""
    get = known if attribute is None else _attribute(r, attribute)
    found = []
    for value in _each(r, values):
        key = known(get(value))
        found.append(
            (_lower(r, key) if isinstance(key, str) and not case_sensitive else key, value)
        )
    r.spend(r.weigh([key for key, _ in found]) * len(found).bit_length())
    return found


def _sort(
    r: Rendering,
    values: Any,
    /,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: str | int | None = None,
) -> list[Any]:
    keys = _keys(r, values, case_sensitive, attribute)
    return [value for _, value in sorted(keys, key=lambda pair: pair[0], reverse=bool(reverse))]


def _extreme(choose: Function) -> Function:
    def extreme(
        r: Rendering,
        values: Any,
        /,
        case_sensitive: bool = False,
        attribute: str | int | None = None,
    ) -> Any:
        keys = _keys(r, values, case_sensitive, attribute)
        if not keys:
            return Missing("an empty list has no least or greatest item")
        return choose(keys, key=lambda pair: pair[0])[1]

    return extreme


_NOTHING: Final = object()


def _map(
    r: Rendering,
    values: Any,
    function: str | None = None,
    /,
    *,
    attribute: str | int | None = None,
    default: Any = _NOTHING,
) -> list[Any]:
    if function is not None:
        return [FILTERS[function](r, known(value)) for value in _each(r, values)]
    if attribute is None:
        raise TypeError("map takes a filter or an attribute")
    found = map(_attribute(r, attribute), _each(r, values))
    if default is _NOTHING:
        return list(found)
    return [default if isinstance(value, Missing) else value for value in found]


def _selected(*, by_attribute: bool, keep: bool) -> Function:
    def holds(r: Rendering, test: str | None, arguments: tuple[Any, ...]) -> Callable[[Any], bool]:
        if test is None:
            return lambda value: bool(known(value))
        if test not in TESTS:
            raise ValueError(f"there is no test {quote(test)}")
        return lambda value: bool(TESTS[test](r, value, *arguments))

    def selected(
        r: Rendering, values: Any, test: str | None = None, /, *arguments: Any
    ) -> list[Any]:
        found = holds(r, test, arguments)
        return [value for value in _each(r, values) if found(value) is keep]

    def selected_by(
        r: Rendering, values: Any, attribute: str | int, test: str | None = None, /, *arguments: Any
    ) -> list[Any]:
        get, found = _attribute(r, attribute), holds(r, test, arguments)
        return [value for value in _each(r, values) if found(get(value)) is keep]

    return selected_by if by_attribute else selected


def _add_days(r: Rendering, value: str, /, days: float) -> str:
    """The date, or date and time, so many days later; in the form that it was given in."""
    later = timedelta(days=r.number(days))
    if isinstance(value, str) and len(value) == _DAY:
        return r.made((date.fromisoformat(value) + later).isoformat())
    return r.made((_time(value) + later).isoformat())


def _strftime(r: Rendering, value: str, /, form: str) -> str:
    if not _FORM.fullmatch(form):
        raise ValueError(
            "strftime takes a form of at most 100 characters and directives such as %Y or %-d"
        )
    return r.made(_time(value).strftime(form))


def _time(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        raise ValueError(f"{shape(value)} is no date such as 2026-01-31")
    return datetime.fromisoformat(value)


def _number_of(kind: type[int | float]) -> Function:
    def convert(r: Rendering, value: Any, /) -> Any:
        r.weigh(value)
        return r.number(kind(value))

    return convert


def _item_pairs(r: Rendering, value: Any, /) -> list[Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{shape(value)} has no keys")
    r.spend(3 * len(value))
    return [[key, item] for key, item in value.items()]


def _join(r: Rendering, values: Any, /, separator: Any = "") -> str:
    return r.join(_items(r, values), r.text(separator))


def _replace(r: Rendering, value: Any, /, old: str, new: str) -> str:
    before = r.text(value)
    r.spend(1 + (len(before) >> 6))
    r.room(len(before) + before.count(old) * (len(new) - len(old)))
    return before.replace(old, new)


def _reverse(r: Rendering, value: Any, /) -> Any:
    return part(r, value, slice(None, None, -1))


def _round(r: Rendering, value: float, /, digits: int = 0) -> float:
    if abs(r.number(digits)) > 100:
        raise ValueError("round takes at most 100 digits")
    rounded = round(r.number(value), digits)
    return rounded if digits > 0 else int(rounded)


def _split(r: Rendering, value: str, /, separator: str | None = None) -> list[str]:
    if not isinstance(value, str):
        raise TypeError(f"{shape(value)} is no text")
    r.room(len(value))
    found = value.split(separator)
    r.spend(len(found))
    return found


def _sum(r: Rendering, values: Any, /) -> Any:
    total: float = 0
    for value in _each(r, values):
        total += r.number(value)
    return r.number(total)


def _unique(r: Rendering, values: Any, /) -> list[Any]:
    found = {}
    for value in _each(r, values):
        found[json.dumps(r.plain(value), sort_keys=True)] = value
    return list(found.values())


FILTERS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "abs": _abs,
        "add_days": _add_days,
        "count": _length,
        "d": _default,
        "default": _default,
        "first": _first,
        "float": _number_of(float),
        "int": _number_of(int),
        "items": _item_pairs,
        "join": _join,
        "last": _last,
        "length": _length,
        "list": _items,
        "lower": _lower,
        "map": _map,
        "max": _extreme(max),
        "min": _extreme(min),
        "reject": _selected(by_attribute=False, keep=False),
        "rejectattr": _selected(by_attribute=True, keep=False),
        "replace": _replace,
        "reverse": _reverse,
        "round": _round,
        "select": _selected(by_attribute=False, keep=True),
        "selectattr": _selected(by_attribute=True, keep=True),
        "sort": _sort,
        "split": _split,
        "strftime": _strftime,
        "string": Rendering.text,
        "sum": _sum,
        "tojson": Rendering.to_json,
        "trim": _trim,
        "unique": _unique,
        "upper": _upper,
    }
)

OF_MAP: Final = (
    *("abs", "float", "int", "length", "lower", "round", "string", "tojson", "trim", "upper"),
    *("first", "last"),
)
