"""Refuses string literals in set operations whose other queries have another type there.

`SELECT d FROM t UNION ALL SELECT '2024-01-01'` has a column of dates in GoogleSQL, but one of texts
in DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb
from duckdb.sqltypes import DuckDBPyType
from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented

Types = Callable[[exp.Expression], list[DuckDBPyType]]
_FINE = ("varchar", "null")


def check_literals(tree: exp.Expression, types_of: Types) -> None:
    """Refuse such literals; `types_of` gives the types of a query's columns.

    Raises:
        ApiError: `notImplemented`.
    """
    for union in tree.find_all(exp.SetOperation):
        if isinstance(union.parent, exp.SetOperation):
            continue
        leaves = _leaves(union)
        literal = {i for leaf in leaves for i, col in enumerate(leaf.selects) if _is_text(col)}
        for leaf in leaves if literal else []:
            for index, type_ in enumerate(_types(union, leaf, types_of)):
                if index in literal and type_.id not in _FINE:
                    raise unimplemented(
                        f"a string literal for a column of type {type_} in a set operation: cast it"
                    )


def _leaves(node: exp.Expr) -> list[exp.Select]:
    if isinstance(node, exp.SetOperation):
        return [*_leaves(node.left), *_leaves(node.right)]
    if isinstance(node, exp.Subquery | exp.Paren):
        return _leaves(node.this)
    return [node] if isinstance(node, exp.Select) else []


def _is_text(column: exp.Expr) -> bool:
    value = column.this if isinstance(column, exp.Alias) else column
    return isinstance(value, exp.Literal) and value.is_string


def _types(union: exp.Expression, leaf: exp.Select, types_of: Types) -> list[DuckDBPyType]:
    query = leaf.copy()
    ctes: list[exp.Expr] = []
    node: exp.Expr | None = leaf
    while node is not None:
        with_ = node.args.get("with_")
        ctes[:0] = [cte.copy() for cte in with_.expressions] if with_ is not None else []
        node = node.parent
    if ctes:
        recursive = any(w.args.get("recursive") for w in union.root().find_all(exp.With))
        query.set("with_", exp.With(expressions=ctes, recursive=recursive))
    try:
        return types_of(query)
    except duckdb.Error:
        return []  # it refers to a query around it, and cannot stand alone
