"""The operators and tests of templates, over values of JSON; a `Rendering` counts them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydag_dist.dag.templates.rendering import MAX_BITS, Missing, Rendering, known, shape
from pydag_dist.dag.text.quote import quote

Function = Callable[..., Any]


def item(value: Any, key: Any) -> Any:
    """The value's item, `Missing` if there is none; never an attribute of a Python object."""
    kinds: Any = Mapping if isinstance(key, str) else list | str
    if isinstance(known(value), kinds):
        try:
            return value[key]
        except (LookupError, TypeError):
            pass
    return Missing(f"{shape(value)} has no {quote(key)}")


def part(r: Rendering, value: Any, ends: slice) -> Any:
    """A slice of a list or text."""
    if not isinstance(known(value), list | str):
        raise TypeError(f"{shape(value)} has no parts")
    found = value[ends]
    r.spend(1 + len(found))
    return found


# Operators


def _add(r: Rendering, left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        r.room(len(left) + len(right))
    elif isinstance(left, list) and isinstance(right, list):
        r.spend(len(left) + len(right))
    else:
        r.number(left), r.number(right)
    return left + right


def _multiply(r: Rendering, left: Any, right: Any) -> Any:
    if _bits(r.number(left)) + _bits(r.number(right)) > MAX_BITS:
        raise ValueError("the product is too large")
    return left * right


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 64


def _of_numbers(compute: Function) -> Function:
    return lambda r, left, right: compute(r.number(left), r.number(right))


BINARY: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "add": _add,
        "mul": _multiply,
        "sub": _of_numbers(operator.sub),
        "div": _of_numbers(operator.truediv),
        "floordiv": _of_numbers(operator.floordiv),
        "mod": _of_numbers(operator.mod),
    }
)


def _compared(compute: Function) -> Function:
    def compare(r: Rendering, left: Any, right: Any) -> bool:
        r.weigh(left), r.weigh(right)
        return bool(compute(left, right))

    return compare


COMPARE: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "eq": _compared(operator.eq),
        "ne": _compared(operator.ne),
        "gt": _compared(operator.gt),
        "gteq": _compared(operator.ge),
        "lt": _compared(operator.lt),
        "lteq": _compared(operator.le),
        "in": _compared(lambda left, right: left in right),
        "notin": _compared(lambda left, right: left not in right),
    }
)


# Tests

_COMPARING: Final = {
    "eq": ("==", "equalto", "sameas"),
    "ne": ("!=",),
    "lt": ("<", "lessthan"),
    "lteq": ("<=", "le"),
    "gt": (">", "greaterthan"),
    "gteq": (">=", "ge"),
    "in": (),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_true_of(holds: Callable[[Any], bool]) -> Function:
    """A test of a value that is there."""
    return lambda r, value, /: holds(known(value))  # noqa: ARG005  all tests are called so


TESTS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        name: COMPARE[compared]
        for compared, others in _COMPARING.items()
        for name in (compared, *others)
        if name not in ("gteq", "lteq")
    }
    | {
        name: _is_true_of(holds)
        for name, holds in {
            "boolean": lambda v: isinstance(v, bool),
            "false": lambda v: v is False,
            "float": lambda v: isinstance(v, float),
            "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
            "iterable": lambda v: isinstance(v, str | list | Mapping),
            "mapping": lambda v: isinstance(v, Mapping),
            "none": lambda v: v is None,
            "number": _is_number,
            "sequence": lambda v: isinstance(v, str | list | Mapping),
            "string": lambda v: isinstance(v, str),
            "true": lambda v: v is True,
        }.items()
    }
    | {
        "defined": lambda r, value, /: not isinstance(value, Missing),  # noqa: ARG005
        "divisibleby": lambda r, value, number, /: BINARY["mod"](r, value, number) == 0,
        "even": lambda r, value, /: BINARY["mod"](r, value, 2) == 0,
        "lower": lambda r, value, /: r.weigh(value) and r.text(value).islower(),
        "odd": lambda r, value, /: BINARY["mod"](r, value, 2) == 1,
        "undefined": lambda r, value, /: isinstance(value, Missing),  # noqa: ARG005
        "upper": lambda r, value, /: r.weigh(value) and r.text(value).isupper(),
    }
)
