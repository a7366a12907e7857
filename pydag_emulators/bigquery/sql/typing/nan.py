"""NaN: in GoogleSQL no comparison with it is true but `!=`; in DuckDB it is the largest number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from pydag_emulators.bigquery.sql.typing.types import FLOAT64, Type

_NAN = exp.Cast(this=exp.Literal.string("nan"), to=exp.DataType.build("FLOAT64", "bigquery"))


def checked_comparison(node: exp.Expr) -> None:
    """Replace what compares FLOAT64 by what says for NaN what GoogleSQL says."""
    rewrite = _REWRITES.get(type(node))
    if rewrite is None:
        return
    holder = exp.Paren(this=exp.Null())
    node.replace(holder)
    holder.set("this", rewrite(node))


def order_with_nan(order: exp.Order, types: list[Type | None]) -> None:
    """ORDER BY: put a key in front of each key that may be NaN, which comes before all numbers."""
    query = order.parent
    if isinstance(query, exp.Select) and query.args.get("distinct"):
        return
    keys: list[exp.Expr] = []
    for key, type_ in zip(order.expressions, types, strict=True):
        value = _ordered_value(key.this, query)
        if type_ not in (None, FLOAT64) and not isinstance(key.this, exp.Literal):
            key.meta["typed"] = True
        if _has_distances(query):
            pass  # only one key can be measured by: see `sql.nan` for NaN
        elif type_ == FLOAT64 and value is not None and not is_number(value):
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


def _has_distances(window: exp.Expr | None) -> bool:
    """Whether its frame is so much less or more than a row: `RANGE BETWEEN 2 PRECEDING …`."""
    spec = window.args.get("spec") if isinstance(window, exp.Window) else None
    return spec is not None and any(
        isinstance(spec.args.get(side), exp.Expr) for side in ("start", "end")
    )


def _ordered_value(node: exp.Expr, query: exp.Expr | None) -> exp.Expr | None:
    """What a key stands for: an alias of the SELECT list can't stand in an expression."""
    if not isinstance(node, exp.Column) or node.table or not isinstance(query, exp.Select):
        is_operation = isinstance(query, exp.SetOperation | exp.Subquery)
        return None if is_operation or isinstance(node, exp.Literal) else node
    for column in query.expressions:
        if isinstance(column, exp.Alias) and column.alias.lower() == node.name.lower():
            return _with_windows(column.this, query)
    return node


def _with_windows(value: exp.Expr, query: exp.Select) -> exp.Expr:
    """A copy with the named windows written out: DuckDB's ORDER BY can't name them."""
    named = {window.name.lower(): window for window in query.args.get("windows") or ()}
    copied = value.copy()
    for window in list(copied.find_all(exp.Window)):
        definition = named.get(window.alias.lower())
        if definition is None:
            continue
        window.set("alias", None)
        for part in ("partition_by", "order", "spec"):
            inner = definition.args.get(part)
            if inner:
                copies = [x.copy() for x in inner] if isinstance(inner, list) else inner.copy()
                window.set(part, copies)
    return copied


def is_number(node: exp.Expr) -> bool:
    """Whether it can't be NaN: a literal, or a number of another type."""
    if isinstance(node, exp.Paren | exp.Neg):
        return is_number(node.this)
    if isinstance(node, exp.Cast):
        return bool(node.meta.get("widened"))
    return isinstance(node, exp.Literal)


def _nan(value: exp.Expr) -> exp.Expr:
    return exp.IsNan(this=value.copy())


def _unless(node: exp.Expr, value: exp.Expr, others: Sequence[exp.Expr]) -> exp.Expr:
    """The comparison, but if `value` is NaN it is false, or NULL if one of `others` is."""
    if is_number(value):
        return node
    # Not a CASE, since DuckDB joins by the comparisons that AND combines.
    allowed: exp.Expr = exp.Not(this=_nan(value))
    for other in others:
        if not _is_literal(other):
            null_or_false = exp.NEQ(this=other.copy(), expression=other.copy())
            null_or_false.meta["typed"] = True
            allowed = exp.Or(this=allowed, expression=null_or_false)
    return exp.And(this=node.copy(), expression=exp.Paren(this=allowed))


def _is_literal(node: exp.Expr) -> bool:
    if isinstance(node, exp.Paren | exp.Neg | exp.Cast):
        return _is_literal(node.this)
    return isinstance(node, exp.Literal)


def _equal(node: exp.Expr) -> exp.Expr:
    return node if is_number(node.expression) else _unless(node, node.this, [node.expression])


def _greater(node: exp.Expr) -> exp.Expr:
    return _unless(node, node.this, [node.expression])


def _in(node: exp.Expr) -> exp.Expr:
    return _unless(node, node.this, node.expressions)


def _less(node: exp.Expr) -> exp.Expr:
    return _unless(node, node.expression, [node.this])


def _unequal(node: exp.Expr) -> exp.Expr:
    if is_number(node.this) or is_number(node.expression):
        return node
    both = exp.And(this=_nan(node.this), expression=_nan(node.expression))
    return exp.Or(this=node.copy(), expression=exp.Paren(this=both))


def _between(node: exp.Expr) -> exp.Expr:
    low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    low.meta["typed"] = high.meta["typed"] = True
    sides = (exp.Paren(this=_greater(low)), exp.Paren(this=_less(high)))
    return exp.And(this=sides[0], expression=sides[1])


def _nullif(node: exp.Expr) -> exp.Expr:
    same = exp.EQ(this=node.this.copy(), expression=node.expression.copy())
    same.meta["typed"] = True
    return exp.Case(ifs=[exp.If(this=_equal(same), true=exp.Null())], default=node.this.copy())


def _least(node: exp.Expr) -> exp.Expr:
    parts = [part for part in (node.this, *node.expressions) if not is_number(part)]
    some = [exp.If(this=_nan(part), true=part.copy()) for part in parts]
    return exp.Case(ifs=some, default=node.copy()) if some else node


def _of_group(some: exp.Expr, node: exp.Expr) -> exp.Expr:
    """NaN if `some` is true of a row of the group."""
    is_nan = exp.If(this=exp.LogicalOr(this=some), true=_NAN.copy())
    return exp.Case(ifs=[is_nan], default=node.copy())


def _argument(node: exp.Expr) -> exp.Expr:
    argument: exp.Expr = node.this
    return argument.expressions[0] if isinstance(argument, exp.Distinct) else argument


def _min(node: exp.Expr) -> exp.Expr:
    return _of_group(_nan(_argument(node)), node)


def _spread(node: exp.Expr) -> exp.Expr:
    value = _argument(node)
    return _of_group(exp.Or(this=_nan(value), expression=exp.IsInf(this=value.copy())), node)


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.EQ: _equal,
    exp.NEQ: _unequal,
    exp.GT: _greater,
    exp.GTE: _greater,
    exp.In: _in,
    exp.LT: _less,
    exp.LTE: _less,
    exp.Between: _between,
    exp.Nullif: _nullif,
    exp.Least: _least,
    exp.Min: _min,
    **dict.fromkeys(
        (exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop), _spread
    ),
}
