"""Changes of a table's schema: new columns, and REQUIRED made NULLABLE.

Rules: https://cloud.google.com/bigquery/docs/managing-table-schemas
"""

from __future__ import annotations

from pydag_dist.local.bigquery.catalog import NO_COLUMNS, Resource, column_definition, table_fields
from pydag_dist.local.bigquery.errors import invalid
from pydag_dist.local.bigquery.names import TableRef, quote
from pydag_dist.local.bigquery.schema import Field, sql_type
from pydag_dist.local.bigquery.store import Cursor


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


def _refused(ref: TableRef, why: str) -> Exception:
    return invalid(f"Provided Schema does not match Table {ref}. {why}")
