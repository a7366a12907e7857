"""Loads files that say names and types of their columns into the columns of the table."""

from __future__ import annotations

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, duck_type, sql_type
from pydag_emulators.bigquery.storage.contents import rows_and_bytes

_COMPATIBLE = {
    ("INTEGER", "FLOAT"),
    ("INTEGER", "NUMERIC"),
    ("FLOAT", "NUMERIC"),
    ("NUMERIC", "FLOAT"),
    ("DATETIME", "TIMESTAMP"),
    ("TIMESTAMP", "DATETIME"),
    ("BYTES", "STRING"),
    ("STRING", "BYTES"),
    ("STRING", "JSON"),
    ("STRING", "DATETIME"),
    ("INTEGER", "TIMESTAMP"),
}

_RANGED = ("DATE", "DATETIME", "TIMESTAMP")


def loaded_by_name(source: Source, table: str, inferred: list[Field], what: str) -> Loaded:
    """The rows of a DuckDB table whose columns are `inferred`, as the job's columns.

    Raises:
        ApiError: `invalid` for a type that does not fit; `what` is the format's name.
    """
    fields = _fields(source, inferred)
    columns = ", ".join(
        f"{_convert(field, inferred, what)} AS {quote(field['name'])}" for field in fields
    )
    sql = f"SELECT {columns} FROM {table}"
    return Loaded(sql, fields, lambda: rows_and_bytes(source.cursor, sql, fields))


def _fields(source: Source, inferred: list[Field]) -> list[Field]:
    """Those columns of the schema that the files have; without a schema, the files' own columns."""
    if not source.columns:
        return inferred
    given = {field["name"].lower(): field for field in source.columns}
    present = {field["name"].lower() for field in inferred}
    fields = []
    for field in inferred:
        column = given.get(field["name"].lower())
        if column is None:
            if source.config.get("ignoreUnknownValues"):
                continue
            fields.append(field)  # refused later, with the table's name
            continue
        fields.append(column)
    explicit = bool((source.config.get("schema") or {}).get("fields"))
    missing = [field for name, field in given.items() if name not in present]
    return fields + (missing if explicit else [])


def _convert(field: Field, inferred: list[Field], what: str) -> str:
    found = next((f for f in inferred if f["name"].lower() == field["name"].lower()), None)
    if found is None:
        return f"CAST(NULL AS {duck_type(field)})"
    name = quote(found["name"])
    same = sql_type(found) == sql_type(field)
    if not same and (found["type"], field["type"]) not in _COMPATIBLE:
        raise invalid(
            f"Error while reading data, error message: {what} column '{found['name']}' has type "
            f"{sql_type(found)} which does not match the target type {sql_type(field)}"
        )
    if field["type"] == "TIMESTAMP" and found["type"] == "INTEGER":
        return f"make_timestamptz({name})"
    if field["type"] == "STRING" and found["type"] == "BYTES":
        return f"decode({name})"
    cast = f"CAST({name} AS {duck_type(field)})"
    if field["type"] in _RANGED and field["mode"] != "REPEATED":
        return f"bq_range({cast})"
    return f"coalesce({cast}, [])" if field["mode"] == "REPEATED" else cast
