"""`dataset.INFORMATION_SCHEMA`: what its views say of the catalog.

Columns: https://cloud.google.com/bigquery/docs/information-schema-tables
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pydag_emulators.bigquery.errors import ApiError, invalid, unimplemented
from pydag_emulators.bigquery.names import DatasetRef, table_ref
from pydag_emulators.bigquery.schema import Field, field_of, sql_type
from pydag_emulators.bigquery.storage import table_details
from pydag_emulators.bigquery.storage.catalog import Resource, list_tables, table_fields, writes
from pydag_emulators.bigquery.storage.contents import bytes_of
from pydag_emulators.bigquery.storage.layout import check_layout, partition_id
from pydag_emulators.bigquery.storage.routines import STATEMENT, list_routines
from pydag_emulators.bigquery.storage.store import Cursor

_TABLES = pa.schema(
    [
        *table_details.OF_TABLE,
        ("table_type", pa.string()),
        ("is_insertable_into", pa.string()),
        ("is_typed", pa.string()),
        ("creation_time", pa.timestamp("us", "UTC")),
    ]
)
_COLUMNS = pa.schema(
    [
        *table_details.OF_TABLE,
        ("column_name", pa.string()),
        ("ordinal_position", pa.int64()),
        ("is_nullable", pa.string()),
        ("data_type", pa.string()),
        ("column_default", pa.string()),
        ("is_hidden", pa.string()),
        ("is_partitioning_column", pa.string()),
        ("clustering_ordinal_position", pa.int64()),
    ]
)
_PARTITIONS = pa.schema(
    [
        *table_details.OF_TABLE,
        ("partition_id", pa.string()),
        ("total_rows", pa.int64()),
        ("total_logical_bytes", pa.int64()),
        ("last_modified_time", pa.timestamp("us", "UTC")),
        ("storage_tier", pa.string()),
    ]
)
SUMMARY = "__PARTITIONS_SUMMARY__"
"""What follows the `$` of the name under which the partitions of a table are listed."""
_SUMMARY = pa.schema(
    [
        ("project_id", pa.string()),
        ("dataset_id", pa.string()),
        ("table_id", pa.string()),
        ("partition_id", pa.string()),
        ("last_modified_time", pa.int64()),
    ]
)
_ROUTINES = pa.schema(
    [
        ("specific_catalog", pa.string()),
        ("specific_schema", pa.string()),
        ("specific_name", pa.string()),
        ("routine_catalog", pa.string()),
        ("routine_schema", pa.string()),
        ("routine_name", pa.string()),
        ("routine_type", pa.string()),
        ("routine_body", pa.string()),
        ("routine_definition", pa.string()),
        ("external_language", pa.string()),
        ("created", pa.timestamp("us", "UTC")),
        ("last_altered", pa.timestamp("us", "UTC")),
        ("ddl", pa.string()),
    ]
)
_TYPES = {"TABLE": "BASE TABLE", "VIEW": "VIEW", "SNAPSHOT": "SNAPSHOT"}


def _moment(milliseconds: str | int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _yes(value: object) -> str:
    return "YES" if value else "NO"


def _tables(_cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    is_table = resource["type"] == "TABLE"
    return [
        {
            "table_type": _TYPES[resource["type"]],
            "is_insertable_into": _yes(is_table),
            "is_typed": "NO",
            "creation_time": _moment(resource["creationTime"]),
        }
    ]


def _columns(_cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    partitioning = (
        resource.get("timePartitioning") or resource.get("rangePartitioning") or {}
    ).get("field")
    clustering = (resource.get("clustering") or {}).get("fields") or []
    return [
        {
            "column_name": field["name"],
            "ordinal_position": position,
            "is_nullable": _yes(field["mode"] == "NULLABLE"),
            "data_type": sql_type(field, limits=True),
            "column_default": field.get("defaultValueExpression", "NULL"),
            "is_hidden": "NO",
            "is_partitioning_column": _yes(field["name"] == partitioning),
            "clustering_ordinal_position": clustering.index(field["name"]) + 1
            if field["name"] in clustering
            else None,
        }
        for position, field in enumerate(table_fields(resource), 1)
    ]


def partitions(cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    """The rows of `.PARTITIONS`; the time of the last change is that of the whole table."""
    fields = table_fields(resource)
    if resource["type"] != "TABLE" or not fields:
        return []
    try:
        check_layout(resource, fields)
    except ApiError:
        return []  # of an older version, which took it; it must not harm the other tables
    ref = table_ref(resource["tableReference"], "")
    modified = max(int(resource["lastModifiedTime"]), writes(cursor, ref)[1])
    rows = cursor.execute(
        f"SELECT {partition_id(resource)} AS id, count(*), {bytes_of(fields)} FROM {ref.sql} "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [
        {
            "partition_id": partition,
            "total_rows": count,
            "total_logical_bytes": size,
            "last_modified_time": _moment(modified),
            "storage_tier": "ACTIVE",
        }
        for partition, count, size in rows
    ]


def partitions_summary(cursor: Cursor, resource: Resource) -> tuple[pa.Table, list[Field]]:
    """The rows and columns of `table$__PARTITIONS_SUMMARY__`, by which clients list partitions.

    Raises:
        ApiError: `invalid` for a table without partitions.
    """
    if resource["type"] != "TABLE" or not (
        resource.get("timePartitioning") or resource.get("rangePartitioning")
    ):
        raise invalid(
            "Cannot read partition information from a table that is not partitioned: "
            f"{resource['id']}"
        )
    reference = resource["tableReference"]
    rows = [
        {
            "project_id": reference["projectId"],
            "dataset_id": reference["datasetId"],
            "table_id": reference["tableId"],
            "partition_id": row["partition_id"],
            "last_modified_time": int(row["last_modified_time"].timestamp() * 1000),
        }
        for row in partitions(cursor, resource)
    ]
    types = {pa.string(): "STRING", pa.int64(): "INTEGER"}
    fields = [
        {"name": column.name, "type": types[column.type], "mode": "NULLABLE"} for column in _SUMMARY
    ]
    return pa.Table.from_pylist(rows, _SUMMARY), fields


_VIEWS: dict[str, tuple[pa.Schema, Callable[[Cursor, Resource], list[dict[str, Any]]]]] = {
    "TABLES": (_TABLES, _tables),
    "COLUMNS": (_COLUMNS, _columns),
    "PARTITIONS": (_PARTITIONS, partitions),
    "TABLE_OPTIONS": (table_details.OPTIONS, table_details.options),
    "COLUMN_FIELD_PATHS": (table_details.FIELD_PATHS, table_details.field_paths),
    "VIEWS": (table_details.VIEWS, table_details.views),
    "MATERIALIZED_VIEWS": (table_details.MATERIALIZED_VIEWS, table_details.materialized_views),
}


def relation(cursor: Cursor, view: str, dataset: DatasetRef) -> tuple[str, list[Field]]:
    """The name of a DuckDB relation, known to the cursor only, with the view's rows; its columns.

    `view` is a name in INFORMATION_SCHEMA, or `__TABLES__`.

    Raises:
        ApiError: `notImplemented` for other views.
    """
    if view == "ROUTINES":
        schema, rows = _ROUTINES, _routines(cursor, dataset)
    elif view == table_details.TABLES:
        schema = table_details.LISTED
        rows = [table_details.listed(cursor, each) for each in list_tables(cursor, dataset)]
    elif view in _VIEWS:
        schema, rows = _VIEWS[view][0], _of_tables(cursor, view, dataset)
    else:
        raise unimplemented(f"INFORMATION_SCHEMA.{view}")
    name = f"information_schema {view} {dataset}"
    found = pa.Table.from_pylist(rows, schema)
    cursor.register(name, found)
    made = cursor.from_arrow(found)
    return name, [field_of(*column) for column in zip(made.columns, made.types, strict=True)]


def _of_tables(cursor: Cursor, view: str, dataset: DatasetRef) -> list[dict[str, Any]]:
    """What the view says of each table."""
    _, rows_of = _VIEWS[view]
    return [
        {
            "table_catalog": dataset.project,
            "table_schema": dataset.dataset,
            "table_name": resource["tableReference"]["tableId"],
            **row,
        }
        for resource in list_tables(cursor, dataset)
        for row in rows_of(cursor, resource)
    ]


def _routines(cursor: Cursor, dataset: DatasetRef) -> list[dict[str, Any]]:
    """The rows of `.ROUTINES`."""
    return [
        {
            **dict.fromkeys(("specific_catalog", "routine_catalog"), dataset.project),
            **dict.fromkeys(("specific_schema", "routine_schema"), dataset.dataset),
            **dict.fromkeys(
                ("specific_name", "routine_name"), resource["routineReference"]["routineId"]
            ),
            "routine_type": _ROUTINE_TYPES[resource["routineType"]],
            "routine_body": "SQL",
            "routine_definition": resource["definitionBody"],
            "created": _moment(resource["creationTime"]),
            "last_altered": _moment(resource["lastModifiedTime"]),
            "ddl": resource[STATEMENT],
        }
        for resource in list_routines(cursor, dataset)
    ]


_ROUTINE_TYPES = {"SCALAR_FUNCTION": "FUNCTION", "PROCEDURE": "PROCEDURE"}
