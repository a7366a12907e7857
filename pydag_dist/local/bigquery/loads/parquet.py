"""Parquet files of a load job.

Conversions: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet
"""

from __future__ import annotations

from pydag_dist.local.bigquery.errors import invalid, unimplemented
from pydag_dist.local.bigquery.loads.source import Loaded, Source
from pydag_dist.local.bigquery.names import literal, quote
from pydag_dist.local.bigquery.schema import Field, duck_type, field_of, sql_type

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
    ("INTEGER", "TIMESTAMP"),
}


def read_parquet(source: Source) -> Loaded:
    """The rows of the files; columns are matched by name.

    Raises:
        ApiError: `invalid` for a type that does not fit, or columns that the schema lacks.
    """
    paths = ", ".join(literal(str(path)) for path, _ in source.files)
    table = f"read_parquet([{paths}], union_by_name = true)"
    relation = source.cursor.sql(f"SELECT * FROM {table}")
    adjusted = _int96_columns(source, paths)
    inferred = []
    for name, type_ in zip(relation.columns, relation.types, strict=True):
        field = field_of(name, type_)
        if name in adjusted:
            field["type"] = "TIMESTAMP"
        inferred.append(field)
    if any(f["mode"] == "REPEATED" for f in inferred) and not _list_inference(source):
        raise unimplemented(
            "Parquet lists without parquetOptions.enableListInference (BigQuery makes a RECORD "
            "named list of them)"
        )
    fields = _fields(source, inferred)
    columns = ", ".join(
        f"{_convert(field, inferred)} AS {quote(field['name'])}" for field in fields
    )
    return Loaded(f"SELECT {columns} FROM {table}", fields)


def _list_inference(source: Source) -> bool:
    return bool((source.config.get("parquetOptions") or {}).get("enableListInference"))


def _int96_columns(source: Source, paths: str) -> set[str]:
    # Spark's old form of an instant: DuckDB reads it without a time zone.
    rows = source.cursor.execute(
        f"SELECT DISTINCT name FROM parquet_schema([{paths}]) WHERE type = 'INT96'"
    ).fetchall()
    return {row[0] for row in rows}


def _fields(source: Source, inferred: list[Field]) -> list[Field]:
    """The given columns that the files have, else what the files say."""
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


def _convert(field: Field, inferred: list[Field]) -> str:
    found = next((f for f in inferred if f["name"].lower() == field["name"].lower()), None)
    if found is None:
        return f"CAST(NULL AS {duck_type(field)})"
    name = quote(found["name"])
    same = sql_type(found) == sql_type(field)
    if not same and (found["type"], field["type"]) not in _COMPATIBLE:
        raise invalid(
            f"Error while reading data, error message: Parquet column '{found['name']}' has type "
            f"{sql_type(found)} which does not match the target type {sql_type(field)}"
        )
    if field["type"] == "TIMESTAMP" and found["type"] == "INTEGER":
        return f"make_timestamptz({name})"
    if field["type"] == "STRING" and found["type"] == "BYTES":
        return f"decode({name})"
    cast = f"CAST({name} AS {duck_type(field)})"
    return f"coalesce({cast}, [])" if field["mode"] == "REPEATED" else cast
