"""Which values may be stored in which columns without a cast.

Rules: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
"""

from __future__ import annotations

from duckdb.sqltypes import DuckDBPyType
from sqlglot import exp

from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import (
    Field,
    duck_type,
    element_of,
    field_of,
    is_limited,
    sql_type,
)
from pydag_emulators.bigquery.sql.functions.build import GENERATED

_WIDER = {
    "INTEGER": {"NUMERIC", "FLOAT"},
    "NUMERIC": {"FLOAT"},
    "DATE": {"DATETIME"},
}
_LITERALS = {
    "STRING": {"DATE", "DATETIME", "TIME", "TIMESTAMP"},
    "FLOAT": {"NUMERIC"},
}


def fits(type_: DuckDBPyType, column: Field, literals: list[exp.Expression] | None = None) -> bool:
    """Whether a value of that DuckDB type may be stored in the column.

    `literals` are the expressions that give the values, where they are known: literals and
    parameters fit more columns than other expressions of their type.
    """
    if _is_null(type_):
        return True
    given = field_of(column["name"], type_)
    if _coerces(given, column):
        return True
    wider = _LITERALS.get(given["type"], set())
    return (
        bool(literals)
        and given["mode"] != "REPEATED"
        and column["mode"] != "REPEATED"
        and column["type"] in wider
        and all(_is_literal(node) for node in literals or [])
    )


def converted(value: str, given: Field, column: Field, depth: int = 0) -> str:
    """DuckDB SQL that converts `value` from the type of `given` to that of `column`.

    DuckDB casts structs by the names of their members, BigQuery by their positions.
    """
    type_ = duck_type(column)
    item = quote(f"{GENERATED}{depth}")
    if column.get("mode") == "REPEATED":
        # There is no NULL array in a BigQuery table: it is stored as an empty one.
        each = item
        if _is_renamed(given, column) or _has_array(column) or is_limited(column):
            each = converted(item, _item(given), _item(column), depth + 1)
        error = f"Array cannot have a null element; error in writing field {column['name']}"
        failed = f"CAST(CAST(bq_fail({literal(error)}) AS VARCHAR) AS {duck_type(_item(given))})"
        each = f"CASE WHEN {item} IS NULL THEN {failed} ELSE {each} END"
        return f"coalesce(CAST(list_transform({value}, lambda {item}: {each}) AS {type_}), [])"
    is_struct = column["type"] == "RECORD"
    if is_struct and (_has_array(column) or is_limited(column) or _is_renamed(given, column)):
        return _struct(value, given, column, depth)
    return _limited(f"CAST({value} AS {type_})", column)


def _limited(value: str, column: Field) -> str:
    """The value, if it is not too long or too large for the column."""
    name = literal(sql_type(column, limits=True))
    if column.get("maxLength"):
        return f"bq_max_length({value}, {int(column['maxLength'])}, {name})"
    if column.get("precision"):
        precision, scale = int(column["precision"]), int(column.get("scale") or 0)
        return f"bq_in_precision({value}, {precision}, {scale}, {name})"
    return value


def stored(query: str, fields: list[Field], given: list[Field] | None = None) -> str:
    """A query with the columns of `query`, cast to the stored types of `fields`.

    `given` are the columns of `query`, if they are not `fields`.
    """
    names = [f"c{index}" for index in range(len(fields))]
    values = ", ".join(
        f"{converted(name, of, field)} AS {quote(field['name'])}"
        for name, of, field in zip(names, given or fields, fields, strict=True)
    )
    return f"SELECT {values} FROM ({query}) AS q({', '.join(names)})"


def _has_array(field: Field) -> bool:
    return any(sub["mode"] == "REPEATED" or _has_array(sub) for sub in field.get("fields", []))


def _struct(value: str, given: Field, column: Field, depth: int) -> str:
    """A struct, converted member by member."""
    type_ = duck_type(column)
    members = []
    for of, to in zip(given["fields"], column["fields"], strict=True):
        member = converted(f"({value}).{quote(of['name'])}", of, to, depth)
        members.append(f"{quote(to['name'])}: {member}")
    struct = "{" + ", ".join(members) + "}"
    return f"CASE WHEN {value} IS NOT NULL THEN CAST({struct} AS {type_}) END"


def _item(field: Field) -> Field:
    return {**field, "mode": "NULLABLE"}


def _is_renamed(given: Field, column: Field) -> bool:
    """Whether some member has another name than the one that it goes to."""
    if given["type"] != "RECORD" or column["type"] != "RECORD":
        return False
    pairs = list(zip(given["fields"], column["fields"], strict=True))
    return any(of["name"].lower() != to["name"].lower() or _is_renamed(of, to) for of, to in pairs)


def as_literal(node: exp.Expression, value: str, column: Field) -> str:
    """`value`, the DuckDB SQL of `node`; cast for the column if `node` is a fitting literal."""
    if isinstance(node, exp.Paren):
        return as_literal(node.this, value, column)
    if not isinstance(node, exp.Literal) or column.get("mode") == "REPEATED":
        return value
    if node.is_string and column["type"] in _LITERALS["STRING"]:
        return f"bq_{column['type'].lower()}({value})"
    if not node.is_string and column["type"] == "NUMERIC":
        return f"CAST({literal(node.name)} AS {duck_type(column)})"
    return value


def type_name(type_: DuckDBPyType) -> str:
    """The type as BigQuery's messages name it."""
    return sql_type(field_of("", type_))


def _is_null(type_: DuckDBPyType) -> bool:
    return type_.id == "null" or (type_.id == "list" and element_of(type_).id == "null")


def _coerces(given: Field, column: Field) -> bool:
    if (given["mode"] == "REPEATED") != (column["mode"] == "REPEATED"):
        return False
    if given["type"] == "RECORD" and column["type"] == "RECORD":
        pairs = list(zip(given["fields"], column["fields"], strict=False))
        return len(given["fields"]) == len(column["fields"]) and all(
            _coerces(one, other) for one, other in pairs
        )
    if given["type"] == column["type"]:
        return True
    return given["mode"] != "REPEATED" and column["type"] in _WIDER.get(given["type"], set())


def _is_literal(node: exp.Expression) -> bool:
    if isinstance(node, exp.Neg | exp.Paren):
        return _is_literal(node.this)
    return isinstance(node, exp.Literal | exp.Null)
