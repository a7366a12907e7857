"""Clauses of queries: FROM with UNNEST and JOIN, GROUP BY, HAVING, LIMIT."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    GENERATED,
    Kinds,
    Lowering,
    Node,
    call,
    only,
    refused,
)

KEEP: Kinds = (
    exp.CTE, exp.Cube, exp.From, exp.GroupingSets, exp.Having, exp.Offset, exp.Order, exp.Ordered,
    exp.Qualify, exp.Rollup, exp.Subquery, exp.Table, exp.TableAlias, exp.TableSample, exp.Values,
    exp.Where, exp.With,
)  # fmt: skip


def _unnest(node: exp.Unnest) -> Node:
    """`FROM UNNEST(items) AS x WITH OFFSET AS o`, as a subquery.

    An array of structs gives a column for each member, any other a column named like the alias:
    `unnest(…, max_depth := 2)` does just that. The argument of `IN UNNEST(…)` stays as it is.
    """
    if isinstance(node.parent, exp.In):
        return node
    if isinstance(node.parent, exp.Select | exp.Alias):
        raise invalid_query("Syntax error: Unexpected keyword UNNEST")
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
    exp.Group: _group,
    exp.Join: _join,
    exp.Limit: _limit,
    exp.Select: _select,
    exp.Unnest: _unnest,
}
