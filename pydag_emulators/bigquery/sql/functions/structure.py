"""Clauses, literals, arrays, structs, UNNEST."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    GENERATED,
    Kinds,
    Lowering,
    Node,
    call,
    cast,
    macro,
    number,
    only,
    refused,
    text,
)

KEEP: Kinds = (
    exp.Alias, exp.All, exp.And, exp.Any, exp.Between, exp.Boolean, exp.CTE, exp.Column, exp.Cube,
    exp.Distinct, exp.Exists, exp.From, exp.GroupingSets, exp.Having, exp.Identifier, exp.Is,
    exp.Neg, exp.Not, exp.Null, exp.Offset, exp.Or, exp.Order, exp.Ordered, exp.Paren,
    exp.PropertyEQ, exp.Qualify, exp.Rollup, exp.Star, exp.Subquery, exp.Table, exp.TableAlias,
    exp.Values, exp.Var, exp.Where, exp.With,
)  # fmt: skip


def _literal(node: exp.Literal) -> Node:
    if node.is_string:
        return node
    if not node.is_int:
        return cast(exp.Literal.string(node.name), "DOUBLE")
    # DuckDB takes a number for INT32, which overflows before INT64 does, so it is cast. But a cast
    # number can't be a position as in ORDER BY 1, nor a LIMIT.
    if isinstance(node.parent, exp.Ordered | exp.Group | exp.Limit | exp.Offset):
        return node
    return cast(node, "BIGINT")


def _raw_string(node: exp.RawString) -> Node:
    return exp.Literal.string(node.name)


def _bytes(node: exp.ByteString) -> Node:
    # The tokenizer has resolved the escapes: every character stands for a byte.
    try:
        data = node.name.encode("latin-1")
    except UnicodeEncodeError as error:
        raise refused(node) from error
    return call("unhex", text(data.hex()))


def _hex(node: exp.HexString) -> Node:
    return cast(exp.Literal.number(int(node.name, 16)), "BIGINT")


def _array(node: exp.Array) -> Node:
    items = node.expressions
    if len(items) == 1 and isinstance(items[0], exp.Query):
        return node  # ARRAY(SELECT …)
    first = items[0] if items else None
    if not isinstance(first, exp.Struct):
        return exp.Array(expressions=[item.copy() for item in items])
    # The first struct names the members of all; DuckDB would match the others by name.
    names = [member.this for member in first.expressions]
    return exp.Array(expressions=[_renamed(item, names) for item in items])


def _renamed(item: Node, names: list[Node]) -> Node:
    if not isinstance(item, exp.Struct):
        if isinstance(item, exp.Null):
            return item.copy()
        raise refused(item)
    if len(item.expressions) != len(names):
        raise invalid_query("Array elements of types STRUCT do not have a common supertype")
    members = [
        exp.PropertyEQ(this=name.copy(), expression=member.expression.copy())
        for name, member in zip(names, item.expressions, strict=True)
    ]
    return exp.Struct(expressions=members)


_TAKES_TUPLES = (
    exp.Values, exp.In, exp.Tuple, exp.EQ, exp.NEQ, exp.GroupingSets, exp.Rollup, exp.Cube,
    exp.Any, exp.All,
)  # fmt: skip


def _tuple(node: exp.Tuple) -> Node:
    """`(a, b)` is a struct, except in rows of VALUES and on both sides of IN."""
    if isinstance(node.parent, _TAKES_TUPLES):
        return node
    members = [
        exp.PropertyEQ(this=exp.to_identifier(f"_field_{i}"), expression=item.copy())
        for i, item in enumerate(node.expressions, 1)
    ]
    return _struct(exp.Struct(expressions=members))


def _struct(node: exp.Struct) -> Node:
    if not node.expressions:
        raise refused(node)
    members = []
    for position, member in enumerate(node.expressions, 1):
        if isinstance(member, exp.PropertyEQ):
            name, value = member.name, member.expression
        elif isinstance(member, exp.Column | exp.Dot):
            name, value = member.name, member
        else:
            name, value = f"_field_{position}", member
        members.append(
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value.copy())
        )
    return exp.Struct(expressions=members)


def _bracket(node: exp.Bracket) -> Node:
    index = node.expressions[0]
    offset = node.args.get("offset")
    if node.meta.get("json"):
        return macro(f"json_{node.meta['json']}", node.this, index)
    if len(node.expressions) != 1 or (isinstance(index, exp.Literal) and index.is_string):
        raise refused(node)
    if offset == 1:
        index = exp.Sub(this=index.copy(), expression=number(1))
    return macro("safe_item" if node.args.get("safe") else "item", node.this, exp.Paren(this=index))


def _unnest(node: exp.Unnest) -> Node:
    """`FROM UNNEST(items) AS x WITH OFFSET AS o`, as a subquery.

    An array of structs gives a column for each member, any other a column named like the alias:
    `unnest(…, max_depth := 2)` does just that. The argument of `IN UNNEST(…)` stays as it is.
    """
    if isinstance(node.parent, exp.In):
        return node
    if len(node.expressions) != 1:
        raise refused(node)
    items = node.expressions[0]
    alias = node.args.get("alias")
    names = [] if alias is None else alias.args.get("columns") or []
    # sqlglot holds the alias of BigQuery's UNNEST as the name of its column.
    name = names[0].name if names else (alias.name if alias is not None else "") or ""
    value = exp.Alias(
        this=call("unnest", items, exp.Var(this="max_depth := 2")),
        alias=exp.to_identifier(name or "f0_", quoted=True),
    )
    columns: list[Node] = [value]
    offset = node.args.get("offset")
    if offset is not None and offset is not False:
        label = offset.name if isinstance(offset, exp.Expression) else "offset"
        subscripts = call("generate_subscripts", items, exp.Literal.number(1))
        row = exp.Sub(this=subscripts, expression=exp.Literal.number(1))
        columns.append(exp.Alias(this=row, alias=exp.to_identifier(label or "offset", quoted=True)))
    query = exp.Select(expressions=columns)
    _bring_columns(query)
    table = exp.to_identifier(name or f"{GENERATED}unnest", quoted=True)
    return exp.Subquery(this=query, alias=exp.TableAlias(this=table))


def _bring_columns(query: exp.Select) -> None:
    """Read the columns to its left in a FROM of its own: DuckDB takes no macros of them."""
    brought: dict[str, Node] = {}
    for column in list(query.find_all(exp.Column)):
        is_generated = column.parts[0].name.startswith(GENERATED)
        if is_generated or column.find_ancestor(exp.Query) is not query:
            continue
        alias = exp.to_identifier(f"{GENERATED}left{len(brought)}", quoted=True)
        key = column.sql(dialect="bigquery")
        known = brought.setdefault(key, exp.Alias(this=column.copy(), alias=alias))
        column.replace(exp.column(known.alias, quoted=True))
    if brought:
        left = exp.Select(expressions=list(brought.values()))
        table = exp.TableAlias(this=exp.to_identifier(f"{GENERATED}left", quoted=True))
        query.set("from_", exp.From(this=exp.Subquery(this=left, alias=table)))


def _is_lowered_unnest(node: Node) -> bool:
    columns = node.this.expressions if isinstance(node, exp.Subquery) else []
    return (
        bool(columns)
        and isinstance(columns[0].this, exp.Anonymous)
        and (columns[0].this.name == "unnest")
    )


def _limit(node: exp.Limit) -> Node:
    if isinstance(node.expression, exp.Null):
        raise invalid_query("LIMIT must not be NULL")
    limit = node.expression
    if isinstance(limit, exp.Boolean) or (isinstance(limit, exp.Cast) and "." in limit.this.name):
        raise invalid_query("LIMIT expects an integer literal or parameter")
    if isinstance(node.expression, exp.Column):
        raise unimplemented(f"LIMIT {node.expression.sql()}")
    return node


def _join(node: exp.Join) -> Node:
    """`LEFT JOIN UNNEST(…)` needs no ON in GoogleSQL."""
    only(node, "this", "on", "using", "kind", "side")
    select = node.parent
    columns = select.expressions if isinstance(select, exp.Select) else []
    has_star = any(column.find(exp.Star) for column in columns)
    if node.args.get("side") and _is_lowered_unnest(node.this) and not has_star:
        # A row without a match is NULL itself, not a struct of NULLs.
        node.this.this.expressions[0].this.expressions[1:] = []
    has_condition = node.args.get("on") or node.args.get("using")
    if has_condition or str(node.args.get("kind")).upper() == "CROSS":
        return node
    if not _is_lowered_unnest(node.this):
        raise invalid_query("A JOIN must have an ON or USING clause")
    node.set("on", exp.true())
    return node


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


_SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)


def _group(node: exp.Group) -> Node:
    for part in node.expressions:
        if isinstance(part, _SETS) and not all(isinstance(k, exp.Column) for k in _keys(part)):
            raise unimplemented(f"expressions in {part.sql(dialect='bigquery')}")
    select = node.parent
    if node.args.get("all") and isinstance(select, exp.Select):
        columns = select.expressions
        if not any(column.find(exp.Column, exp.Star) for column in columns):
            raise unimplemented("GROUP BY ALL without a column")
    return node


def _keys(node: Node) -> list[Node]:
    if isinstance(node, (exp.Tuple, *_SETS)):
        return [key for item in node.expressions for key in _keys(item)]
    return _keys(node.this) if isinstance(node, exp.Paren) else [node]


def _dot(node: exp.Dot) -> Node:
    if isinstance(node.expression, exp.Star) and not isinstance(node.this, exp.Column | exp.Dot):
        raise unimplemented(f"`.*` of an expression ({node.sql(dialect='bigquery')[:80]})")
    return node


def _select(node: exp.Select) -> Node:
    """HAVING with rows in lists: DuckDB takes it in QUALIFY only, which wants a window."""
    if node.args.get("kind") and not isinstance(node.parent, exp.Array | exp.Subquery):
        raise unimplemented(f"SELECT AS {node.args['kind']} outside of ARRAY(…)")
    having = node.args.get("having")
    if having is None or not any(map(_has_rows, having.find_all(exp.Lambda, exp.Anonymous))):
        return node
    if node.find(exp.Window) is not None or node.args.get("qualify") is not None:
        raise unimplemented("HAVING with computed aggregates beside window functions")
    counted = exp.Window(this=exp.RowNumber())
    some = exp.GT(this=counted, expression=exp.Literal.number(0))
    condition = exp.And(this=some, expression=exp.Paren(this=having.this.copy()))
    node.set("having", None)
    node.set("qualify", exp.Qualify(this=condition))
    return node


def _has_rows(node: Node) -> bool:
    return isinstance(node, exp.Lambda) or node.name == "bq_farm_fingerprint"


LOWER: Lowering = {
    exp.Array: _array,
    exp.Bracket: _bracket,
    exp.ByteString: _bytes,
    exp.Dot: _dot,
    exp.Group: _group,
    exp.HexString: _hex,
    exp.Interval: _interval,
    exp.Join: _join,
    exp.Limit: _limit,
    exp.Literal: _literal,
    exp.RawString: _raw_string,
    exp.Select: _select,
    exp.Struct: _struct,
    exp.Tuple: _tuple,
    exp.Unnest: _unnest,
}
