"""Avro files of a load job.

Conversions: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import IO, Any

import fastavro
import pyarrow as pa

from pydag_emulators.bigquery.errors import ApiError, invalid, unimplemented
from pydag_emulators.bigquery.files.arrow import arrow_schema, streamed
from pydag_emulators.bigquery.files.columns import loaded_by_name
from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.schema import Field, check_schema

_CHUNK = 10_000
_PRIMITIVE = {
    "boolean": "BOOLEAN", "int": "INTEGER", "long": "INTEGER", "float": "FLOAT",
    "double": "FLOAT", "bytes": "BYTES", "string": "STRING", "enum": "STRING", "fixed": "BYTES",
}  # fmt: skip
_LOGICAL = {
    "date": "DATE", "time-millis": "TIME", "time-micros": "TIME", "timestamp-millis": "TIMESTAMP",
    "timestamp-micros": "TIMESTAMP", "local-timestamp-millis": "DATETIME",
    "local-timestamp-micros": "DATETIME", "datetime": "DATETIME",
}  # fmt: skip
_BROKEN = (
    ValueError, EOFError, IndexError, TypeError, zlib.error, fastavro.schema.SchemaParseException,
)  # fmt: skip

# BigQuery's own logical type: https://cloud.google.com/bigquery/docs/exporting-data#avro_export_details
fastavro.read.LOGICAL_READERS["string-datetime"] = lambda text, *_: datetime.fromisoformat(text)


def read_avro(source: Source) -> Loaded:
    """The rows of the files; columns are matched by name.

    Raises:
        ApiError: `invalid` for a file that is no Avro, other columns, or types that do not fit.
    """
    logical = bool(source.config.get("useAvroLogicalTypes"))
    inferred: list[Field] = []
    for path, uri in source.files:
        source.check()
        with path.open("rb") as file:
            schema = _opened(file, uri).writer_schema
        if schema.get("type") != "record":
            raise _broken(uri, "it holds no records")
        fields = check_schema(_fields(schema, logical))
        if inferred and fields != inferred:
            raise unimplemented(f"Avro files of different schemas ({uri})")
        inferred = fields
    read = streamed(source, _tables(source, inferred), inferred)
    loaded = loaded_by_name(source, f"({read.sql})", inferred, "Avro")
    return replace(loaded, finish=read.finish)


def _tables(source: Source, fields: list[Field]) -> Iterator[pa.Table]:
    schema = arrow_schema(fields)
    for path, uri in source.files:
        with path.open("rb") as file:
            for rows in _chunks(_opened(file, uri), uri):
                source.check()
                yield pa.Table.from_pylist(rows, schema)


def _opened(file: IO[bytes], uri: str) -> Any:
    try:
        return fastavro.reader(file)
    except _BROKEN as error:
        raise _broken(uri, error) from error


def _chunks(rows: Iterable[Any], uri: str) -> Iterator[list[Any]]:
    """Chunks of rows; at least one, which may be empty."""
    left = iter(rows)
    while True:
        try:
            chunk = list(itertools.islice(left, _CHUNK))
        except _BROKEN as error:
            raise _broken(uri, error) from error
        yield chunk
        if len(chunk) < _CHUNK:
            return


def _broken(uri: str, error: object) -> ApiError:
    return invalid(
        "Error while reading data, error message: The Apache Avro library failed to read the "
        f"file: {str(error) or type(error).__name__} File: {uri}"
    )


def _fields(record: dict[str, Any], logical: bool) -> list[Field]:
    return [_field(member["name"], member["type"], logical) for member in record["fields"]]


def _field(name: str, type_: Any, logical: bool) -> Field:
    mode = "REQUIRED"
    if isinstance(type_, list):
        members = [member for member in type_ if member != "null"]
        if len(members) != 1 or len(type_) != 2:
            raise unimplemented(f"Avro unions other than of null and a type (field {name})")
        mode, type_ = "NULLABLE", members[0]
    kind = type_["type"] if isinstance(type_, dict) else type_
    if isinstance(kind, dict | list):
        return _field(name, kind, logical)
    if kind == "array" and isinstance(type_, dict):
        return {**_field(name, type_["items"], logical), "mode": "REPEATED"}
    if kind == "record" and isinstance(type_, dict):
        return {"name": name, "type": "RECORD", "mode": mode, "fields": _fields(type_, logical)}
    if kind not in _PRIMITIVE:
        raise unimplemented(f"the Avro type {kind} (field {name})")
    return {"name": name, "type": _scalar(name, kind, type_, logical), "mode": mode}


def _scalar(name: str, kind: str, type_: Any, logical: bool) -> str:
    given = type_.get("logicalType") if isinstance(type_, dict) else None
    if given is None:
        return _PRIMITIVE[kind]
    if not logical:
        raise unimplemented(f"Avro's logical types without useAvroLogicalTypes (field {name})")
    if given == "decimal":
        whole, scale = int(type_["precision"]) - int(type_.get("scale", 0)), type_.get("scale", 0)
        if whole > 29 or scale > 9:
            raise unimplemented(f"decimals beyond NUMERIC (field {name})")
        return "NUMERIC"
    if given not in _LOGICAL:
        raise unimplemented(f"Avro's logical type {given} (field {name})")
    return _LOGICAL[given]
