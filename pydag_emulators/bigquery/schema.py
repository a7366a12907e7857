"""Table schemas: BigQuery's fields, checked, and their DuckDB types both ways."""

from __future__ import annotations

import re
from typing import Any, cast

from duckdb.sqltypes import DuckDBPyType

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.names import quote

Field = dict[str, Any]
"""A REST `TableFieldSchema`: name, type, mode, fields, description, …"""

NUMERIC = "DECIMAL(38, 9)"
_DUCK = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": NUMERIC,
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "JSON": "JSON",
}
_SYNONYMS = {
    "INT64": "INTEGER",
    "INT": "INTEGER",
    "SMALLINT": "INTEGER",
    "BIGINT": "INTEGER",
    "TINYINT": "INTEGER",
    "BYTEINT": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_FROM_DUCK = {
    "bigint": "INTEGER",
    "integer": "INTEGER",
    "smallint": "INTEGER",
    "tinyint": "INTEGER",
    "ubigint": "INTEGER",
    "uinteger": "INTEGER",
    "usmallint": "INTEGER",
    "utinyint": "INTEGER",
    "hugeint": "INTEGER",
    "uhugeint": "INTEGER",
    "null": "INTEGER",
    "double": "FLOAT",
    "float": "FLOAT",
    "decimal": "NUMERIC",
    "boolean": "BOOLEAN",
    "varchar": "STRING",
    "enum": "STRING",
    "blob": "BYTES",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp_s": "DATETIME",
    "timestamp_ms": "DATETIME",
    "timestamp_ns": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "timestamp_tz": "TIMESTAMP",
    "timestamptz": "TIMESTAMP",
}
SQL_NAMES = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "RECORD": "STRUCT",
}
_COLUMN_NAME = re.compile(r"[^\W\d][\w&%=+:'<>#| \-]{0,299}")
_RESERVED = (
    "_PARTITION", "_TABLE_", "_FILE_", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER",
)  # fmt: skip
_ROUNDING = ("ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO")
_MODES = ("NULLABLE", "REQUIRED", "REPEATED")
_KEPT = (
    "name", "type", "mode", "fields", "description", "maxLength", "precision", "scale",
    "policyTags", "roundingMode", "defaultValueExpression",
)  # fmt: skip


def check_schema(fields: list[Field]) -> list[Field]:
    """The fields in their canonical form.

    Raises:
        ApiError: `invalid` for a wrong or duplicate name, type or mode; `notImplemented` for a
            type that DuckDB has no equal of.
    """
    seen: set[str] = set()
    checked = []
    for field in fields:
        name = str(field.get("name") or "")
        if not _COLUMN_NAME.fullmatch(name):
            raise invalid(
                f'Invalid field name "{name}". Fields must contain the allowed characters, and '
                "be at most 300 characters long."
            )
        check_prefix(name)
        if name.lower() in seen:
            raise invalid(f'Duplicate field name "{name}" in schema.')
        seen.add(name.lower())
        checked.append(_check_field(name, field))
    return checked


def check_prefix(name: str) -> None:
    """Refuse a name of a column that begins as pseudo columns do."""
    if name.upper().startswith(_RESERVED):
        raise invalid(
            f'Invalid field name "{name}". Field names are not allowed to start with the '
            f"(case-insensitive) prefixes {', '.join(_RESERVED)}"
        )


def _check_field(name: str, field: Field) -> Field:
    given = str(field.get("type") or "").upper()
    type_ = _SYNONYMS.get(given, given)
    mode = str(field.get("mode") or "NULLABLE").upper()
    if mode not in _MODES:
        raise invalid(f"Invalid mode {mode!r} for field {name}")
    if field.get("roundingMode") not in (None, *_ROUNDING):
        raise unimplemented(f"the roundingMode {field['roundingMode']} (column {name})")
    if field.get("collation"):
        raise unimplemented(f"collations (column {name})")
    _check_limits(name, type_, field)
    result = {key: value for key, value in field.items() if key in _KEPT and value is not None}
    result |= {"name": name, "type": type_, "mode": mode}
    if type_ == "RECORD":
        if not field.get("fields"):
            raise invalid(f"Field {name} is type RECORD but has no schema")
        result["fields"] = check_schema(field["fields"])
    elif type_ in ("BIGNUMERIC", "GEOGRAPHY", "INTERVAL", "RANGE"):
        raise unimplemented(f"the type {type_} (column {name})")
    elif type_ not in _DUCK:
        raise invalid(f"Invalid value for type: {given} is not a valid value")
    else:
        result.pop("fields", None)
    return result


def _check_limits(name: str, type_: str, field: Field) -> None:
    """Refuse parameters that a type doesn't have: STRING(0), NUMERIC(40, 2), DATE(1)."""
    length = field.get("maxLength")
    if length is not None and (type_ not in ("STRING", "BYTES") or int(length) < 1):
        raise invalid(f"Invalid maxLength {length} of the {type_} field {name}")
    precision, scale = field.get("precision"), int(field.get("scale") or 0)
    if precision is None and not scale:
        return
    if type_ != "NUMERIC" or not (
        0 <= scale <= 9 and max(1, scale) <= int(precision or 0) <= 29 + scale
    ):
        raise invalid(
            f"Invalid precision {precision} and scale {scale} of the {type_} field {name}"
        )


def duck_type(field: Field) -> str:
    """The DuckDB type that stores `field`."""
    if field["type"] == "RECORD":
        members = ", ".join(f"{quote(sub['name'])} {duck_type(sub)}" for sub in field["fields"])
        base = f"STRUCT({members})"
    else:
        base = _DUCK[field["type"]]
    return base + "[]" if field.get("mode") == "REPEATED" else base


def element_of(type_: DuckDBPyType) -> DuckDBPyType:
    """The type of the items of a list type."""
    return cast("DuckDBPyType", type_.children[0][1])


def field_of(name: str, type_: DuckDBPyType) -> Field:
    """The BigQuery field that a DuckDB result column is shown as.

    Raises:
        ApiError: `notImplemented` for a type without an equal in BigQuery.
    """
    kind = type_.id
    if kind == "list":
        inner = field_of(name, element_of(type_))
        if inner["mode"] == "REPEATED":
            raise invalid(f"Cannot create an array of arrays (column {name})")
        return {**inner, "mode": "REPEATED"}
    field: Field = {"name": name, "mode": "NULLABLE"}
    if str(type_) == "JSON":
        return {**field, "type": "JSON"}
    if kind == "struct":
        members = [field_of(sub, cast("DuckDBPyType", child)) for sub, child in type_.children]
        return {**field, "type": "RECORD", "fields": members}
    if kind not in _FROM_DUCK:
        raise unimplemented(f"results of the type {type_} (column {name})")
    return {**field, "type": _FROM_DUCK[kind]}


def sql_type(field: Field, *, limits: bool = False) -> str:
    """The type as GoogleSQL writes it: INT64, ARRAY<STRING>, STRUCT<a INT64>.

    With `limits` also the parameters that columns can have, as in STRING(10).
    """
    if field["type"] == "RECORD":
        members = (f"{sub['name']} {sql_type(sub, limits=limits)}" for sub in field["fields"])
        base = f"STRUCT<{', '.join(members)}>"
    else:
        base = SQL_NAMES.get(field["type"], str(field["type"])) + (_limits(field) if limits else "")
    return f"ARRAY<{base}>" if field.get("mode") == "REPEATED" else base


def has_type(fields: list[Field], type_: str) -> bool:
    """Whether a column, or a member of one, is of that type."""
    return any(
        field["type"] == type_ or has_type(field.get("fields", []), type_) for field in fields
    )


def _limits(field: Field) -> str:
    given = [field[key] for key in ("maxLength", "precision", "scale") if field.get(key)]
    return f"({', '.join(map(str, given))})" if given else ""


def is_limited(field: Field) -> bool:
    """Whether values may be too long or too large for the column."""
    return bool(_limits(field)) or any(is_limited(sub) for sub in field.get("fields", []))
