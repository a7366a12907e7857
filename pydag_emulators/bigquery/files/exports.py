"""Writing a table's rows into a file, format by format.

Forms: https://cloud.google.com/bigquery/docs/exporting-data#export_limitations
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import fastavro

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor

_BATCH = 10_000
_PARQUET = {"NONE": "uncompressed", "GZIP": "gzip", "SNAPPY": "snappy", "ZSTD": "zstd"}
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


def export(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> None:
    """Write the rows of the DuckDB table into `path`, as an extract's configuration says.

    Raises:
        ApiError: `invalid` for what the format can't hold, `notImplemented`.
    """
    writer = _WRITERS.get(config["destinationFormat"])
    if writer is None:
        raise unimplemented(f"extracts in the format {config['destinationFormat']}")
    if _has(fields, "JSON"):
        raise unimplemented("extracts of columns of the type JSON")
    writer(cursor, table, fields, config, path)


def _has(fields: list[Field], type_: str) -> bool:
    return any(field["type"] == type_ or _has(field.get("fields", []), type_) for field in fields)


def _rows(cursor: Cursor, table: str, fields: list[Field]) -> Iterator[dict[str, Any]]:
    columns = ", ".join(quote(field["name"]) for field in fields)
    for batch in cursor.sql(f"SELECT {columns} FROM {table}").to_arrow_table().to_batches(_BATCH):
        yield from batch.to_pylist()


# -- text ---------------------------------------------------------------------------------------


def _text_file(config: dict[str, Any], path: Path) -> TextIO:
    compression = config["compression"]
    if compression == "NONE":
        return path.open("w", encoding="utf-8", newline="")
    if compression != "GZIP":
        raise invalid(f"{config['destinationFormat']} files cannot be compressed by {compression}")
    return gzip.open(path, "wt", encoding="utf-8", newline="")


def _csv(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> None:
    for field in fields:
        if field["mode"] == "REPEATED" or field["type"] == "RECORD":
            raise invalid(
                f"Operation cannot be performed on a nested schema. Field: {field['name']}"
            )
    delimiter = {"\\t": "\t", "tab": "\t"}.get(config["fieldDelimiter"], config["fieldDelimiter"])
    with _text_file(config, path) as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        if config["printHeader"]:
            writer.writerow([field["name"] for field in fields])
        for row in _rows(cursor, table, fields):
            writer.writerow([_text(value) for value in row.values()])


def _json(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> None:
    with _text_file(config, path) as file:
        for row in _rows(cursor, table, fields):
            file.write(json.dumps(_plain(row), ensure_ascii=False, separators=(",", ":")) + "\n")


def _plain(value: Any) -> Any:
    """A value for JSON: whole numbers become texts, and members that are NULL are left out."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    return _TEXTS[type(value)](value)


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')} UTC"


def _decimal(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN" if math.isnan(value) else repr(value)


_TEXTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    bytes: lambda value: base64.b64encode(value).decode(),
    date: date.isoformat,
    datetime: _moment,
    Decimal: _decimal,
    float: _float,
    int: str,
    str: str,
    time: time.isoformat,
}


# -- columns ------------------------------------------------------------------------------------


def _parquet(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> None:
    codec = _PARQUET.get(config["compression"])
    if codec is None:
        raise invalid(f"PARQUET files cannot be compressed by {config['compression']}")
    columns = ", ".join(quote(field["name"]) for field in fields)
    cursor.execute(
        f"COPY (SELECT {columns} FROM {table}) TO {literal(str(path))} "
        f"(FORMAT parquet, COMPRESSION {codec})"
    )


def _avro(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> None:
    codec = _AVRO.get(config["compression"])
    if codec is None:
        raise unimplemented(f"Avro files compressed by {config['compression']}")
    if not config.get("useAvroLogicalTypes") and any(
        _has(fields, type_) for type_ in ("DATE", "TIME", "TIMESTAMP", "DATETIME")
    ):
        raise unimplemented("dates and times in Avro without useAvroLogicalTypes")
    schema = fastavro.parse_schema(_record("Root", fields))
    datetimes = _has(fields, "DATETIME")
    with path.open("wb") as file:
        rows = _rows(cursor, table, fields)
        fastavro.writer(file, schema, map(_civil, rows) if datetimes else rows, codec=codec)


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


_WRITERS: dict[str, Callable[[Cursor, str, list[Field], dict[str, Any], Path], None]] = {
    "CSV": _csv,
    "NEWLINE_DELIMITED_JSON": _json,
    "PARQUET": _parquet,
    "AVRO": _avro,
}
