"""Building DuckDB trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError, unimplemented

GENERATED = "\N{MIDDLE DOT}"
"""What generated names begin with; no name of a query may contain it (see `parse`)."""
Node = exp.Expression
Lower = Callable[[Any], Node]
Kinds = tuple[type[exp.Expression], ...]
Lowering = dict[type[exp.Expression], Lower]


def call(name: str, *arguments: Node) -> Node:
    """A call of a DuckDB function."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def macro(name: str, *arguments: Node) -> Node:
    """A call of one of our macros, `bq_<name>`.

    DuckDB cannot tell the type of an aggregate or window function when it chooses a macro's
    overload. So such arguments go through a list first, whose type it knows; and so does a
    fingerprint, whose hundreds of calls would be written out wherever the macro names it.
    """
    if not any(is_aggregated(argument) or _has_fingerprint(argument) for argument in arguments):
        return call(f"bq_{name}", *arguments)
    names = [f"{GENERATED}{index}" for index in range(len(arguments))]
    members = [
        exp.PropertyEQ(this=exp.to_identifier(key, quoted=True), expression=argument.copy())
        for key, argument in zip(names, arguments, strict=True)
    ]
    row = f"{GENERATED}row"
    parameter = exp.to_identifier(row, quoted=True)
    inner = call(f"bq_{name}", *[exp.column(key, table=row, quoted=True) for key in names])
    return call(
        "list_extract",
        call(
            "list_transform",
            exp.Array(expressions=[exp.Struct(expressions=members)]),
            exp.Lambda(this=inner, expressions=[parameter]),
        ),
        exp.Literal.number(1),
    )


def _has_fingerprint(node: Node) -> bool:
    return any(each.name == "bq_farm_fingerprint" for each in node.find_all(exp.Anonymous))


_AGGREGATES = frozenset(
    {"list", "string_agg", "count", "arg_max_null", "arg_min_null", "quantile_disc"}
)


def is_aggregated(node: exp.Expr) -> bool:
    """Whether an aggregate or window function is in it, outside of queries."""
    if isinstance(node, exp.Query | exp.Subquery):
        return False
    if isinstance(node, exp.AggFunc | exp.Window):
        return True
    if isinstance(node, exp.Anonymous) and node.name in _AGGREGATES:
        return True
    return any(is_aggregated(child) for child in node.iter_expressions())


def cast(value: Node, type_: str) -> Node:
    """A cast to a DuckDB type."""
    return exp.Cast(this=value.copy(), to=exp.DataType.build(type_, dialect="duckdb"))


def text(value: str) -> Node:
    """A string literal."""
    return exp.Literal.string(value)


def number(value: int) -> Node:
    """A whole number, as INT64."""
    return cast(exp.Literal.number(value), "BIGINT")


def only(node: Node, *known: str) -> None:
    """Raise `notImplemented` if the node has arguments that would be ignored."""
    for name, value in node.args.items():
        if name not in known and value not in (None, False, []):
            raise refused(node)


def refused(node: exp.Expr) -> ApiError:
    """The error for GoogleSQL that is not supported."""
    shown = node.sql(dialect="bigquery").replace("bq_", "")  # what is below it is lowered already
    return unimplemented(f"this in queries: {shown[:200]}")


def unary(name: str) -> Lower:
    """Call a macro with the node's `this`."""

    def lower(node: Node) -> Node:
        only(node, "this", "expressions")
        if node.args.get("expressions"):
            raise refused(node)
        return macro(name, node.this)

    return lower


def binary(name: str) -> Lower:
    """Call a macro with the node's `this` and `expression`."""

    def lower(node: Node) -> Node:
        only(node, "this", "expression", "typed", "safe")
        return macro(name, node.this, node.expression)

    return lower
