"""What some views of `INFORMATION_SCHEMA`, and `dataset.__TABLES__`, say of a table.

Columns: https://cloud.google.com/bigquery/docs/information-schema-table-options,
.../information-schema-column-field-paths and .../information-schema-views
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pydag_emulators.bigquery.names import table_ref
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.storage.catalog import Resource, has_rows, table_fields, writes
from pydag_emulators.bigquery.storage.contents import rows_and_bytes
from pydag_emulators.bigquery.storage.store import Cursor

OF_TABLE = [
    ("table_catalog", pa.string()),
    ("table_schema", pa.string()),
    ("table_name", pa.string()),
]
"""The columns by which a row of a view names a table."""
OPTIONS = pa.schema(
    [
        *OF_TABLE,
        ("option_name", pa.string()),
        ("option_type", pa.string()),
        ("option_value", pa.string()),
    ]
)
FIELD_PATHS = pa.schema(
    [
        *OF_TABLE,
        ("column_name", pa.string()),
        ("field_path", pa.string()),
        ("data_type", pa.string()),
        ("description", pa.string()),
        ("collation_name", pa.string()),
        ("rounding_mode", pa.string()),
    ]
)
VIEWS = pa.schema(
    [
        *OF_TABLE,
        ("view_definition", pa.string()),
        ("check_option", pa.string()),
        ("use_standard_sql", pa.string()),
    ]
)
MATERIALIZED_VIEWS = pa.schema(
    [
        *OF_TABLE,
        ("last_refresh_time", pa.timestamp("us", "UTC")),
        ("refresh_watermark", pa.timestamp("us", "UTC")),
    ]
)
TABLES = "__TABLES__"
"""The name of the older view of a dataset's tables."""
LISTED = pa.schema(
    [
        ("project_id", pa.string()),
        ("dataset_id", pa.string()),
        ("table_id", pa.string()),
        ("creation_time", pa.int64()),
        ("last_modified_time", pa.int64()),
        ("row_count", pa.int64()),
        ("size_bytes", pa.int64()),
        ("type", pa.int64()),
    ]
)
_TYPES = {"TABLE": 1, "VIEW": 2, "SNAPSHOT": 6}


def options(_cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    """The rows of `.TABLE_OPTIONS`."""
    return [
        {"option_name": name, "option_type": type_, "option_value": value}
        for name, type_, value in _options(resource)
    ]


def _options(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """The name, the type and the GoogleSQL literal of each option that is set."""
    partitioning = resource.get("timePartitioning") or {}
    for name, key in (("friendly_name", "friendlyName"), ("description", "description")):
        if resource.get(key):
            yield name, "STRING", _text(resource[key])
    if labels := resource.get("labels"):
        pairs = ", ".join(f"STRUCT({_text(key)}, {_text(labels[key])})" for key in labels)
        yield "labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]"
    if milliseconds := resource.get("expirationTime"):
        at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield "expiration_timestamp", "TIMESTAMP", f'TIMESTAMP "{stamp}"'
    if milliseconds := partitioning.get("expirationMs"):
        yield "partition_expiration_days", "FLOAT64", repr(int(milliseconds) / 86_400_000)
    if resource.get("requirePartitionFilter"):
        yield "require_partition_filter", "BOOL", "true"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def field_paths(_cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    """The rows of `.COLUMN_FIELD_PATHS`: of each column, and of each member of a struct."""
    return [
        {
            "column_name": path.partition(".")[0],
            "field_path": path,
            "data_type": sql_type(field, limits=True),
            "description": field.get("description"),
            "collation_name": "NULL",
        }
        for path, field in _paths(table_fields(resource))
    ]


def _paths(fields: list[Field], above: str = "") -> Iterator[tuple[str, Field]]:
    for field in fields:
        path = f"{above}{field['name']}"
        yield path, field
        yield from _paths(field.get("fields") or [], f"{path}.")


def views(_cursor: Cursor, resource: Resource) -> list[dict[str, Any]]:
    """The rows of `.VIEWS`."""
    if resource["type"] != "VIEW":
        return []
    return [{"view_definition": resource["view"]["query"], "use_standard_sql": "YES"}]


def materialized_views(_cursor: Cursor, _resource: Resource) -> list[dict[str, Any]]:
    """The rows of `.MATERIALIZED_VIEWS`: none can be made here."""
    return []


def listed(cursor: Cursor, resource: Resource) -> dict[str, Any]:
    """The row of a table in `__TABLES__`."""
    ref = table_ref(resource["tableReference"], "")
    rows, size = None, None
    changed = int(resource["lastModifiedTime"])
    if has_rows(resource):
        rows, size = rows_and_bytes(cursor, f"FROM {ref.sql}", table_fields(resource))
        changed = max(changed, writes(cursor, ref)[1])
    return {
        "project_id": ref.project,
        "dataset_id": ref.dataset,
        "table_id": ref.table,
        "creation_time": int(resource["creationTime"]),
        "last_modified_time": changed,
        "row_count": rows,
        "size_bytes": size,
        "type": _TYPES[resource["type"]],
    }
