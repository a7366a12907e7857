"""Functions whose results' types depend on more than their first argument."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.typing.coerce import assigned
from pydag_emulators.bigquery.sql.typing.nan import checked_comparison
from pydag_emulators.bigquery.sql.typing.operators import NUMBERS
from pydag_emulators.bigquery.sql.typing.results import check_arguments
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.types import (
    BYTES,
    DATE,
    DATETIME,
    FLOAT64,
    INT64,
    JSON,
    NULL,
    STRING,
    TIME,
    TIMESTAMP,
    Type,
    array_of,
    data_type,
    type_of_data_type,
)
from pydag_emulators.bigquery.sql.typing.visitor import Handler, Handlers, Visitor

_CLOCK = ("HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND")


def _cast(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    of, to = typer.visit(node.this, scope), type_of_data_type(node.args["to"])
    node.meta["of"] = of
    if (
        of is not None
        and to is not None
        and to.kind not in (*_CASTS.get(of.kind, (to.kind,)), of.kind)
    ):
        raise invalid_query(f"Invalid cast from {of} to {to}")
    return to


_NUMBER_CASTS = (*NUMBERS, "STRING")
_CASTS = {
    "INT64": ("BOOL", *_NUMBER_CASTS),
    "NUMERIC": _NUMBER_CASTS,
    "FLOAT64": _NUMBER_CASTS,
    "BOOL": ("INT64", "STRING"),
    "BYTES": ("STRING",),
    "DATE": ("STRING", "DATETIME", "TIMESTAMP"),
    "DATETIME": ("STRING", "DATE", "TIME", "TIMESTAMP"),
    "TIME": ("STRING",),
    "TIMESTAMP": ("STRING", "DATE", "DATETIME", "TIME"),
    "JSON": (),
}
"""Which casts there are: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules"""


def _date_moved(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if node.expression is not None:
        typer.visit(node.expression, scope)
    unit = node.args["unit"].name.upper()
    if isinstance(node, exp.DateTrunc) and type_ in (DATE, STRING) and unit in _CLOCK:
        raise invalid_query(f"DATE_TRUNC does not support the {unit} date part")
    return DATE if type_ == STRING else type_


def _extract(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.expression, scope)
    part = node.this.name.upper()
    if (type_ == DATE and part in _CLOCK) or (type_ == TIME and part not in _CLOCK):
        raise invalid_query(f"EXTRACT from {type_} does not support the {part} date part")
    wanted = {"DATE": DATE, "DATETIME": DATETIME, "TIME": TIME}
    return wanted.get(node.this.name.upper(), INT64)


def _concat(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    given = [typer.visit(child, scope) for child in list(node.iter_expressions())]
    types = [type_ for type_ in given if type_ not in (None, NULL)]
    if isinstance(node, exp.DPipe) and any(type_.kind == "ARRAY" for type_ in types if type_):
        node.meta["arrays"] = True
    if isinstance(node, exp.Concat) and BYTES not in types:
        for child, type_ in zip(list(node.expressions), given, strict=True):
            if type_ is not None and type_.kind in ("ARRAY", "JSON", "STRUCT"):
                raise invalid_query(f"No matching signature for CONCAT for the type {type_}")
            if type_ is not None and type_.kind in _CASTS and type_ != STRING:
                child.replace(exp.Cast(this=child.copy(), to=data_type(STRING)))
        return STRING
    return next(iter(types), STRING)


def _format(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """FORMAT: which conversions there are depends on the types."""
    node.meta["types"] = [typer.visit(child, scope) for child in list(node.expressions)]
    return STRING


def _noted(result: Type | None) -> Handler:
    """Notes the type of the first argument, by which a function is lowered."""

    def handler(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
        first, *_ = [typer.visit(child, scope) for child in list(node.iter_expressions())]
        node.meta["type"] = first
        return result

    return handler


def _json_format(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    return _noted(JSON if node.args.get("to_json") else STRING)(typer, node, scope)


def _json_items(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    first = typer.visit(node.this, scope)
    node.meta["type"] = first
    return array_of(JSON if first == JSON else STRING)


def _json_made(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """JSON_OBJECT and JSON_ARRAY: the types of the values."""
    values = list(node.expressions)
    for item in values:
        if isinstance(item, exp.JSONKeyValue):
            typer.visit(item.this, scope)
    node.meta["types"] = [
        typer.visit(item.expression if isinstance(item, exp.JSONKeyValue) else item, scope)
        for item in values
    ]
    return JSON


def _json_changed(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """JSON_SET and the like: the types of the values, and the options, which have names."""
    options = {}
    for item in list(node.expressions):
        if isinstance(item, exp.Kwarg) and isinstance(item.expression, exp.Boolean):
            options[item.name.lower()] = bool(item.expression.this)
            item.pop()
    first = typer.visit(node.this, scope)
    node.meta["options"] = options
    node.meta["types"] = [typer.visit(item, scope) for item in list(node.expressions)]
    check_arguments(node, [first])
    return JSON


def _anonymous(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    name = node.name.upper()
    if name in _BUCKETS:
        return _bucket(typer, node, scope)
    types = [typer.visit(child, scope) for child in list(node.expressions)]
    known = {"IEEE_DIVIDE": FLOAT64}
    return known.get(name) if types else None


_BUCKETS = {"DATE_BUCKET": DATE, "DATETIME_BUCKET": DATETIME, "TIMESTAMP_BUCKET": TIMESTAMP}
_CLOCKLESS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


def _bucket(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """DATE_BUCKET and the like: buckets are counted from 1950 unless an origin is given."""
    wanted = _BUCKETS[node.name.upper()]
    if len(node.expressions) not in (2, 3) or not isinstance(node.expressions[1], exp.Interval):
        raise invalid_query(f"No matching signature for {node.name.upper()}")
    unit = node.expressions[1].args["unit"].name.upper()
    if wanted == DATE and unit not in _CLOCKLESS:
        raise invalid_query(f"DATE_BUCKET doesn't support intervals in {unit}")
    if unit in ("MONTH", "QUARTER", "YEAR"):
        raise unimplemented(f"{node.name.upper()} by {unit}")
    if len(node.expressions) == 2:
        node.append("expressions", assigned(exp.Literal.string("1950-01-01"), wanted))
    for value in (node.expressions[0], node.expressions[2]):
        value.replace(assigned(value.copy(), wanted))
    typer.visit(node.expressions[1], scope)
    for value in (node.expressions[0], node.expressions[2]):
        typer.visit(value, scope)
    return wanted


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


def _count(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if node.this is None or node.expressions:
        raise invalid_query("Number of arguments does not match for aggregate function COUNT")
    type_ = typer.visit(node.this, scope)
    is_nested = type_ is not None and type_.kind in ("ARRAY", "JSON", "STRUCT")
    if isinstance(node.this, exp.Distinct) and is_nested:
        raise invalid_query(f"COUNT(DISTINCT …) is not supported for arguments of type {type_}")
    return INT64


def _top_sum(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    value, weight = typer.visit(node.this, scope), typer.visit(node.expression, scope)
    if value is None or weight is None:
        return None
    if weight.kind not in NUMBERS:
        raise invalid_query(
            f"No matching signature for APPROX_TOP_SUM for a weight of type {weight}"
        )
    return array_of(Type("STRUCT", (("value", value), ("sum", weight))))


def _date_shown(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """FORMAT_DATE and the like; sqlglot has put what they take the value for around it."""
    value = node.this
    type_ = typer.visit(value.this if isinstance(value, exp.TsOrDsToDate) else value, scope)
    if isinstance(value, exp.TsOrDsToDate) and type_ == TIMESTAMP:
        raise invalid_query("No matching signature for FORMAT_DATE for argument types: TIMESTAMP")
    if node.args.get("zone") is not None:
        if not isinstance(value, exp.TsOrDsToTimestamp):
            raise invalid_query("Only FORMAT_TIMESTAMP takes a time zone")
        typer.visit(node.args["zone"], scope)
    return STRING


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
    exp.Format: _format,
    exp.JSONFormat: _json_format,
    exp.JSONArray: _json_made,
    exp.JSONObject: _json_made,
    **dict.fromkeys((exp.JSONSet, exp.JSONArrayAppend, exp.JSONArrayInsert), _json_changed),
    exp.JSONExtractArray: _json_items,
    exp.String: _noted(STRING),
    exp.DPipe: _concat,
    exp.Anonymous: _anonymous,
    exp.Window: _window,
    exp.Count: _count,
    exp.TimeToStr: _date_shown,
    exp.Sum: _total,
    exp.ApproxTopSum: _top_sum,
    exp.Avg: _total,
    exp.Max: _extreme,
    exp.Min: _extreme,
    **dict.fromkeys(
        (exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop), _spread
    ),
    exp.GroupConcat: _text_agg,
}
