"""Aggregate and window functions."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    call,
    macro,
    only,
    refused,
    text,
)

KEEP: Kinds = (
    exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.Count,
    exp.CovarPop, exp.CovarSamp, exp.CumeDist, exp.DenseRank, exp.FirstValue, exp.Lag,
    exp.LastValue, exp.Lead, exp.Max, exp.Min, exp.NthValue,
    exp.Ntile, exp.PercentRank, exp.PercentileCont, exp.PercentileDisc, exp.Rank, exp.RowNumber,
    exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Sum, exp.Variance, exp.VariancePop,
    exp.WindowSpec, exp.Grouping,
)  # fmt: skip


def _avg(node: exp.Avg) -> Node:
    """AVG by a macro, since DuckDB's own returns a DOUBLE for decimals."""
    if isinstance(node.parent, exp.Window):
        return node  # see _window
    return _quotient(exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy()))


def _quotient(total: Node, count: Node) -> Node:
    # Without rows it is NULL, and no division by zero.
    return macro("safe_divide", total, count)


_NUMBERING = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag,
    exp.Lead, exp.PercentileCont, exp.PercentileDisc,
)  # fmt: skip


def _check_window(node: exp.Window) -> None:
    """Refuse what BigQuery refuses: frames of numbering functions, wrong constants."""
    function = node.this
    if isinstance(function, exp.IgnoreNulls | exp.RespectNulls):
        function = function.this
    name = function.sql_name() if isinstance(function, exp.Func) else function.key
    if isinstance(function, _NUMBERING) and node.args.get("spec") is not None:
        raise invalid_query(f"Window framing clause is not allowed for analytic function {name}")
    ordered = (exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead)
    if isinstance(function, ordered) and not node.args.get("order") and not node.args.get("alias"):
        raise invalid_query(f"Window ORDER BY is required for analytic function {name}")
    least = 0 if isinstance(function, exp.Lag | exp.Lead) else 1
    constant = function.args.get("this" if isinstance(function, exp.Ntile) else "offset")
    if isinstance(function, exp.Ntile | exp.NthValue | exp.Lag | exp.Lead) and constant is not None:
        value = _constant(constant)
        if value is None or value < least:
            raise invalid_query(f"The argument of {name} must be a constant of at least {least}")


def _constant(node: Node) -> int | None:
    if isinstance(node, exp.Neg):
        inner = _constant(node.this)
        return None if inner is None else -inner
    if isinstance(node, exp.Cast):
        return _constant(node.this)
    return int(node.name) if isinstance(node, exp.Literal) and node.name.isdigit() else None


def _window(node: exp.Window) -> Node:
    _check_window(node)
    if not isinstance(node.this, exp.Avg):
        return node
    parts = []
    for kind in (exp.Sum, exp.Count):
        part = node.copy()
        part.set("this", kind(this=node.this.this.copy()))
        parts.append(part)
    return _quotient(*parts)


def _countif(node: exp.CountIf) -> Node:
    if isinstance(node.this, exp.Distinct):
        raise refused(node)
    return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this.copy(), true=exp.true())]))


def _corr(node: exp.Corr) -> Node:
    """NULL of less than two pairs, where DuckDB says NaN."""
    if isinstance(node.parent, exp.Window):
        raise refused(node)
    # A product is NULL where one of the two is.
    pairs = exp.Count(this=exp.Mul(this=node.this.copy(), expression=node.expression.copy()))
    some = exp.GT(this=pairs, expression=exp.Literal.number(1))
    return exp.Case(ifs=[exp.If(this=some, true=node.copy())])


def _logical(node: exp.LogicalAnd | exp.LogicalOr) -> Node:
    if isinstance(node.this, exp.Distinct):
        node.set("this", node.this.expressions[0])
    return node


def _count_distinct(node: exp.ApproxDistinct) -> Node:
    # An exact result is a good approximation.
    only(node, "this")
    return exp.Count(this=exp.Distinct(expressions=[node.this.copy()]))


def _parts(node: Node) -> tuple[Node, list[Node], bool, exp.Order | None, Node | None]:
    """The parts of `[DISTINCT] x[, separator] [ORDER BY …] [LIMIT n]`."""
    order: exp.Order | None = None
    limit: Node | None = None
    distinct = False
    if isinstance(node, exp.Limit):
        limit, node = node.expression, node.this
    if isinstance(node, exp.Order):
        order, node = node, node.this
    arguments = [node]
    if isinstance(node, exp.Distinct):
        distinct, arguments = True, list(node.expressions)
    return arguments[0], arguments[1:], distinct, order, limit


def _collect(name: str, node: Node, value: Node, more: list[Node], *, skip_nulls: bool) -> Node:
    """`name(…)` with DISTINCT, ORDER BY and a filter, as DuckDB writes them."""
    _, _, distinct, order, _ = _parts(node)
    first: Node = value.copy()
    if distinct:
        first = exp.Distinct(expressions=[first])
    arguments = [first, *[argument.copy() for argument in more]]
    if order is not None:
        ordered = exp.Order(
            this=arguments[-1], expressions=[key.copy() for key in order.expressions]
        )
        arguments[-1] = ordered
    result: Node = exp.Anonymous(this=name, expressions=arguments)
    if skip_nulls:
        is_there = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
        result = exp.Filter(this=result, expression=exp.Where(this=is_there))
    return result


def _array_agg(node: exp.ArrayAgg) -> Node:
    # IGNORE NULLS stands above this node.
    if isinstance(node.parent, exp.IgnoreNulls | exp.RespectNulls | exp.Window):
        return node
    return _list(node, skip_nulls=False)


def _list(node: exp.ArrayAgg, *, skip_nulls: bool) -> Node:
    only(node, "this", "nulls_excluded")
    value, more, _, _, limit = _parts(node.this)
    if more:
        raise refused(node)
    result = _collect("list", node.this, value, [], skip_nulls=skip_nulls)
    if limit is None:
        return result
    return call("list_slice", result, exp.Literal.number(1), limit)


def _nulls(node: exp.IgnoreNulls | exp.RespectNulls) -> Node:
    inner = node.this
    if isinstance(inner, exp.ArrayAgg) and not isinstance(node.parent, exp.Window):
        return _list(inner, skip_nulls=isinstance(node, exp.IgnoreNulls))
    if isinstance(inner, exp.FirstValue | exp.LastValue | exp.NthValue | exp.Lag | exp.Lead):
        return node
    raise refused(node)


def _string_agg(node: exp.GroupConcat) -> Node:
    value, more, distinct, order, limit = _parts(node.this)
    separator = node.args.get("separator") or (more[0] if more else text(","))
    # `x, separator ORDER BY y` has the order around the separator.
    if isinstance(separator, exp.Order):
        order, separator = separator, separator.this
    if isinstance(node.parent, exp.Window) and (distinct or order or limit):
        raise refused(node)
    inner: Node = node.this if limit is None else node.this.this
    if order is not None and not isinstance(inner, exp.Order):
        inner = exp.Order(this=inner.copy(), expressions=[k.copy() for k in order.expressions])
    if limit is None:
        return _collect("string_agg", inner, value, [separator], skip_nulls=False)
    texts = _collect("list", inner, value, [], skip_nulls=True)
    some = call("list_slice", texts, exp.Literal.number(1), limit)
    is_some = exp.GT(this=limit.copy(), expression=exp.Literal.number(0))
    return exp.If(this=is_some, true=call("array_to_string", some, separator))


def _any_value(node: exp.AnyValue) -> Node:
    extreme = node.this
    if not isinstance(extreme, exp.HavingMax):
        return node
    # DuckDB's arg_max passes over rows whose value is NULL.
    name = "arg_max_null" if extreme.args.get("max") else "arg_min_null"
    return call(name, extreme.this, extreme.expression)


def _having(node: exp.HavingMax) -> Node:
    if not isinstance(node.parent, exp.AnyValue):
        raise unimplemented("HAVING in aggregates other than ANY_VALUE")
    return node  # see _any_value


def _array_concat_agg(node: exp.ArrayConcatAgg) -> Node:
    value, more, distinct, _, limit = _parts(node.this)
    if more or distinct:
        raise refused(node)
    arrays = _collect("list", node.this, value, [], skip_nulls=True)
    if limit is not None:
        arrays = call("list_slice", arrays, exp.Literal.number(1), limit)
    return call("flatten", arrays)


def _quantiles(node: exp.ApproxQuantiles) -> Node:
    only(node, "this", "expression")
    count = _constant(node.expression)
    if not count or isinstance(node.this, exp.Distinct):
        raise refused(node)
    # Exact ones are good approximations.
    shares = [exp.Literal.number(f"{part / count:.17f}") for part in range(count + 1)]
    return call("quantile_disc", node.this, exp.Array(expressions=shares))


def _top_count(node: exp.ApproxTopK) -> Node:
    only(node, "this", "expression")
    if not _constant(node.expression) or isinstance(node.this, exp.Distinct):
        raise refused(node)
    # Exact counts are good approximations.
    return call("bq_top_count", call("list", node.this), node.expression)


def _top_sum(node: exp.ApproxTopSum) -> Node:
    only(node, "this", "expression", "count")
    if not _constant(node.args["count"]) or isinstance(node.this, exp.Distinct):
        raise refused(node)
    # Exact sums are good approximations.
    members = [
        exp.PropertyEQ(this=exp.to_identifier(name), expression=value.copy())
        for name, value in (("value", node.this), ("weight", node.expression))
    ]
    pairs = call("list", exp.Struct(expressions=members))
    return call("bq_top_sum", pairs, node.args["count"])


LOWER: Lowering = {
    exp.AnyValue: _any_value,
    exp.ApproxQuantiles: _quantiles,
    exp.ApproxTopK: _top_count,
    exp.ApproxTopSum: _top_sum,
    exp.ArgMax: lambda node: call("arg_max_null", node.this, node.expression),
    exp.ArgMin: lambda node: call("arg_min_null", node.this, node.expression),
    exp.ArrayConcatAgg: _array_concat_agg,
    exp.ApproxDistinct: _count_distinct,
    exp.ArrayAgg: _array_agg,
    exp.Avg: _avg,
    exp.Corr: _corr,
    exp.CountIf: _countif,
    exp.GroupConcat: _string_agg,
    exp.HavingMax: _having,
    exp.IgnoreNulls: _nulls,
    exp.LogicalAnd: _logical,
    exp.LogicalOr: _logical,
    exp.RespectNulls: _nulls,
    exp.Window: _window,
}
