"""Operators: arithmetic and comparisons."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.typing.coerce import coerce
from pydag_emulators.bigquery.sql.typing.nan import checked_comparison
from pydag_emulators.bigquery.sql.typing.results import check_condition
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import (
    BOOL,
    DATE,
    DATETIME,
    FLOAT64,
    INT64,
    NULL,
    NUMERIC,
    TIMESTAMP,
    Type,
    data_type,
    supertype,
)
from pydag_emulators.bigquery.sql.typing.visitor import Handlers, Visitor, common, given

SIGNS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.EQ: "=", exp.NEQ: "!=",
    exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
NUMBERS = ("INT64", "NUMERIC", "FLOAT64")
_TOO_BIG = str(2**63)
"""The only whole number that is an INT64 with a sign before it only."""


def _arithmetic(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    one, other = given(typer, node.this, scope), given(typer, node.expression, scope)
    if one is None or other is None:
        return None
    if NULL in (one.type, other.type):
        raise unimplemented(f"arithmetic with NULL without a type ({node.sql('bigquery')})")
    if one.type.kind in NUMBERS and other.type.kind in NUMBERS:
        type_ = supertype([one, other])
        if type_ == NUMERIC:
            coerce(node.this, one, type_)
            coerce(node.expression, other, type_)
        is_real = isinstance(node, exp.Div | exp.SafeDivide)
        return FLOAT64 if type_ == INT64 and is_real else type_
    if isinstance(node, exp.Add | exp.Sub):
        if DATE in (one.type, other.type) and INT64 in (one.type, other.type):
            return DATE
        if {one.type, other.type} == {DATE} or {one.type, other.type} == {TIMESTAMP}:
            raise unimplemented(f"intervals ({node.sql('bigquery')})")
    sign = SIGNS.get(type(node), node.key.upper())
    raise invalid_query(
        f"No matching signature for operator {sign} for argument types: {one.type}, {other.type}"
    )


def _interval(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    for child in list(node.iter_expressions()):
        typer.visit(child, scope)
    return None


def _added(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """`+` and `-`, also of intervals."""
    sides = (node.this, node.expression)
    if any(isinstance(side.unnest(), exp.Interval) for side in sides):
        types = [typer.visit(side, scope) for side in sides]
        known = next((type_ for type_ in types if type_ is not None), None)
        return DATETIME if known == DATE else known
    return _arithmetic(typer, node, scope)


def _inexact(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    types = [typer.visit(child, scope) for child in list(node.iter_expressions())]
    if NUMERIC in types and FLOAT64 not in types:
        raise unimplemented(f"{node.key.upper()} of NUMERIC")
    return FLOAT64


def _compared(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    sign = SIGNS.get(type(node), node.key.upper())
    type_ = common(typer, node, (("this", None), ("expression", None)), scope, f"operator {sign}")
    if type_ is not None:
        node.meta["typed"] = True
        is_ordered = isinstance(node, exp.LT | exp.LTE | exp.GT | exp.GTE)
        _check_comparable(type_, sign, ordered=is_ordered)
        check_members(type_)
        if type_ == FLOAT64:
            checked_comparison(node)
    return BOOL


def _between(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    places = (("this", None), ("low", None), ("high", None))
    type_ = common(typer, node, places, scope, "operator BETWEEN")
    if type_ is not None:
        node.meta["typed"] = True
        _check_comparable(type_, "BETWEEN", ordered=True)
        if type_ == FLOAT64:
            checked_comparison(node)
    return BOOL


def _in(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if node.args.get("query") is not None or node.args.get("unnest") is not None:
        for child in list(node.iter_expressions()):
            if isinstance(child, exp.Unnest):
                for part in list(child.expressions):
                    typer.visit(part, scope)
            else:
                typer.visit(child, scope)
        return BOOL
    places = [("this", None), *(("expressions", i) for i in range(len(node.expressions)))]
    type_ = common(typer, node, places, scope, "operator IN")
    node.meta["typed"] = type_ is not None
    check_members(type_)
    if type_ == FLOAT64:
        checked_comparison(node)
    return BOOL


def _negated(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if isinstance(node.this, exp.Literal) and node.this.name == _TOO_BIG:
        node.replace(exp.Cast(this=exp.Literal.string(f"-{_TOO_BIG}"), to=data_type(INT64)))
        return INT64
    return typer.visit(node.this, scope)


def _check_comparable(type_: Type, sign: str, *, ordered: bool) -> None:
    if type_.kind in ("JSON", "ARRAY") or (ordered and type_.kind == "STRUCT"):
        raise invalid_query(f"{sign} is not defined for arguments of type {type_}")


def check_members(type_: Type | None) -> None:
    """Refuse to compare structs that may hold NaN, which is equal to itself in DuckDB."""
    if type_ is not None and type_.kind == "STRUCT" and _has_float(type_):
        raise unimplemented(f"comparisons of structs with FLOAT64 ({type_})")


def _has_float(type_: Type) -> bool:
    return type_ == FLOAT64 or any(_has_float(member) for _, member in type_.members)


def _is(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if isinstance(node.expression, exp.Boolean):
        check_condition(type_, "The operand of IS TRUE or IS FALSE")
    return BOOL


HANDLERS: Handlers = {
    exp.Add: _added,
    exp.Sub: _added,
    **dict.fromkeys(
        (
            exp.Mul, exp.Div, exp.Mod, exp.IntDiv, exp.SafeDivide, exp.SafeAdd, exp.SafeSubtract,
            exp.SafeMultiply,
        ),
        _arithmetic,
    ),
    exp.Interval: _interval,
    **dict.fromkeys(
        (
            exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ
        ),
        _compared,
    ),
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Neg: _negated,
    **dict.fromkeys((exp.Pow, exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Cbrt), _inexact),
}  # fmt: skip
