"""Columns, partitioning, clustering and options of a CREATE statement, as REST resources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.sql.typing.coerce import assigned
from pydag_emulators.bigquery.sql.typing.types import type_of_field

_UNITS = {"HOUR", "DAY", "MONTH", "YEAR"}
_DAY_MS = 24 * 3600 * 1000
_TRUNCATIONS = (exp.DateTrunc, exp.TimestampTrunc, exp.DatetimeTrunc)


Constant = Callable[[exp.Expression], Any]
"""Finds the value of a constant expression."""


def fields_of(schema: exp.Schema, constant: Constant) -> list[Field]:
    """The columns of `(name type …, …)`."""
    fields = []
    for node in schema.expressions:
        if not isinstance(node, exp.ColumnDef):
            raise unimplemented(f"{node.sql(dialect='bigquery')} in a table definition")
        fields.append(field_of_column(node, constant))
    return fields


def view_columns(schema: exp.Schema, constant: Constant) -> list[Field]:
    """The names and descriptions of `(name OPTIONS (…), …)` of a view."""
    columns: list[Field] = []
    for node in schema.expressions:
        column: Field = {"name": node.name}
        for constraint in node.args.get("constraints") or []:
            if not isinstance(constraint.kind, exp.Properties):
                raise invalid_query(f"The column {node.name} of a view can only have OPTIONS")
            column |= _options(constraint.kind.expressions, _COLUMN_OPTIONS, constant)
        columns.append(column)
    return columns


def field_of_column(node: exp.ColumnDef, constant: Constant) -> Field:
    """The column of `name type …`."""
    if node.kind is None:
        raise invalid_query(f"Column {node.name} has no type")
    field = {"name": node.name, **type_of(node.kind, constant)}
    for constraint in node.args.get("constraints") or []:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"):
            if field["mode"] == "REPEATED":
                raise invalid_query(f"NOT NULL cannot be applied to ARRAY field {node.name}")
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.DefaultColumnConstraint):
            field["defaultValueExpression"] = default_of(kind.this, field, constant)
        elif isinstance(kind, exp.Properties):
            field |= _options(kind.expressions, _COLUMN_OPTIONS, constant)
        else:
            raise unimplemented(f"{constraint.sql(dialect='bigquery')} (column {node.name})")
    return field


def default_of(node: exp.Expression, field: Field, constant: Constant) -> str:
    """The default value of a column, as text, after it has been computed once.

    Raises:
        ApiError: `invalidQuery` unless it is a constant expression that fits the column.
    """
    if node.find(exp.Query, exp.Column, exp.Parameter) is not None:
        raise invalid_query(f"The default value of {field['name']} must be a constant expression")
    constant(assigned(node.copy(), type_of_field(field)))
    return node.sql(dialect="bigquery")


def type_of(type_: exp.DataType, constant: Constant) -> dict[str, Any]:
    """Type, mode and members of a column that is declared so."""
    if type_.this == exp.DType.ARRAY:
        inner = type_of(type_.expressions[0], constant)
        if inner["mode"] == "REPEATED":
            raise invalid_query("Cannot declare an array of arrays")
        return {**inner, "mode": "REPEATED"}
    if type_.this == exp.DType.STRUCT:
        return {
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": [field_of_column(member, constant) for member in type_.expressions],
        }
    return {**_scalar(type_), "mode": "NULLABLE"}


def _scalar(type_: exp.DataType) -> Field:
    """A type with its parameters: STRING(10), NUMERIC(10, 2)."""
    plain = type_.copy()
    plain.set("expressions", None)
    name = plain.sql(dialect="bigquery")
    limits = [part.name for part in type_.expressions]
    keys = {"STRING": ["maxLength"], "BYTES": ["maxLength"], "NUMERIC": ["precision", "scale"]}
    if len(limits) > len(keys.get(name, ())) or not all(limit.isdigit() for limit in limits):
        raise unimplemented(f"the type {type_.sql(dialect='bigquery')}")
    return {"type": name, **dict(zip(keys.get(name, ()), limits, strict=False))}


def layout_of(tree: exp.Expression, fields: list[Field], constant: Constant) -> dict[str, Any]:
    """`timePartitioning` or `rangePartitioning`, and `clustering`.

    Raises:
        ApiError: `invalidQuery` for unknown columns or types.
    """
    columns = {field["name"].lower(): field for field in fields}
    layout: dict[str, Any] = {}
    for node in _properties(tree):
        if isinstance(node, exp.PartitionedByProperty):
            layout |= _partitioning(node.this, columns)
        elif isinstance(node, exp.ClusterProperty):
            names = [_column(column, columns)["name"] for column in node.expressions]
            layout["clustering"] = {"fields": names}
        elif isinstance(node, exp.Property) and node.name.lower() == "partition_expiration_days":
            layout.setdefault("timePartitioning", {})["expirationMs"] = _days(
                constant(node.args["value"])
            )
    return layout


def _properties(tree: exp.Expression) -> list[exp.Expression]:
    properties = tree.args.get("properties")
    return [] if properties is None else list(properties.expressions)


def _column(node: exp.Expression, columns: dict[str, Field]) -> Field:
    field = columns.get(node.name.lower())
    if field is None:
        raise invalid_query(f"Unrecognized name: {node.name}")
    return field


def _partitioning(node: exp.Expression, columns: dict[str, Field]) -> dict[str, Any]:
    if isinstance(node, exp.RangeBucket):
        series = node.expression
        bounds = [series.args.get(key) for key in ("start", "end", "step")]
        if not all(isinstance(bound, exp.Literal) for bound in bounds):
            raise unimplemented("RANGE_BUCKET without a literal GENERATE_ARRAY(start, end, step)")
        field = _column(node.this, columns)
        start, end, interval = (bound.name for bound in bounds if bound is not None)
        span = {"start": start, "end": end, "interval": interval}
        return {"rangePartitioning": {"field": field["name"], "range": span}}
    unit = "DAY"
    if isinstance(node, _TRUNCATIONS):
        unit = node.args["unit"].name.upper()
        node = node.this
    elif isinstance(node, exp.Date | exp.TsOrDsToDate):
        node = node.this
    if not isinstance(node, exp.Column | exp.Identifier):
        raise unimplemented(f"PARTITION BY {node.sql(dialect='bigquery')}")
    if node.name.upper() in ("_PARTITIONDATE", "_PARTITIONTIME") and unit in _UNITS:
        return {"timePartitioning": {"type": unit}}
    field = _column(node, columns)
    if unit not in _UNITS or field["type"] not in ("DATE", "TIMESTAMP", "DATETIME"):
        raise invalid_query(
            f"PARTITION BY expression must be a DATE, TIMESTAMP or DATETIME column or a "
            f"truncation of one; column {field['name']} has type {field['type']}"
        )
    return {"timePartitioning": {"type": unit, "field": field["name"]}}


def _text(value: str) -> str:
    return value


def _same(value: bool) -> bool:
    return value


def _labels(value: list[dict[str, str]]) -> dict[str, str]:
    return {str(key): str(text) for key, text in (pair.values() for pair in value)}


def _time(value: datetime) -> str:
    return str(int(value.timestamp() * 1000))


def _days(value: float | Decimal) -> str:
    return str(int(float(value) * _DAY_MS))


_COLUMN_OPTIONS: dict[str, Any] = {"description": ("description", _text, str)}
_OPTIONS: dict[str, Any] = {
    "description": ("description", _text, str),
    "friendly_name": ("friendlyName", _text, str),
    "labels": ("labels", _labels, list),
    "expiration_timestamp": ("expirationTime", _time, datetime),
    "default_table_expiration_days": ("defaultTableExpirationMs", _days, int | float | Decimal),
    "location": ("location", _text, str),
    "require_partition_filter": ("requirePartitionFilter", _same, bool),
}


def options_of(tree: exp.Expression, constant: Constant) -> dict[str, Any]:
    """What OPTIONS(…) sets; its values are constant expressions."""
    given = [
        node
        for node in _properties(tree)
        if not isinstance(node, exp.PartitionedByProperty | exp.ClusterProperty | exp.LikeProperty)
        and node.name.lower() != "partition_expiration_days"
    ]
    return _options(given, _OPTIONS, constant)


def changed_options(nodes: list[exp.Expression], constant: Constant) -> dict[str, Any]:
    """What SET OPTIONS(…) of ALTER changes: None is what is to be removed."""
    return {
        key: value
        for node in nodes
        for key, value in (
            _options([node], _OPTIONS, constant) or {_key(node, _OPTIONS): None}
        ).items()
    }


def _key(node: exp.Expression, known: dict[str, Any]) -> str:
    return str(known[node.name.lower()][0])


def _options(
    nodes: list[exp.Expression], known: dict[str, Any], constant: Constant
) -> dict[str, Any]:
    result = {}
    for node in nodes:
        if isinstance(node, exp.LocationProperty):
            result["location"] = node.this.name
            continue
        name = node.name.lower()
        if not isinstance(node, exp.Property) or name not in known:
            raise unimplemented(f"the option {node.sql(dialect='bigquery')}")
        value = constant(node.args["value"])
        if value is not None:
            key, convert, type_ = known[name]
            if not isinstance(value, type_):
                raise invalid_query(f"The option {name} has a value of the wrong type: {value}")
            result[key] = convert(value)
    return result
