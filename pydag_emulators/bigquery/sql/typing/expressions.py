"""The type of each expression; operands are coerced on the way."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.sql.typing import calls, choices, operators
from pydag_emulators.bigquery.sql.typing.results import BY_FIRST, FIXED
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import FLOAT64, INT64, NULL, STRING, Type
from pydag_emulators.bigquery.sql.typing.visitor import Handlers, Visitor, scalar


def visit(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """The type of an expression, in which operands have been coerced; None if unknown."""
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(typer, node, scope)
    if isinstance(node, exp.Query | exp.Subquery):
        return scalar(typer, node, scope)
    types = [typer.visit(child, scope) for child in list(node.iter_expressions())]
    if type(node) in FIXED:
        return FIXED[type(node)]
    by_first = BY_FIRST.get(type(node))
    if by_first is None or not types or types[0] is None:
        return None
    return by_first(types[0])


def _column(_typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if isinstance(node.this, exp.Star):
        return None
    return scope.find([part.name for part in node.parts])  # type: ignore[attr-defined]


def _literal(_typer: Visitor, node: exp.Expr, _scope: Scope) -> Type:
    if node.is_string:
        return STRING
    return INT64 if node.is_int else FLOAT64


def _null(_typer: Visitor, _node: exp.Expr, _scope: Scope) -> Type:
    return NULL


def _nothing(_typer: Visitor, _node: exp.Expr, _scope: Scope) -> None:
    return None


_HANDLERS: Handlers = {
    **operators.HANDLERS,
    **choices.HANDLERS,
    **calls.HANDLERS,
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Null: _null,
    **dict.fromkeys((exp.DataType, exp.Identifier, exp.Var, exp.Star), _nothing),
}
