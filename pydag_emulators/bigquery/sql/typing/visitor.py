"""What the functions of this package need of the one that walks the tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.sql.typing.coerce import coerce, is_literal
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import Columns, Given, Type, supertype

Handler = Callable[["Visitor", Any, Scope], Type | None]
Handlers = dict[type[exp.Expr], Handler]
"""Kind of nodes -> what finds their type and coerces their operands."""


class Visitor(Protocol):
    """The walk; see `Typer`."""

    def visit(self, node: exp.Expr, scope: Scope) -> Type | None:
        """The type of an expression, in which operands have been coerced; None if unknown."""

    def query(self, node: exp.Expr, outer: Scope | None) -> Columns | None:
        """The columns of a query; None if they are not known."""

    def clause(self, node: exp.Expr, scope: Scope) -> None:
        """Visit the expressions of a clause."""


def given(typer: Visitor, node: exp.Expr, scope: Scope) -> Given | None:
    """The type, and whether it is that of a literal."""
    literal = is_literal(node)
    type_ = typer.visit(node, scope)
    return None if type_ is None else Given(type_, literal)


def common(
    typer: Visitor,
    holder: exp.Expr,
    places: Sequence[tuple[str, int | None]],
    scope: Scope,
    what: str,
) -> Type | None:
    """Coerce arguments of `holder` to the type that they have in common.

    Raises:
        ApiError: `invalidQuery` if there is none.
    """
    values = [given(typer, _at(holder, place), scope) for place in places]
    known = [one for one in values if one is not None]
    if len(known) != len(values):
        return None
    type_ = supertype(known)
    if type_ is None:
        types = ", ".join(str(one.type) for one in known)
        raise invalid_query(f"No matching signature for {what} for argument types: {types}")
    for place, one in zip(places, known, strict=True):
        coerce(_at(holder, place), one, type_)
    return type_


def scalar(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """The type of a query that stands for a value."""
    columns = typer.query(node, scope)
    if columns is None or not columns:
        return None
    inner = node.unnest()
    if isinstance(inner, exp.Select) and str(inner.args.get("kind")).upper() == "STRUCT":
        members = tuple((name, type_) for name, type_ in columns if type_ is not None)
        return Type("STRUCT", members) if len(members) == len(columns) else None
    return columns[0][1]


def _at(holder: exp.Expr, place: tuple[str, int | None]) -> exp.Expr:
    name, index = place
    value = holder.args[name]
    node: exp.Expr = value if index is None else value[index]
    return node
