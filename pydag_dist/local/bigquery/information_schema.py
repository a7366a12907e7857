"""`dataset.INFORMATION_SCHEMA.TABLES` and `.COLUMNS`, from the catalog.

Columns: https://cloud.google.com/bigquery/docs/information-schema-tables
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pydag_dist.local.bigquery.catalog import Resource, list_tables, table_fields
from pydag_dist.local.bigquery.errors import unimplemented
from pydag_dist.local.bigquery.names import DatasetRef
from pydag_dist.local.bigquery.schema import sql_type
from pydag_dist.local.bigquery.store import Cursor

_TABLES = pa.schema(
    [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("table_type", pa.string()),
        ("is_insertable_into", pa.string()),
        ("is_typed", pa.string()),
        ("creation_time", pa.timestamp("us", "UTC")),
    ]
)
_COLUMNS = pa.schema(
    [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("column_name", pa.string()),
        ("ordinal_position", pa.int64()),
        ("is_nullable", pa.string()),
        ("data_type", pa.string()),
        ("is_hidden", pa.string()),
        ("is_partitioning_column", pa.string()),
        ("clustering_ordinal_position", pa.int64()),
    ]
)
_TYPES = {"TABLE": "BASE TABLE", "VIEW": "VIEW"}


def _yes(value: object) -> str:
    return "YES" if value else "NO"


def _tables(resource: Resource) -> list[dict[str, Any]]:
    is_table = resource["type"] == "TABLE"
    created = datetime.fromtimestamp(int(resource["creationTime"]) / 1000, UTC)
    return [
        {
            "table_type": _TYPES[resource["type"]],
            "is_insertable_into": _yes(is_table),
            "is_typed": "NO",
            "creation_time": created,
        }
    ]


def _columns(resource: Resource) -> list[dict[str, Any]]:
    partitioning = (
        resource.get("timePartitioning") or resource.get("rangePartitioning") or {}
    ).get("field")
    clustering = (resource.get("clustering") or {}).get("fields") or []
    return [
        {
            "column_name": field["name"],
            "ordinal_position": position,
            "is_nullable": _yes(field["mode"] == "NULLABLE"),
            "data_type": sql_type(field),
            "is_hidden": "NO",
            "is_partitioning_column": _yes(field["name"] == partitioning),
            "clustering_ordinal_position": clustering.index(field["name"]) + 1
            if field["name"] in clustering
            else None,
        }
        for position, field in enumerate(table_fields(resource), 1)
    ]


_VIEWS: dict[str, tuple[pa.Schema, Callable[[Resource], list[dict[str, Any]]]]] = {
    "TABLES": (_TABLES, _tables),
    "COLUMNS": (_COLUMNS, _columns),
}


def relation(cursor: Cursor, view: str, dataset: DatasetRef) -> str:
    """The name of a DuckDB relation, known to the cursor only, with the view's rows.

    Raises:
        ApiError: `notImplemented` for other views.
    """
    if view not in _VIEWS:
        raise unimplemented(f"INFORMATION_SCHEMA.{view}")
    schema, rows_of = _VIEWS[view]
    rows = [
        {
            "table_catalog": dataset.project,
            "table_schema": dataset.dataset,
            "table_name": resource["tableReference"]["tableId"],
            **row,
        }
        for resource in list_tables(cursor, dataset)
        for row in rows_of(resource)
    ]
    name = f"information_schema {view} {dataset}"
    cursor.register(name, pa.Table.from_pylist(rows, schema))
    return name
