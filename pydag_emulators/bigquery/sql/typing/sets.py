"""Set operations: all queries get the columns of the first, with types that they have in common."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.shapes import match_by_name
from pydag_emulators.bigquery.sql.typing.coerce import coerce, is_literal
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import Columns, Given, Type, supertype
from pydag_emulators.bigquery.sql.typing.visitor import Visitor


def set_operation(typer: Visitor, node: exp.SetOperation, scope: Scope) -> Columns | None:
    """The columns of the first query, with the types that all have in common."""
    _match_names(typer, node, scope)
    leaves = _leaves(node)
    found = [typer.query(leaf, scope) for leaf in leaves]
    for part in list(node.iter_expressions()):
        if part.arg_key == "order":
            values = {n.lower(): t for n, t in found[0] or ()}
            typer.clause(part, Scope(scope, values=values))
    known = [columns for columns in found if columns is not None]
    if len(known) != len(found):
        return None
    if len({len(columns) for columns in known}) != 1:
        raise invalid_query(
            f"Queries in {node.key.upper()} have mismatched column count; query 1 has "
            f"{len(known[0])} columns, another one has "
            f"{next(len(c) for c in known if len(c) != len(known[0]))}"
        )
    types: list[Type | None] = []
    for index in range(len(known[0])):
        given = [
            _given(leaf, index, columns[index][1])
            for leaf, columns in zip(leaves, known, strict=True)
        ]
        types.append(_common(given, node, index + 1))
    for leaf, columns in zip(leaves, known, strict=True):
        _convert(leaf, columns, types)
    return tuple((name, type_) for (name, _), type_ in zip(known[0], types, strict=True))


def _match_names(typer: Visitor, node: exp.SetOperation, scope: Scope) -> None:
    """Bring the columns of set operations BY NAME into one order."""
    for side in (node.this, node.expression):
        if isinstance(side, exp.SetOperation):
            if _operation(side) != _operation(node):
                raise invalid_query(
                    "Syntax error: Different set operations cannot be used in the same query "
                    "without using parentheses for grouping"
                )
            _match_names(typer, side, scope)
    if node.args.get("by_name"):
        sides = [exp.Paren(this=side.copy()) for side in (node.this, node.expression)]
        match_by_name(node, *[_names_of(typer.query(side, scope)) for side in sides])


def _operation(node: exp.SetOperation) -> tuple[str, bool]:
    return node.key, bool(node.args.get("distinct"))


def _names_of(columns: Columns | None) -> list[str]:
    if columns is None:
        raise unimplemented("set operations BY NAME of unknown columns")
    return [name for name, _ in columns]


def _leaves(node: exp.Expr) -> list[exp.Expr]:
    """The queries that are combined, without operations among them."""
    if isinstance(node, exp.SetOperation):
        return [*_leaves(node.this), *_leaves(node.expression)]
    inner = node.this if isinstance(node, exp.Subquery | exp.Paren) else None
    plain = {"this", "alias"}
    if (
        isinstance(inner, exp.SetOperation)
        and not any(value for key, value in node.args.items() if key not in plain)
        and not any(inner.args.get(key) for key in ("order", "limit", "offset", "with_"))
    ):
        return _leaves(inner)
    return [node]


def _given(leaf: exp.Expr, index: int, type_: Type | None) -> Given | None:
    if type_ is None:
        return None
    column = _column(leaf, index)
    return Given(type_, column is not None and is_literal(column))


def _column(leaf: exp.Expr, index: int) -> exp.Expr | None:
    """The expression of a column, if the SELECT list has it written out."""
    select = leaf.unnest()
    if not isinstance(select, exp.Select) or any(c.find(exp.Star) for c in select.expressions):
        return None
    if index >= len(select.expressions):
        return None
    column: exp.Expr = select.expressions[index]
    return column.this if isinstance(column, exp.Alias) else column


def _common(given: list[Given | None], node: exp.Expr, position: int) -> Type | None:
    known = [one for one in given if one is not None]
    if len(known) != len(given):
        return None
    type_ = supertype(known)
    if type_ is None:
        types = ", ".join(str(one.type) for one in known)
        raise invalid_query(
            f"Column {position} in {node.key.upper()} has incompatible types: {types}"
        )
    return type_


def _convert(leaf: exp.Expr, columns: Columns, types: list[Type | None]) -> None:
    """Give the columns of a query these types."""
    wrong = [
        index
        for index, ((_, of), to) in enumerate(zip(columns, types, strict=True))
        if of is not None and to is not None and of != to and (of.kind != "NULL" or to.members)
    ]
    if not wrong:
        return
    written = [_column(leaf, index) for index in wrong]
    select = leaf.unnest()
    if all(column is not None for column in written) and not select.args.get("distinct"):
        for index, column in zip(wrong, written, strict=True):
            of, to = columns[index][1], types[index]
            if column is not None and of is not None and to is not None:
                coerce(column, Given(of, is_literal(column)), to)
        return
    name = "\N{MIDDLE DOT}q"
    names = [f"\N{MIDDLE DOT}c{index}" for index in range(len(columns))]
    values: list[exp.Expr] = []
    for column_name, (of, to), (label, _) in zip(
        names, zip([t for _, t in columns], types, strict=True), columns, strict=True
    ):
        alias = exp.alias_(exp.column(column_name, table=name, quoted=True), label, quoted=True)
        values.append(alias)
        if of is not None and to is not None and of != to:
            coerce(alias.this, Given(of), to)
    inner = leaf.this if isinstance(leaf, exp.Subquery) else leaf
    alias_ = exp.TableAlias(
        this=exp.to_identifier(name, quoted=True),
        columns=[exp.to_identifier(column_name, quoted=True) for column_name in names],
    )
    wrapped = exp.Select(expressions=values)
    leaf.replace(wrapped)
    wrapped.set("from_", exp.From(this=exp.Subquery(this=inner.copy(), alias=alias_)))
