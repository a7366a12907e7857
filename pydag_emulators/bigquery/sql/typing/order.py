"""ORDER BY of FLOAT64: NaN comes before all numbers in GoogleSQL, after them in DuckDB."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.sql.typing.nan import is_number
from pydag_emulators.bigquery.sql.typing.types import FLOAT64, Type


def order_with_nan(order: exp.Order, types: list[Type | None]) -> None:
    """Put a key in front of each key that may be NaN."""
    query = order.parent
    if isinstance(query, exp.Select) and query.args.get("distinct"):
        return
    keys: list[exp.Expr] = []
    for key, type_ in zip(order.expressions, types, strict=True):
        value = _value(key.this, query)
        if type_ not in (None, FLOAT64) and not isinstance(key.this, exp.Literal):
            key.meta["typed"] = True
        if type_ == FLOAT64 and value is not None and not is_number(value):
            null = 0 if key.args.get("nulls_first") != bool(key.args.get("desc")) else 3
            rank = exp.Case(
                ifs=[
                    exp.If(
                        this=exp.Is(this=value.copy(), expression=exp.Null()),
                        true=exp.Literal.number(null),
                    ),
                    exp.If(this=exp.IsNan(this=value.copy()), true=exp.Literal.number(1)),
                ],
                default=exp.Literal.number(2),
            )
            key.meta["typed"] = True
            ranked = exp.Ordered(this=rank, desc=key.args.get("desc"))
            ranked.meta["typed"] = True
            keys.append(ranked)
        keys.append(key)
    order.set("expressions", keys)


def _value(node: exp.Expr, query: exp.Expr | None) -> exp.Expr | None:
    """What a key stands for: an alias of the SELECT list can't stand in an expression."""
    if not isinstance(node, exp.Column) or node.table or not isinstance(query, exp.Select):
        is_operation = isinstance(query, exp.SetOperation | exp.Subquery)
        return None if is_operation or isinstance(node, exp.Literal) else node
    for column in query.expressions:
        if isinstance(column, exp.Alias) and column.alias.lower() == node.name.lower():
            value: exp.Expr = column.this
            return value
    return node
