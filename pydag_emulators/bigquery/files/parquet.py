"""Parquet files of a load job.

Conversions: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet
"""

from __future__ import annotations

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.files.columns import loaded_by_name
from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.names import literal
from pydag_emulators.bigquery.schema import field_of


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
    return loaded_by_name(source, table, inferred, "Parquet")


def _list_inference(source: Source) -> bool:
    return bool((source.config.get("parquetOptions") or {}).get("enableListInference"))


def _int96_columns(source: Source, paths: str) -> set[str]:
    # Spark's old form of an instant: DuckDB reads it without a time zone.
    rows = source.cursor.execute(
        f"SELECT DISTINCT name FROM parquet_schema([{paths}]) WHERE type = 'INT96'"
    ).fetchall()
    return {row[0] for row in rows}
