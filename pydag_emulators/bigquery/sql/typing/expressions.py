"""The type of each expression; operands are coerced on the way."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.sql.typing import calls, choices, operators
from pydag_emulators.bigquery.sql.typing.results import BY_FIRST, FIXED, check_arguments
from pydag_emulators.bigquery.sql.typing.scope import Scope, Variable
from pydag_emulators.bigquery.sql.typing.types import (
    FLOAT64,
    INT64,
    JSON,
    NULL,
    STRING,
    Type,
    data_type,
)
from pydag_emulators.bigquery.sql.typing.visitor import Handlers, Visitor, scalar


def visit(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """The type of an expression, in which operands have been coerced; None if unknown."""
    _check_operands(node)
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(typer, node, scope)
    if isinstance(node, exp.Query | exp.Subquery):
        return scalar(typer, node, scope)
    types = [typer.visit(child, scope) for child in list(node.iter_expressions())]
    check_arguments(node, types)
    if type(node) in FIXED:
        return FIXED[type(node)]
    by_first = BY_FIRST.get(type(node))
    if by_first is None or not types or types[0] is None:
        return None
    return by_first(types[0])


_OPERATORS: dict[type[exp.Expr], str] = {
    **operators.SIGNS, exp.Like: "LIKE", exp.Not: "NOT", exp.Neg: "-", exp.DPipe: "||",
    exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "^", exp.BitwiseNot: "~",
    exp.BitwiseLeftShift: "<<", exp.BitwiseRightShift: ">>",
}  # fmt: skip


def _check_operands(node: exp.Expr) -> None:
    sign = _OPERATORS.get(type(node))
    if sign is None or node.meta.get("of_case"):
        return
    if isinstance(node.args.get("expression"), exp.Any | exp.All):
        return
    for operand in (node.this, node.args.get("expression")):
        if isinstance(operand, exp.Expression) and isinstance(operand.unnest(), exp.Null):
            raise invalid_query(f"Operands of {sign} cannot be literal NULL")


def _column(_typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if isinstance(node.this, exp.Star):
        return None
    parts = [part.name for part in node.parts]  # type: ignore[attr-defined]
    if len(parts) == 1 and scope.hides_column(parts[0].lower()):
        node.set("table", node.this.copy())
        parts *= 2
    type_ = scope.find(parts)
    for length in range(1, len(parts) if type_ is None else 0):
        if scope.find(parts[:length]) == JSON:
            _read_json(node, length)
            return JSON
    variable = scope.variable(parts)
    if variable is not None:
        _put_in(node, variable, parts)
    return type_


def _read_json(node: exp.Expr, length: int) -> None:
    """Replace a path whose first parts name a column of the type JSON: `column.a.b`."""
    parts = node.parts  # type: ignore[attr-defined]
    value: exp.Expr = exp.Column(
        **dict(zip(("this", "table", "db"), [p.copy() for p in parts[:length][::-1]], strict=False))
    )
    for part in parts[length:]:
        value = choices.json_member(value, part.name)
    node.replace(value)


def _put_in(node: exp.Expr, variable: Variable, path: list[str]) -> None:
    """Replace a path by the value of the variable that it begins with."""
    value, type_ = variable.value.copy(), variable.type
    for name in path[1:]:
        member = type_.member(name) if type_.kind == "STRUCT" else None
        if member is None:
            raise invalid_query(f"Field name {name} does not exist in {path[0]}")
        named = {one.name.lower(): one.expression for one in value.expressions}
        if isinstance(value, exp.Struct):
            value = named[name.lower()]
        else:
            value = exp.Cast(this=exp.Null(), to=data_type(member))
        type_ = member
    is_column = isinstance(node.parent, exp.Select) and node.arg_key == "expressions"
    node.replace(exp.alias_(value, path[-1], quoted=True) if is_column else value)


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
