"""Changes of a table's schema: new columns, and REQUIRED made NULLABLE.

Rules: https://cloud.google.com/bigquery/docs/managing-table-schemas
"""

from __future__ import annotations

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.storage.catalog import (
    NO_COLUMNS,
    Resource,
    column_definition,
    save_table,
    table_fields,
)
from pydag_emulators.bigquery.storage.store import Cursor

_ADDITION = "ALLOW_FIELD_ADDITION"
_RELAXATION = "ALLOW_FIELD_RELAXATION"


def change_schema(
    cursor: Cursor, ref: TableRef, resource: Resource, fields: list[Field]
) -> list[Field]:
    """Bring the table's columns from those of `resource` to `fields`; returns `fields`.

    Raises:
        ApiError: `invalid` for a change that BigQuery does not make.
    """
    wanted = {field["name"].lower(): field for field in fields}
    current = {field["name"].lower(): field for field in table_fields(resource)}
    for name, column in current.items():
        field = wanted.get(name)
        if field is None:
            raise _refused(ref, f"Field {column['name']} is missing in new schema")
        if sql_type(field) != sql_type(column):
            raise _refused(
                ref,
                f"Field {column['name']} has changed type from {sql_type(column)} "
                f"to {sql_type(field)}",
            )
        if field["mode"] != column["mode"]:
            if (column["mode"], field["mode"]) != ("REQUIRED", "NULLABLE"):
                raise _refused(
                    ref,
                    f"Field {column['name']} has changed mode from {column['mode']} "
                    f"to {field['mode']}",
                )
            cursor.execute(
                f"ALTER TABLE {ref.sql} ALTER COLUMN {quote(column['name'])} DROP NOT NULL"
            )
    for name, field in wanted.items():
        if name in current:
            continue
        if field["mode"] == "REQUIRED" and current:
            raise _refused(ref, f"Cannot add required fields (field: {field['name']})")
        definition = column_definition(field)
        cursor.execute(f"ALTER TABLE {ref.sql} ADD COLUMN {definition}")
    if not current and wanted:
        cursor.execute(f"ALTER TABLE {ref.sql} DROP COLUMN {quote(NO_COLUMNS)}")
    return fields


def updated_schema(
    cursor: Cursor, ref: TableRef, resource: Resource, fields: list[Field], options: list[str]
) -> Resource:
    """The table's resource, changed as `schemaUpdateOptions` allow rows of `fields` to change it.

    Raises:
        ApiError: `invalid` for an unknown option, or one that does not help.
    """
    unknown = set(options) - {_ADDITION, _RELAXATION}
    if unknown:
        raise invalid(f"Invalid value for schemaUpdateOptions: {', '.join(sorted(unknown))}")
    given = {field["name"].lower(): field for field in fields}
    columns = table_fields(resource)
    if _RELAXATION in options:
        columns = [_relaxed(column, given.get(column["name"].lower())) for column in columns]
    if _ADDITION in options:
        known = {column["name"].lower() for column in columns}
        columns += [field for name, field in given.items() if name not in known]
    if columns == table_fields(resource):
        return resource
    changed = change_schema(cursor, ref, resource, columns)
    return save_table(cursor, ref, {**resource, "schema": {"fields": changed}})


def _relaxed(column: Field, field: Field | None) -> Field:
    keeps = column["mode"] != "REQUIRED" or (field is not None and field["mode"] == "REQUIRED")
    return column if keeps else {**column, "mode": "NULLABLE"}


def _refused(ref: TableRef, why: str) -> Exception:
    return invalid(f"Provided Schema does not match Table {ref}. {why}")
