"""Newline-delimited JSON files of a load job."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.files.arrow import arrow_schema, streamed
from pydag_emulators.bigquery.files.json.plain import Plain, blocks
from pydag_emulators.bigquery.files.json.values import (
    BadValue,
    Ignored,
    Written,
    anything,
    nothing,
    record,
)
from pydag_emulators.bigquery.files.source import BadRecords, Loaded, Source
from pydag_emulators.bigquery.schema import Field, check_schema

_SAMPLE = 500
_TEXTS = ("DATE", "TIMESTAMP", "TIME")


def read_ndjson(source: Source) -> Loaded:
    """The rows of the files.

    Raises:
        ApiError: `invalid`, with more bad rows than `maxBadRecords` when the rows have been read.
    """
    bad = BadRecords(source, "JSON")
    fields = source.columns
    ignores = bool(source.config.get("ignoreUnknownValues"))
    ignored: Ignored = anything if ignores else nothing
    if source.wants_autodetect():
        fields = _detect(_objects_of(source))
        ignored = anything if ignores else _is_empty
    return streamed(source, _tables(source, fields, ignored, bad), fields, bad.errors)


def _tables(
    source: Source, fields: list[Field], ignored: Ignored, bad: BadRecords
) -> Iterator[pa.Table]:
    """The good rows of each block; the others are noted."""
    schema = arrow_schema(fields)
    total = 0
    for path, uri in source.files:
        plain = Plain(fields, ignores=ignored is anything)
        for position, block in blocks(path):
            source.check()
            table = plain.read(block)
            if table is not None:
                total += table.num_rows
                yield table
                continue
            rows = []
            for at, given in _objects(block, uri, position, bad):
                total += 1
                try:
                    rows.append(record(given, fields, ignored=ignored))
                except BadValue as error:
                    bad.add(uri, _at(at, str(error)))
            yield pa.Table.from_pylist(rows, schema)
    bad.check(total)


def _at(position: int, message: str) -> str:
    return f"JSON parsing error in row starting at position {position}: {message}"


def _objects_of(source: Source) -> Iterator[dict[str, Any]]:
    """The objects of all files; what is none is left out."""
    bad = BadRecords(source, "")
    for path, uri in source.files:
        for position, block in blocks(path):
            for _, given in _objects(block, uri, position, bad):
                yield given


def _objects(
    block: bytes, uri: str, position: int, bad: BadRecords
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The byte position in the file and the content of every object."""
    for line in io.BytesIO(block):
        if line.strip():
            try:
                given = json.loads(line, parse_float=Written)
            except (ValueError, RecursionError) as error:
                bad.add(uri, _at(position, f"Parser error: {error}"))
            else:
                if isinstance(given, dict):
                    yield position, given
                else:
                    bad.add(uri, _at(position, "Start of object expected"))
        position += len(line)


# -- autodetect ---------------------------------------------------------------------------------


def _detect(objects: Iterable[dict[str, Any]]) -> list[Field]:
    """The columns that the first objects have.

    Raises:
        ApiError: `invalid` when a field has values that no type holds.
    """
    fields = _detected(list(itertools.islice(objects, _SAMPLE)))
    if not fields:
        raise invalid("Error while reading data, error message: No fields were found.")
    return check_schema(fields)


def _detected(objects: list[dict[str, Any]]) -> list[Field]:
    values: dict[str, list[Any]] = {}
    for given in objects:
        for name, value in given.items():
            values.setdefault(name, []).append(value)
    return [
        field
        for name, found in values.items()
        if (field := _detected_field(name, found)) is not None
    ]


def _detected_field(name: str, values: list[Any]) -> Field | None:
    values = [value for value in values if value is not None]
    lists = [value for value in values if isinstance(value, list)]
    if lists and len(lists) < len(values):
        raise invalid(f"Field {name} has both arrays and single values")
    items = [item for value in lists for item in value] if lists else values
    if not items:
        return None  # nothing but null, or empty arrays
    mode = "REPEATED" if lists else "NULLABLE"
    if all(isinstance(item, dict) for item in items):
        return {"name": name, "type": "RECORD", "mode": mode, "fields": _detected(items)}
    return {"name": name, "type": _scalar(items), "mode": mode}


def _scalar(items: list[Any]) -> str:
    if all(isinstance(item, bool) for item in items):
        return "BOOLEAN"
    if any(isinstance(item, bool) for item in items):
        return "STRING"
    # Numbers in quotes are numbers, too.
    for type_ in ("INTEGER", "FLOAT"):
        if all(_is(item, type_) for item in items):
            return type_
    for type_ in _TEXTS:
        if all(isinstance(item, str) and _is(item, type_) for item in items):
            return type_
    return "STRING"


def _is_empty(value: Any) -> bool:
    """Whether nothing can be found out of a value: its field is left out."""
    return value is None or value == []


def _is(item: Any, type_: str) -> bool:
    if type_ == "INTEGER" and isinstance(item, float):
        return False
    field = {"name": "x", "type": type_, "mode": "NULLABLE"}
    try:
        record({"x": item}, [field], ignored=_is_empty)
    except BadValue:
        return False
    return True
