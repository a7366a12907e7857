"""Columns, partitioning, clustering and options of a CREATE statement, as REST resources."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.schema import Field

_UNITS = {"HOUR", "DAY", "MONTH", "YEAR"}
_DAY_MS = 24 * 3600 * 1000
_TRUNCATIONS = (exp.DateTrunc, exp.TimestampTrunc, exp.DatetimeTrunc)


def fields_of(schema: exp.Schema) -> list[Field]:
    """The columns of `(name type …, …)`."""
    fields = []
    for node in schema.expressions:
        if not isinstance(node, exp.ColumnDef):
            raise unimplemented(f"{node.sql(dialect='bigquery')} in a table definition")
        fields.append(_field(node))
    return fields


def _field(node: exp.ColumnDef) -> Field:
    if node.kind is None:
        raise invalid_query(f"Column {node.name} has no type")
    field = {"name": node.name, **_type(node.kind)}
    for constraint in node.args.get("constraints") or []:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"):
            if field["mode"] == "REPEATED":
                raise invalid_query(f"NOT NULL cannot be applied to ARRAY field {node.name}")
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.Properties):
            field |= _options(kind.expressions, _COLUMN_OPTIONS)
        else:
            raise unimplemented(f"{constraint.sql(dialect='bigquery')} (column {node.name})")
    return field


def _type(type_: exp.DataType) -> dict[str, Any]:
    if type_.this == exp.DType.ARRAY:
        inner = _type(type_.expressions[0])
        if inner["mode"] == "REPEATED":
            raise invalid_query("Cannot declare an array of arrays")
        return {**inner, "mode": "REPEATED"}
    if type_.this == exp.DType.STRUCT:
        return {
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": [_field(member) for member in type_.expressions],
        }
    if type_.expressions:
        raise unimplemented(f"the parameterized type {type_.sql(dialect='bigquery')}")
    return {"type": type_.sql(dialect="bigquery"), "mode": "NULLABLE"}


def layout_of(tree: exp.Expression, fields: list[Field]) -> dict[str, Any]:
    """`timePartitioning` or `rangePartitioning`, and `clustering`.

    Raises:
        ApiError: `invalidQuery` for unknown columns or types, `notImplemented` for partitioning
            by time of ingestion.
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
            layout.setdefault("timePartitioning", {})["expirationMs"] = str(
                int(float(node.args["value"].name) * _DAY_MS)
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
    if node.name.upper() in ("_PARTITIONDATE", "_PARTITIONTIME"):
        raise unimplemented("partitioning by time of ingestion")
    field = _column(node, columns)
    if unit not in _UNITS or field["type"] not in ("DATE", "TIMESTAMP", "DATETIME"):
        raise invalid_query(
            f"PARTITION BY expression must be a DATE, TIMESTAMP or DATETIME column or a "
            f"truncation of one; column {field['name']} has type {field['type']}"
        )
    return {"timePartitioning": {"type": unit, "field": field["name"]}}


def _text(node: exp.Expression) -> str:
    return node.name


def _labels(node: exp.Expression) -> dict[str, str]:
    return {pair.expressions[0].name: pair.expressions[1].name for pair in node.expressions}


def _time(node: exp.Expression) -> str:
    text = node.find(exp.Literal)
    if text is None:
        raise unimplemented("computed times in OPTIONS")
    at = datetime.fromisoformat(text.name.replace(" UTC", "+00:00"))
    return str(int(at.timestamp() * 1000))


def _days(node: exp.Expression) -> str:
    return str(int(float(node.name) * _DAY_MS))


_COLUMN_OPTIONS: dict[str, Any] = {"description": ("description", _text)}
_OPTIONS: dict[str, Any] = {
    "description": ("description", _text),
    "friendly_name": ("friendlyName", _text),
    "labels": ("labels", _labels),
    "expiration_timestamp": ("expirationTime", _time),
    "default_table_expiration_days": ("defaultTableExpirationMs", _days),
    "location": ("location", _text),
}


def options_of(tree: exp.Expression) -> dict[str, Any]:
    """What OPTIONS(…) sets."""
    given = [
        node
        for node in _properties(tree)
        if not isinstance(node, exp.PartitionedByProperty | exp.ClusterProperty)
        and node.name.lower() != "partition_expiration_days"
    ]
    return _options(given, _OPTIONS)


def _options(nodes: list[exp.Expression], known: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for node in nodes:
        if isinstance(node, exp.LocationProperty):
            result["location"] = node.this.name
            continue
        name = node.name.lower()
        if not isinstance(node, exp.Property) or name not in known:
            raise unimplemented(f"the option {node.sql(dialect='bigquery')}")
        value = node.args["value"]
        if not isinstance(value, exp.Null):
            key, convert = known[name]
            result[key] = convert(value)
    return result
