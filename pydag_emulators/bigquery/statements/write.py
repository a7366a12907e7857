"""Writes the rows of a query into a table, which may exist and have rows already."""

from __future__ import annotations

from pydag_emulators.bigquery.errors import duplicate, invalid, not_found
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_table,
    delete_table,
    find_dataset,
    find_table,
    table_fields,
)
from pydag_emulators.bigquery.storage.layout import check_same
from pydag_emulators.bigquery.storage.schema_changes import updated_schema
from pydag_emulators.bigquery.storage.store import fetch_one


def write_rows(
    context: Context,
    ref: TableRef,
    sql: str,
    fields: list[Field],
    *,
    layout: Resource,
    create: str,
    write: str,
) -> None:
    """Put a query's rows into a table, as the create and write dispositions say.

    Raises:
        ApiError: `notFound` (CREATE_NEVER), `duplicate` (WRITE_EMPTY), `invalid` (columns).
    """
    cursor = context.cursor
    check_location(context, ref)
    if (write != "WRITE_APPEND") and context.config.get("schemaUpdateOptions"):
        raise invalid(
            "Schema update options should only be specified with WRITE_APPEND disposition, or with "
            "WRITE_TRUNCATE disposition on a table partition."
        )
    existing = find_table(cursor, ref)
    if existing is None:
        if create == "CREATE_NEVER":
            raise not_found("Table", str(ref), context.key.location)
        create_table(cursor, ref, {"schema": {"fields": fields}, **layout}, filled_by=sql)
        return
    if existing["type"] != "TABLE":
        raise invalid(f"{ref} is not allowed for this operation because it is a view.")
    row = fetch_one(cursor, f"SELECT 1 FROM {ref.sql} LIMIT 1", [])
    if write == "WRITE_EMPTY" and row is not None:
        raise duplicate("Table", str(ref))
    check_same(existing, layout, clustering=write != "WRITE_TRUNCATE")
    if write == "WRITE_TRUNCATE" or not table_fields(existing):
        kept = {key: existing[key] for key in _KEPT if key in existing}
        replace_table(context, ref, {**kept, **layout, "schema": {"fields": fields}}, sql)
        return
    if options := context.config.get("schemaUpdateOptions"):
        existing = updated_schema(cursor, ref, existing, fields, options)
    cursor.execute(f"INSERT INTO {ref.sql} BY NAME {matching(sql, fields, existing)}")


def check_location(context: Context, ref: TableRef) -> None:
    """Refuse a table in a dataset of another location than the job's.

    Raises:
        ApiError: `notFound`, as BigQuery looks for it in the job's location only.
    """
    dataset, location = find_dataset(context.cursor, ref.in_dataset), context.key.location
    if dataset is None or dataset["location"].upper() != location.upper():
        raise not_found("Dataset", str(ref.in_dataset), location)


def replace_table(context: Context, ref: TableRef, given: Resource, sql: str | None) -> None:
    """Replace a table by the rows of a query, which may read the old table."""
    cursor = context.cursor
    reads_itself = sql is not None and ref in context.tables.referenced
    if reads_itself:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_REPLACING} AS {sql}")
        sql = f"FROM {_REPLACING}"
    delete_table(cursor, ref)
    create_table(cursor, ref, given, filled_by=sql)
    if reads_itself:
        cursor.execute(f"DROP TABLE {_REPLACING}")


_REPLACING = "temp.pydag_replacing"  # of one connection, which does one thing at a time
_KEPT = (
    "description", "friendlyName", "labels", "expirationTime", "timePartitioning",
    "rangePartitioning", "clustering",
)  # fmt: skip


def matching(sql: str, fields: list[Field], existing: Resource) -> str:
    """`sql`, checked to fit the columns of the table by name and type.

    Raises:
        ApiError: `invalid`: "Provided Schema does not match Table …".
    """
    columns = {field["name"].lower(): field for field in table_fields(existing)}
    table = existing["id"]
    for field in fields:
        column = columns.get(field["name"].lower())
        if column is None:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Cannot add fields (field: {field['name']})"
            )
        if sql_type(column) != sql_type(field):
            raise invalid(
                f"Provided Schema does not match Table {table}. Field {field['name']} has "
                f"changed type from {sql_type(column)} to {sql_type(field)}"
            )
    given = {field["name"].lower() for field in fields}
    for column in columns.values():
        if column["mode"] == "REQUIRED" and column["name"].lower() not in given:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Required field {column['name']} is missing"
            )
    return sql
