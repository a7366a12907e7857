"""Avro files of an extract job.

Forms: https://cloud.google.com/bigquery/docs/exporting-data#avro_export_details
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, has_type
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.storage.stream import batches

_BATCH = 10_000  # rows
_AVRO = {"NONE": "null", "DEFLATE": "deflate"}
_AVRO_TYPES: dict[str, Any] = {
    "BOOLEAN": "boolean",
    "INTEGER": "long",
    "FLOAT": "double",
    "STRING": "string",
    "BYTES": "bytes",
    "NUMERIC": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
    "DATE": {"type": "int", "logicalType": "date"},
    "TIME": {"type": "long", "logicalType": "time-micros"},
    "TIMESTAMP": {"type": "long", "logicalType": "timestamp-micros"},
    "DATETIME": {"type": "string", "logicalType": "datetime"},
}


def write_avro(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> int:
    """Write the rows of the DuckDB table; returns how many there are.

    Raises:
        ApiError: `notImplemented`.
    """
    codec = _AVRO.get(config["compression"])
    if codec is None:
        raise unimplemented(f"Avro files compressed by {config['compression']}")
    if not config.get("useAvroLogicalTypes") and any(
        has_type(fields, type_) for type_ in ("DATE", "TIME", "TIMESTAMP", "DATETIME")
    ):
        raise unimplemented("dates and times in Avro without useAvroLogicalTypes")
    schema = fastavro.parse_schema(_record("Root", fields))
    rows = _Rows(cursor, table, fields)
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, codec=codec)
    return rows.count


class _Rows:
    """The rows as fastavro takes them; `count` is how many it has taken."""

    def __init__(self, cursor: Cursor, table: str, fields: list[Field]) -> None:
        columns = ", ".join(quote(field["name"]) for field in fields)
        self._batches = batches(cursor, f"SELECT {columns} FROM {table}", _BATCH)
        self._civil = has_type(fields, "DATETIME")
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._batches:
            rows = batch.to_pylist()
            self.count += len(rows)
            yield from map(_civil, rows) if self._civil else rows


def _record(name: str, fields: list[Field]) -> dict[str, Any]:
    members = [{"name": f["name"], "type": _avro_type(f"{name}_{f['name']}", f)} for f in fields]
    return {"type": "record", "name": name, "fields": members}


def _avro_type(path: str, field: Field) -> Any:
    is_record = field["type"] == "RECORD"
    type_ = _record(path, field["fields"]) if is_record else _AVRO_TYPES[field["type"]]
    if field["mode"] == "REPEATED":
        return {"type": "array", "items": type_}
    return type_ if field["mode"] == "REQUIRED" else ["null", type_]


def _civil(value: Any) -> Any:
    """The same value, but with texts for times without a time zone."""
    if isinstance(value, dict):
        return {name: _civil(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_civil(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) and not value.tzinfo else value
