"""The GoogleSQL that is supported: node types kept as they are, and node types lowered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from pydag_dist.local.bigquery.errors import unimplemented
from pydag_dist.local.bigquery.schema import NUMERIC

Lower = Callable[[Any], exp.Expression]

_STRUCTURE = (
    exp.Alias, exp.All, exp.And, exp.Between, exp.Boolean, exp.CTE, exp.Column, exp.Distinct,
    exp.EQ, exp.Except, exp.Exists, exp.From, exp.GT, exp.GTE, exp.Group, exp.Having,
    exp.Identifier, exp.In, exp.Intersect, exp.Is, exp.Join, exp.LT, exp.LTE, exp.Limit,
    exp.NEQ, exp.Neg, exp.Not, exp.Null, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Offset, exp.Or,
    exp.Order, exp.Ordered, exp.Paren, exp.Qualify, exp.Select, exp.Star, exp.Subquery,
    exp.Table, exp.TableAlias, exp.Union, exp.Var, exp.Where, exp.Window, exp.WindowSpec,
    exp.With, exp.Tuple, exp.Values,
)  # fmt: skip
_FUNCTIONS = (
    exp.Abs, exp.Avg, exp.Case, exp.Coalesce, exp.Count, exp.CountIf, exp.DenseRank, exp.If,
    exp.Lag, exp.Lead, exp.Lower, exp.Max, exp.Min, exp.Nullif, exp.Ntile, exp.Rank,
    exp.RowNumber, exp.StartsWith, exp.EndsWith, exp.Sum, exp.Upper, exp.AnyValue, exp.DPipe,
    exp.Concat, exp.Trim, exp.Extract, exp.DateDiff, exp.Like, exp.Array, exp.Unnest, exp.GenerateSeries,
)  # fmt: skip
KEEP: frozenset[type[exp.Expression]] = frozenset(_STRUCTURE + _FUNCTIONS)


def call(name: str, *arguments: exp.Expression) -> exp.Expression:
    """A call of a DuckDB function or of one of our macros."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def cast(value: exp.Expression, type_: str, *, safe: bool = False) -> exp.Expression:
    """A cast to a DuckDB type."""
    node = exp.TryCast if safe else exp.Cast
    return node(this=value.copy(), to=exp.DataType.build(type_, dialect="duckdb"))


_TYPES = {
    exp.DType.BIGINT: "BIGINT",
    exp.DType.INT: "BIGINT",
    exp.DType.DOUBLE: "DOUBLE",
    exp.DType.TEXT: "VARCHAR",
    exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DATE: "DATE",
    exp.DType.TIMESTAMP: "TIMESTAMP",
    exp.DType.DATETIME: "TIMESTAMP",
    exp.DType.TIMESTAMPTZ: "TIMESTAMPTZ",
    exp.DType.TIME: "TIME",
    exp.DType.DECIMAL: NUMERIC,
    exp.DType.BINARY: "BLOB",
    exp.DType.VARBINARY: "BLOB",
    exp.DType.JSON: "JSON",
}


def _data_type(node: exp.DataType) -> exp.Expression:
    if node.this in (exp.DType.ARRAY, exp.DType.STRUCT):
        return node
    if node.expressions:
        raise unimplemented(f"the type {node.sql(dialect='bigquery')}")
    name = _TYPES.get(node.this)
    if name is None:
        raise unimplemented(f"the type {node.sql(dialect='bigquery')}")
    return exp.DataType.build(name, dialect="duckdb")


def _cast(node: exp.Cast) -> exp.Expression:
    if node.args.get("format"):
        raise unimplemented("CAST with FORMAT")
    safe = isinstance(node, exp.TryCast)
    if node.to.this == exp.DType.BIGINT:
        return call("bq_safe_int64" if safe else "bq_int64", node.this)
    return node


def _literal(node: exp.Literal) -> exp.Expression:
    if node.is_string:
        return node
    if not node.is_int:
        return cast(exp.Literal.string(node.name), "DOUBLE")
    # A bare number is INT32 for DuckDB, and overflows where INT64 would not; but a cast one
    # is no position in ORDER BY 1, and no LIMIT.
    if isinstance(node.parent, exp.Ordered | exp.Group | exp.Limit | exp.Offset):
        return node
    return cast(node, "BIGINT")


def _binary(name: str) -> Lower:
    return lambda node: call(name, node.this, node.expression)


LOWER: dict[type[exp.Expression], Lower] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.DataType: _data_type,
    exp.Literal: _literal,
    exp.Div: _binary("bq_divide"),
    exp.IntDiv: _binary("bq_div"),
    exp.Mod: _binary("bq_mod"),
    exp.SafeDivide: _binary("bq_safe_divide"),
    exp.Add: lambda node: node,
    exp.Sub: lambda node: node,
    exp.Mul: lambda node: node,
}
