"""Functions whose results' types depend on more than their first argument."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.typing.nan import checked_comparison
from pydag_emulators.bigquery.sql.typing.operators import NUMBERS
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import (
    BYTES,
    DATE,
    DATETIME,
    FLOAT64,
    INT64,
    NULL,
    STRING,
    TIME,
    Type,
    type_of_data_type,
)
from pydag_emulators.bigquery.sql.typing.visitor import Handlers, Visitor

_CLOCK = ("HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND")


def _cast(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    typer.visit(node.this, scope)
    return type_of_data_type(node.args["to"])


def _date_moved(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if node.expression is not None:
        typer.visit(node.expression, scope)
    return DATE if type_ == STRING else type_


def _extract(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.expression, scope)
    part = node.this.name.upper()
    if (type_ == DATE and part in _CLOCK) or (type_ == TIME and part not in _CLOCK):
        raise invalid_query(f"EXTRACT from {type_} does not support the {part} date part")
    wanted = {"DATE": DATE, "DATETIME": DATETIME, "TIME": TIME}
    return wanted.get(node.this.name.upper(), INT64)


def _concat(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    types = [typer.visit(child, scope) for child in list(node.iter_expressions())]
    return next((type_ for type_ in types if type_ not in (None, NULL)), STRING)


def _anonymous(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    types = [typer.visit(child, scope) for child in list(node.expressions)]
    known = {"IEEE_DIVIDE": FLOAT64}
    return known.get(node.name.upper()) if types else None


def _window(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    for part in list(node.iter_expressions()):
        if part.arg_key == "partition_by":
            key = typer.visit(part, scope)
            if key is not None and key.kind in ("FLOAT64", "STRUCT", "ARRAY", "JSON"):
                raise invalid_query(f"Partitioning by expressions of type {key} is not allowed")
        elif part.arg_key != "this":
            typer.clause(part, scope)
    return type_


def _total(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if type_ is None or type_.kind in (*NUMBERS, "NULL"):
        return FLOAT64 if type_ == INT64 and isinstance(node, exp.Avg) else type_
    raise invalid_query(
        f"No matching signature for aggregate function {node.key.upper()} for argument "
        f"types: {type_}"
    )


def _extreme(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if type_ is not None and type_.kind in ("STRUCT", "ARRAY", "JSON"):
        raise invalid_query(f"{node.key.upper()} is not defined for arguments of type {type_}")
    is_window = isinstance(node.parent, exp.Window)
    node.meta["typed"] = type_ is not None and not (is_window and type_ == FLOAT64)
    if type_ == FLOAT64 and isinstance(node, exp.Min) and not is_window:
        checked_comparison(node)
    return type_


def _spread(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """STDDEV and VARIANCE, which are NaN if a value is NaN or infinite."""
    type_ = typer.visit(node.this, scope)
    if type_ == FLOAT64 and not isinstance(node.parent, exp.Window):
        checked_comparison(node)
    return FLOAT64


def _text_agg(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if type_ == BYTES:
        raise unimplemented("STRING_AGG of BYTES")
    if type_ not in (None, NULL, STRING):
        raise invalid_query(
            f"No matching signature for aggregate function STRING_AGG for argument types: {type_}"
        )
    return STRING


HANDLERS: Handlers = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    **dict.fromkeys((exp.DateAdd, exp.DateSub, exp.DateTrunc), _date_moved),
    exp.Extract: _extract,
    exp.Concat: _concat,
    exp.DPipe: _concat,
    exp.Anonymous: _anonymous,
    exp.Window: _window,
    exp.Sum: _total,
    exp.Avg: _total,
    exp.Max: _extreme,
    exp.Min: _extreme,
    **dict.fromkeys(
        (exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop), _spread
    ),
    exp.GroupConcat: _text_agg,
}
