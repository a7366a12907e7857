"""The rows of an INSERT: VALUES or a query, checked against the columns they go to."""

from __future__ import annotations

from duckdb.sqltypes import DuckDBPyType
from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.schema import Field, field_of, sql_type
from pydag_emulators.bigquery.sql.parse import parse_one
from pydag_emulators.bigquery.sql.typing.coerce import assigned
from pydag_emulators.bigquery.sql.typing.types import type_of_field
from pydag_emulators.bigquery.statements.coercion import (
    as_literal,
    converted,
    fits,
    stored,
    type_name,
)
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.storage.catalog import Resource, stored_columns, table_fields


def target_columns(resource: Resource, names: list[exp.Expression] | None) -> list[Field]:
    """The columns that are named, or all of the table's.

    Raises:
        ApiError: `invalidQuery` for an unknown or repeated name.
    """
    if not names:
        return table_fields(resource)
    columns = {field["name"].lower(): field for field in stored_columns(resource)}
    chosen = []
    for node in names:
        column = columns.pop(node.name.lower(), None)
        if column is None:
            raise invalid_query(
                f"Column {node.name} is not present in table {resource['id']}, or named twice"
            )
        chosen.append(column)
    for column in columns.values():
        if column["mode"] == "REQUIRED" and not column.get("defaultValueExpression"):
            raise invalid_query(f"Required column {column['name']} is missing in the INSERT")
    return chosen


def or_default(node: exp.Expression, column: Field) -> exp.Expression:
    """The value, or the column's default value if it is the keyword DEFAULT.

    Literals in a struct or array that is written out take the types of the column's members.
    """
    if isinstance(node, exp.Var | exp.Column) and node.sql().upper() == "DEFAULT":
        return _default(column)
    written = node.unnest()
    is_written = isinstance(written, exp.Struct | exp.Tuple | exp.Array)
    if is_written and written.find(exp.Query) is None:
        return assigned(node.copy(), type_of_field(column))
    return node


def _default(column: Field) -> exp.Expression:
    text = column.get("defaultValueExpression")
    value = exp.Null() if not text else parse_one(f"SELECT {text}").expressions[0]
    return assigned(value, type_of_field(column))


def with_defaults(
    context: Context, resource: Resource, columns: list[Field]
) -> list[tuple[str, str]]:
    """The columns that have default values and are not among those, with DuckDB SQL of them."""
    given = {column["name"] for column in columns}
    return [
        (column["name"], converted(context.translate(_default(column)), column, column))
        for column in table_fields(resource)
        if column["name"] not in given and column.get("defaultValueExpression")
    ]


def values_or_query(context: Context, source: exp.Expression, columns: list[Field]) -> str:
    """DuckDB SQL of the rows, with the columns' types.

    Raises:
        ApiError: `invalidQuery` for a wrong number of columns or types that do not fit.
    """
    if isinstance(source, exp.Values):
        return _values(context, source, columns)
    if not isinstance(source, exp.Query):
        raise unimplemented("INSERT without VALUES or a query")
    query = context.translate(source)
    types = context.cursor.sql(query).types
    _check_count(len(types), columns)
    for index, (type_, column) in enumerate(zip(types, columns, strict=True), 1):
        if not fits(type_, column):
            raise invalid_query(
                f"Query column {index} has type {type_name(type_)} which cannot be inserted "
                f"into column {column['name']}, which has type {sql_type(column)}"
            )
    return stored(query, columns, _as_given(types, columns))


def _as_given(types: list[DuckDBPyType], columns: list[Field]) -> list[Field]:
    return [field_of(c["name"], type_) for type_, c in zip(types, columns, strict=True)]


def _values(context: Context, source: exp.Values, columns: list[Field]) -> str:
    rows = [_row(row) for row in source.expressions]
    for row in rows:
        _check_count(len(row), columns)
    bound = [
        [
            as_literal(cell, context.translate(or_default(cell.copy(), column)), column)
            for cell, column in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    types = []
    for index, column in enumerate(columns):
        cells = [row[index] for row in bound]
        # Column by column, so that the type of one value can't change the types of other columns.
        one = ", ".join(f"({cell})" for cell in cells)
        type_ = context.cursor.sql(f"SELECT * FROM (VALUES {one})").types[0]
        if not fits(type_, column, [row[index] for row in rows]):
            raise invalid_query(
                f"Value has type {type_name(type_)} which cannot be inserted into column "
                f"{column['name']}, which has type {sql_type(column)}"
            )
        types.append(type_)
    values = ", ".join(f"({', '.join(row)})" for row in bound)
    return stored(f"SELECT * FROM (VALUES {values})", columns, _as_given(types, columns))


def _row(node: exp.Expression) -> list[exp.Expression]:
    return list(node.expressions) if isinstance(node, exp.Tuple) else [node]


def _check_count(given: int, columns: list[Field]) -> None:
    if given != len(columns):
        raise invalid_query(
            f"Inserted row has wrong column count; Has {given}, expected {len(columns)}"
        )
