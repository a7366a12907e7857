"""Newline-delimited JSON files of a load job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pydag_emulators.bigquery.files.detect_json import detect_fields
from pydag_emulators.bigquery.files.source import BadRecords, Loaded, Source
from pydag_emulators.bigquery.files.values import BadValue, arrow_type, record
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import duck_type

_RAW = "json rows"
_CHUNK = 10_000


def read_ndjson(source: Source) -> Loaded:
    """The rows of the files.

    Raises:
        ApiError: `invalid` with more bad rows than `maxBadRecords`.
    """
    bad = BadRecords(source, "JSON")
    fields = source.columns
    if source.wants_autodetect():
        fields = detect_fields(given for _, _, given in _objects(source, BadRecords(source, "")))
    schema = pa.schema([(field["name"], arrow_type(field)) for field in fields])
    ignore_unknown = bool(source.config.get("ignoreUnknownValues"))
    batches, rows, total = [], [], 0
    for uri, position, given in _objects(source, bad):
        total += 1
        try:
            rows.append(record(given, fields, ignore_unknown=ignore_unknown))
        except BadValue as error:
            bad.add(uri, _at(position, str(error)))
        if len(rows) >= _CHUNK:
            batches.append(pa.Table.from_pylist(rows, schema))
            rows = []
    batches.append(pa.Table.from_pylist(rows, schema))
    bad.check(total)
    source.cursor.register(_RAW, pa.concat_tables(batches))
    columns = ", ".join(
        f"CAST({quote(field['name'])} AS {duck_type(field)}) AS {quote(field['name'])}"
        for field in fields
    )
    return Loaded(f"SELECT {columns} FROM {quote(_RAW)}", fields, bad.errors)


def _at(position: int, message: str) -> str:
    return f"JSON parsing error in row starting at position {position}: {message}"


def _objects(source: Source, bad: BadRecords) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The URI, byte position and content of every object."""
    for path, uri in source.files:
        position = 0
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if number % _CHUNK == 0:
                    source.check()
                if line.strip():
                    try:
                        given = json.loads(line)
                    except ValueError as error:
                        bad.add(uri, _at(position, f"Parser error: {error}"))
                    else:
                        if isinstance(given, dict):
                            yield uri, position, given
                        else:
                            bad.add(uri, _at(position, "Start of object expected"))
                position += len(line)
