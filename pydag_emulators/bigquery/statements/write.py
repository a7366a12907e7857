"""Writes the rows of a query into a table, which may exist and have rows already."""

from __future__ import annotations

from collections.abc import Sequence

from pydag_emulators.bigquery.errors import duplicate, invalid, not_found, unimplemented
from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import Field, is_limited, sql_type
from pydag_emulators.bigquery.statements.coercion import stored
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_table,
    delete_table,
    find_dataset,
    find_table,
    table_fields,
)
from pydag_emulators.bigquery.storage.layout import (
    INGESTED,
    check_same,
    in_partition,
    ingested_into,
    is_by_ingestion,
)
from pydag_emulators.bigquery.storage.schema_changes import updated_schema
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one


def write_rows(
    context: Context,
    ref: TableRef,
    sql: str,
    fields: list[Field],
    *,
    layout: Resource,
    create: str,
    write: str,
    partition: str | None = None,
    pseudo: Sequence[Field] = (),
) -> None:
    """Put a query's rows into a table, or one partition of it, as the dispositions say.

    The query also has the `pseudo` columns, which are kept.

    Raises:
        ApiError: `notFound` (CREATE_NEVER), `duplicate` (WRITE_EMPTY), `invalid` (columns).
    """
    cursor = context.cursor
    check_location(context, ref)
    options = _schema_updates(context, write, partition)
    existing = find_table(cursor, ref)
    if existing is None:
        if create == "CREATE_NEVER":
            raise not_found("Table", str(ref), context.key.location)
        given = {"schema": {"fields": fields}, **layout}
        sql = _within_limits(sql, [*fields, *pseudo], [*fields, *pseudo])
        create_table(cursor, ref, given, filled_by=_checked(cursor, sql, given, partition))
        return
    if existing["type"] != "TABLE":
        raise invalid(f"{ref} is not allowed for this operation: it is a {existing['type']}.")
    where = "true" if partition is None else in_partition(existing, partition)
    row = fetch_one(cursor, f"SELECT 1 FROM {ref.sql} WHERE {where} LIMIT 1", [])
    if write == "WRITE_EMPTY" and row is not None:
        raise duplicate("Table", str(ref))
    replaces = write == "WRITE_TRUNCATE"
    check_same(existing, layout, clustering=partition is not None or not replaces)
    if (replaces and partition is None) or not table_fields(existing):
        kept = {key: existing[key] for key in _KEPT if key in existing}
        limited = _within_limits(sql, [*fields, *pseudo], [*fields, *pseudo])
        replace_table(context, ref, {**kept, **layout, "schema": {"fields": fields}}, limited)
        return
    if options:
        existing = updated_schema(cursor, ref, existing, fields, options)
    columns = {column["name"].lower(): column for column in table_fields(existing)}
    check_columns(fields, existing)
    stored_as = [columns[field["name"].lower()] for field in fields]
    sql = _within_limits(sql, [*stored_as, *pseudo], [*fields, *pseudo])
    sql = _checked(cursor, sql, existing, partition)
    if replaces:
        cursor.execute(f"DELETE FROM {ref.sql} WHERE {where}")
    cursor.execute(f"INSERT INTO {ref.sql} BY NAME {sql}")


def _within_limits(sql: str, columns: list[Field], given: list[Field]) -> str:
    """The rows of the query, in which no value may be too long or too large for its column."""
    return stored(sql, columns, given) if any(map(is_limited, columns)) else sql


def _schema_updates(context: Context, write: str, partition: str | None) -> list[str]:
    """How the job may change the table's columns."""
    options: list[str] = context.config.get("schemaUpdateOptions") or []
    if options and partition is None and write != "WRITE_APPEND":
        raise invalid(
            "Schema update options should only be specified with WRITE_APPEND disposition, or with "
            "WRITE_TRUNCATE disposition on a table partition."
        )
    return options


def _checked(cursor: Cursor, sql: str, table: Resource, partition: str | None) -> str:
    """The rows of the query, which are all of that partition, if one is given.

    Raises:
        ApiError: `invalid` if one isn't.
    """
    if partition is None:
        return sql
    if is_by_ingestion(table):
        return f"SELECT *, {ingested_into(table, partition)} AS {quote(INGESTED)} FROM ({sql})"
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_REPLACING} AS {sql}")
    where = in_partition(table, partition)
    if fetch_one(cursor, f"SELECT 1 FROM {_REPLACING} WHERE NOT ({where}) LIMIT 1", []):
        raise invalid(
            "Some rows belong to different partitions rather than destination partition "
            f"{partition}"
        )
    return f"FROM {_REPLACING}"


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
    "rangePartitioning", "clustering", "requirePartitionFilter",
)  # fmt: skip


def check_columns(fields: list[Field], existing: Resource) -> None:
    """Refuse rows whose columns don't fit those of the table by name and type.

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
        if column["name"].lower() not in given and column.get("defaultValueExpression"):
            raise unimplemented(f"default values in loads and appends (column {column['name']})")
        if column["mode"] == "REQUIRED" and column["name"].lower() not in given:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Required field {column['name']} is missing"
            )
