"""PIVOT and UNPIVOT as the queries that they stand for.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#pivot_operator
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented

Columns = Sequence[tuple[str, object]]
"""Names and types."""
_INPUT = "input\N{MIDDLE DOT}"
_OUTPUT = "output\N{MIDDLE DOT}"
_IGNORE_NULLS = (
    exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count, exp.AnyValue, exp.LogicalAnd, exp.LogicalOr,
    exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.BitwiseAndAgg,
    exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.GroupConcat, exp.ApproxDistinct, exp.Corr,
    exp.CovarPop, exp.CovarSamp,
)  # fmt: skip


def written_out(node: exp.Expr, columns: Columns | None) -> exp.Subquery:
    """The relation with its first PIVOT or UNPIVOT as a query; `columns` are those before it."""
    pivot, *more = node.args["pivots"]
    plain = node.copy()
    plain.set("pivots", None)
    if columns is None or plain.args.get("joins"):
        raise unimplemented("PIVOT or UNPIVOT of a relation whose columns are not known")
    alias = pivot.args.get("alias")
    if pivot.find(exp.Query) is not None or (alias is not None and alias.columns):
        raise unimplemented(f"this in PIVOT: {pivot.sql(dialect='bigquery')[:100]}")
    write = _unpivot if pivot.args.get("unpivot") else _pivot
    query = write(plain, pivot, columns)
    return exp.Subquery(this=query, alias=alias.copy() if alias else None, pivots=more or None)


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table=table, quoted=True)


def _check_known(names: Sequence[str], columns: Columns) -> None:
    known = {name.lower() for name, _ in columns}
    for name in names:
        if name.lower() not in known:
            raise invalid_query(f"Unrecognized name: {name}")


def _pivot(source: exp.Expr, pivot: exp.Pivot, columns: Columns) -> exp.Expression:
    (by,) = pivot.args["fields"] if len(pivot.args["fields"]) == 1 else (None,)
    if by is None or not pivot.expressions:
        raise invalid_query("PIVOT must have one FOR … IN (…)")
    used = [c for part in (by.this, *pivot.expressions) for c in part.find_all(exp.Column)]
    _check_known([column.name for column in used if not column.table], columns)
    # `a.b` is a member of the column `a`, or the column `b` of the relation `a`.
    taken = {part.name.lower() for column in used for part in column.parts[:2]}
    keys = [name for name, _ in columns if name.lower() not in taken]
    if len(pivot.expressions) > 1 and not all(_is_named(one) for one in pivot.expressions):
        raise invalid_query("PIVOT with several aggregates needs an alias for each of them")
    values: list[exp.Expr] = []
    for item in by.expressions:
        value, label = _labelled(item)
        condition = exp.NullSafeEQ(this=by.this.copy(), expression=value.copy())
        for one in pivot.expressions:
            call = one.this if _is_named(one) else one
            name = f"{one.alias}_{label}" if _is_named(one) else label
            values.append(exp.alias_(_of_rows(call.copy(), condition), name, quoted=True))
    _check_different([*keys, *(value.alias_or_name for value in values)])
    query = exp.Select(expressions=[*map(_column, keys), *values], from_=exp.From(this=source))
    if keys:
        query.set("group", exp.Group(expressions=[_column(key) for key in keys]))
    return query


def _check_different(names: Sequence[str]) -> None:
    lower = [name.lower() for name in names]
    twice = next((name for name in lower if lower.count(name) > 1), None)
    if twice is not None:
        raise invalid_query(f"Duplicate column name {twice} in the result of PIVOT or UNPIVOT")


def _is_named(node: exp.Expr) -> bool:
    return isinstance(node, exp.Alias)


def _of_rows(call: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The aggregate of those rows only for which the condition is true."""
    if isinstance(call, exp.Count) and isinstance(call.this, exp.Star):
        return exp.CountIf(this=condition.copy())
    if isinstance(call, exp.CountIf):
        both = exp.And(this=condition.copy(), expression=exp.Paren(this=call.this.copy()))
        return exp.CountIf(this=both)
    inner = call.this if isinstance(call, exp.IgnoreNulls) else call
    ignores = isinstance(inner, _IGNORE_NULLS) or (inner is not call and inner.key == "arrayagg")
    if not ignores or call.find(exp.HavingMax) is not None:
        raise unimplemented(f"{call.sql(dialect='bigquery')[:80]} in PIVOT")
    argument: exp.Expr = inner.this
    while isinstance(argument, exp.Limit | exp.Order | exp.Distinct):
        is_distinct = isinstance(argument, exp.Distinct)
        argument = argument.expressions[0] if is_distinct else argument.this
    argument.replace(exp.If(this=condition.copy(), true=argument.copy(), false=exp.Null()))
    return call


def _labelled(item: exp.Expr) -> tuple[exp.Expr, str]:
    """A value of FOR … IN, and what it gives to the names of columns."""
    if isinstance(item, exp.PivotAlias | exp.Alias):
        return item.this, str(item.args["alias"].name)
    text = _name_of(item)
    if text is None:
        raise unimplemented(f"PIVOT of {item.sql(dialect='bigquery')} without an alias")
    return item, text


def _name_of(value: exp.Expr) -> str | None:
    if isinstance(value, exp.Literal) and value.is_string:
        return str(value.name)
    if isinstance(value, exp.Literal):
        return "_" + value.name.replace(".", "_point_")
    if isinstance(value, exp.Neg) and isinstance(value.this, exp.Literal):
        return f"_minus{_name_of(value.this)}"
    if isinstance(value, exp.Null | exp.Boolean):
        return str(value.sql()).upper()
    is_date = isinstance(value, exp.Cast) and value.to.this == exp.DType.DATE
    if is_date and re.fullmatch(r"\d{4}-\d\d-\d\d", value.this.name):
        return "_" + str(value.this.name).replace("-", "_")
    return None


def _unpivot(source: exp.Expr, pivot: exp.Pivot, columns: Columns) -> exp.Expression:
    (by,) = pivot.args["fields"]
    (values,) = pivot.expressions
    names = [one.name for one in (values.expressions if _is_list(values) else [values])]
    rows: list[exp.Expression] = []
    used: list[str] = []
    types = {name.lower(): type_ for name, type_ in columns}
    for item in by.expressions:
        is_named = isinstance(item, exp.PivotAlias | exp.Alias)
        given = item.this if is_named else item
        of = [one.name for one in (given.expressions if _is_list(given) else [given])]
        if len(of) != len(names):
            raise invalid_query("UNPIVOT needs as many columns in each item of IN as before FOR")
        _check_known(of, columns)
        used += [name.lower() for name in of]
        label = item.args["alias"] if is_named else exp.Literal.string("_".join(of))
        rows.append(
            _row([*(_column(name, _INPUT) for name in of), label.copy()], [*names, by.this.name])
        )
        for first, name in zip(used, [n.lower() for n in of], strict=False):
            if str(types[first]) != str(types[name]):
                raise invalid_query(
                    f"The datatype of column does not match with other datatypes in the IN clause. "
                    f"Expected {types[first]}, Found {types[name]}"
                )
    if len(used) != len(set(used)):
        raise invalid_query("Column names in UNPIVOT IN clause must be unique")
    kept = [_column(name, _INPUT) for name, _ in columns if name.lower() not in used]
    _check_different([*(column.name for column in kept), *names, by.this.name])
    made = [_column(name, _OUTPUT) for name in [*names, by.this.name]]
    inner = exp.Subquery(
        this=exp.Select(expressions=[exp.Star()], from_=exp.From(this=source)),
        alias=exp.TableAlias(this=exp.to_identifier(_INPUT, quoted=True)),
    )
    unnest = exp.Unnest(
        expressions=[exp.Array(expressions=rows)],
        alias=exp.TableAlias(columns=[exp.to_identifier(_OUTPUT, quoted=True)]),
    )
    query = exp.Select(
        expressions=[*kept, *made],
        from_=exp.From(this=inner),
        joins=[exp.Join(this=unnest, kind="CROSS")],
    )
    if not pivot.args.get("include_nulls"):
        there = [exp.Not(this=exp.Is(this=one.copy(), expression=exp.Null())) for one in made[:-1]]
        query.set("where", exp.Where(this=exp.or_(*there)))
    return query


def _is_list(node: exp.Expr) -> bool:
    return isinstance(node, exp.Tuple)


def _row(values: list[exp.Expression], names: list[str]) -> exp.Struct:
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value)
            for name, value in zip(names, values, strict=True)
        ]
    )
