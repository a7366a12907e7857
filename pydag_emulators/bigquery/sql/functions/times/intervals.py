"""Lengths of time."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    number,
    refused,
    text,
)

KEEP: Kinds = ()


def _interval(node: exp.Interval) -> Node:
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Var) or node.this is None:
        raise refused(node)
    value = node.this
    if isinstance(value, exp.Literal) and value.is_string:
        value = whole(value)
    return interval(value, unit.name)


UNITS = frozenset(
    {
        "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH",
        "QUARTER", "YEAR",
    }
)  # fmt: skip


def whole(value: exp.Literal) -> Node:
    """The number that sqlglot holds as a text in an interval."""
    try:
        return number(int(value.name))
    except ValueError as error:
        raise unimplemented(f"intervals of {value.name!r}") from error


def interval(value: Node, unit: str) -> Node:
    """`value` units of time."""
    if unit.upper() not in UNITS:
        raise unimplemented(f"intervals in {unit}")
    one = exp.Interval(this=text("1"), unit=exp.Var(this=unit.upper()))
    return exp.Mul(this=exp.Paren(this=value.copy()), expression=one)


LOWER: Lowering = {
    exp.Interval: _interval,
}
