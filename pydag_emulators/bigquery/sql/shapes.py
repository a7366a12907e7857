"""Makes names in a SELECT clear where DuckDB would understand them in another way."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented


def settle_names(tree: exp.Expression) -> None:
    """Name the columns of every SELECT, and replace its aliases where DuckDB sees columns."""
    for select in list(tree.find_all(exp.Select)):
        _spread_value(select)
        if _is_relation(select):
            select.set("kind", None)  # the members of its rows are columns
        _group_all(select)
        _resolve_aliases(select)
        _name_columns(select)


def _spread_value(select: exp.Select) -> None:
    """SELECT AS VALUE: of a struct that is written out, the members are the columns."""
    if str(select.args.get("kind")).upper() != "VALUE":
        return
    if len(select.expressions) != 1 or isinstance(select.expressions[0], exp.Star):
        raise invalid_query("SELECT AS VALUE query must have exactly one column")
    select.set("kind", None)
    if isinstance(select.parent, exp.Array):
        return
    value = select.expressions[0].unalias()
    if not isinstance(value, exp.Struct):
        if select.parent is None or not isinstance(select.parent.parent, exp.From | exp.Join):
            select.meta["value"] = True
            return
        raise unimplemented("SELECT AS VALUE of other values than STRUCT(…) in FROM")
    members = [
        exp.alias_(member.expression, member.name, quoted=True)
        if isinstance(member, exp.PropertyEQ)
        else member
        for member in value.expressions
    ]
    select.set("expressions", members)


def match_by_name(node: exp.Expr, left: list[str], right: list[str]) -> None:
    """Match the columns of a set operation BY NAME, which those two queries have, by position."""
    both = [name for name in left if name.lower() in {other.lower() for other in right}]
    side, kind = str(node.args.get("side")).upper(), str(node.args.get("kind")).upper()
    if node.args.get("on"):
        wanted = [column.name for column in node.args["on"]]
    elif side == "FULL":
        known = {name.lower() for name in left}
        wanted = [*left, *(name for name in right if name.lower() not in known)]
    elif side == "LEFT" or kind == "INNER":
        wanted = both if kind == "INNER" else left
    elif len(both) != len(left) or len(both) != len(right):
        raise invalid_query(
            "STRICT CORRESPONDING or BY NAME: the input queries must have the same column names"
        )
    else:
        wanted = left
    if not both or len({name.lower() for name in wanted}) != len(wanted):
        raise invalid_query("Set operations BY NAME need columns of the same names, each once")
    for key, names in (("this", left), ("expression", right)):
        node.set(key, _in_order(node.args[key], names, wanted))
    for key in ("by_name", "side", "kind", "on"):
        node.set(key, None)


def _in_order(query: exp.Expr, names: list[str], wanted: list[str]) -> exp.Expr:
    if names == wanted:
        return query
    known = {name.lower() for name in names}
    columns = [
        exp.column(name, quoted=True)
        if name.lower() in known
        else exp.alias_(exp.Null(), name, quoted=True)
        for name in wanted
    ]
    inner = query if isinstance(query, exp.Subquery) else exp.Subquery(this=query.copy())
    return exp.Select(expressions=columns, from_=exp.From(this=inner.copy()))


def _is_relation(select: exp.Select) -> bool:
    """Whether it is SELECT AS STRUCT where rows are wanted: in FROM, or as the whole query."""
    if str(select.args.get("kind")).upper() != "STRUCT":
        return False
    node: exp.Expr = select
    while isinstance(node.parent, exp.SetOperation | exp.Subquery) and node.arg_key != "with_":
        node = node.parent
        if isinstance(node, exp.Subquery) and isinstance(node.parent, exp.From | exp.Join):
            return True
    return (
        node.parent is None
        or isinstance(node.parent, exp.CTE)
        or (isinstance(node.parent, exp.Paren) and node.parent.parent is None)
    )


def _group_all(select: exp.Select) -> None:
    """Write out GROUP BY ALL, which DuckDB doesn't combine with QUALIFY."""
    group = select.args.get("group")
    if group is None or not group.args.get("all") or select.args.get("qualify") is None:
        return
    if any(column.find(exp.Star) for column in select.expressions if not column.find(exp.Count)):
        raise unimplemented("GROUP BY ALL of * with QUALIFY")
    group.set("all", None)
    for position, column in enumerate(select.expressions, 1):
        if column.find(exp.AggFunc, exp.Window) is None and column.find(exp.Column) is not None:
            group.append("expressions", exp.Literal.number(position))


def _name_columns(select: exp.Select) -> None:
    """Give unnamed columns the names that BigQuery gives: f0_, f1_ and so on.

    In SELECT AS STRUCT they are members, and named by their position.
    """
    unnamed = 0
    named = []
    for position, column in enumerate(select.expressions, 1):
        if _has_name(column) and not isinstance(column, exp.Paren):
            named.append(column)
            continue
        if _is_path(column.unnest()):
            # `s.a` may be a member of a struct, and is called `a` from here on.
            named.append(exp.alias_(column, column.unnest().name, quoted=True))
            continue
        name = f"_field_{position}" if select.args.get("kind") else f"f{unnamed}_"
        named.append(exp.alias_(column, name, quoted=True))
        unnamed += 1
    select.set("expressions", named)


def unnamed_column(query: exp.Expression) -> int | None:
    """The position of the first column that its query gives no name."""
    node: exp.Expr = query
    while not isinstance(node, exp.Select):
        if not isinstance(node.this, exp.Expression):
            return None
        node = node.this
    for position, column in enumerate(node.expressions, 1):
        if not _has_name(column) and not _is_path(column.unnest()):
            return position
    return None


def _is_path(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column | exp.Dot) and not node.name.startswith("@@")


def _has_name(node: exp.Expr) -> bool:
    column = node.unnest()
    if isinstance(column, exp.Column | exp.Dot) and _is_path(column):
        is_path = isinstance(column, exp.Dot) or bool(column.table)
        return not is_path or column.find(exp.Star) is not None
    return isinstance(column, exp.Alias | exp.Star | exp.Aliases)


def _resolve_aliases(select: exp.Select) -> None:
    """Replace aliases in GROUP BY, HAVING, QUALIFY and in expressions of ORDER BY.

    There an alias hides a column of the same name in GoogleSQL, but not in DuckDB.
    """
    aliases: dict[str, list[int]] = {}
    for position, column in enumerate(select.expressions):
        if isinstance(column, exp.Alias):
            aliases.setdefault(column.alias.lower(), []).append(position)
    if not aliases:
        return
    group = select.args.get("group")
    if group is not None:
        _resolve_group(select, group, aliases)
    for clause in ("having", "qualify", "order"):
        holder = select.args.get(clause)
        if holder is not None:
            for column in list(_bare_columns(holder)):
                if not isinstance(column.parent, exp.Ordered):
                    _replace(select, column, aliases)


def _resolve_group(select: exp.Select, group: exp.Group, aliases: dict[str, list[int]]) -> None:
    for key in list(group.expressions):
        if isinstance(key, exp.Column):
            position = None if key.table else _position(key, aliases)
            if position is not None:
                key.replace(exp.Literal.number(position + 1))
        elif isinstance(key, exp.Rollup | exp.Cube | exp.GroupingSets):
            for column in list(key.find_all(exp.Column)):
                if not column.table:
                    _replace(select, column, aliases)


def _replace(select: exp.Select, column: exp.Column, aliases: dict[str, list[int]]) -> None:
    position = _position(column, aliases)
    if position is not None:
        value = select.expressions[position].this
        column.replace(exp.Paren(this=value.copy()))


def _position(column: exp.Column, aliases: dict[str, list[int]]) -> int | None:
    positions = aliases.get(column.name.lower(), [])
    if len(positions) > 1:
        raise invalid_query(f"Name {column.name} is ambiguous")
    return positions[0] if positions else None


def _bare_columns(node: exp.Expression) -> Iterator[exp.Column]:
    """Columns without a table's name, except in aggregates, where no alias is known."""
    for child in node.iter_expressions():
        if isinstance(child, exp.Column):
            if not child.table:
                yield child
        elif not isinstance(child, exp.AggFunc | exp.Query):
            yield from _bare_columns(child)
