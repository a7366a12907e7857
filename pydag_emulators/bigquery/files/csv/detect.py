"""Finds out the columns of CSV files.

https://cloud.google.com/bigquery/docs/schema-detect
"""

from __future__ import annotations

import csv
import re
from itertools import islice

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.files.csv.values import CONVERT, delimiter_of
from pydag_emulators.bigquery.files.source import Source
from pydag_emulators.bigquery.names import literal
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_SAMPLE = 500
_DELIMITERS = (",", "|", "\t")
_DETECTED = ("BOOLEAN", "INTEGER", "FLOAT", "DATE", "TIMESTAMP", "TIME")
_NOT_IN_NAMES = re.compile(r"[^\w]")


def detect_delimiter(source: Source) -> str:
    """The comma, pipe or tab that cuts the first rows into equally many columns."""
    with source.files[0][0].open(encoding="utf-8-sig", newline="") as file:
        lines = list(islice(file, _SAMPLE))
    for delimiter in _DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return ","


def detect(source: Source) -> tuple[list[Field], int]:
    """The columns, and how many rows to skip, the header among them.

    A first row is a header when it is all text and some column below it is not.
    """
    path, uri = source.files[0]
    config = source.config
    given = config.get("skipLeadingRows")
    before = max(int(given) - 1, 0) if given is not None else 0
    looks_for_header = given is None or int(given) > 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter_of(config))
        rows = [row for row, _ in zip(reader, range(before + _SAMPLE + 1), strict=False)][before:]
    rows = [row for row in rows if row]
    if not rows:
        raise invalid(f"Error while reading data, error message: Empty file. File: {uri}")
    width = max(len(row) for row in rows)
    body = rows[1:] or rows
    below = [_type_of(source.cursor, [_at(row, i) for row in body]) for i in range(width)]
    head = [_type_of(source.cursor, [_at(rows[0], i)]) for i in range(width)]
    if looks_for_header and set(head) == {"STRING"} and set(below) != {"STRING"}:
        names = _names(rows[0])
        return [_field(n, t) for n, t in zip(names, below, strict=False)], before + 1
    skip = int(given or 0)
    whole = [_type_of(source.cursor, [_at(row, i) for row in rows]) for i in range(width)]
    types = below if skip else whole
    counts: dict[str, int] = {}
    fields = []
    for type_ in types:
        kind = {"INTEGER": "int64", "FLOAT": "double", "BOOLEAN": "bool"}.get(type_, type_.lower())
        fields.append(_field(f"{kind}_field_{counts.setdefault(kind, 0)}", type_))
        counts[kind] += 1
    return fields, skip


def _at(row: list[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _type_of(cursor: Cursor, values: list[str]) -> str:
    """The first type that all values have; STRING if none has."""
    texts = [value for value in values if value != ""]
    if not texts:
        return "STRING"
    items = ", ".join(f"({literal(text)})" for text in texts)
    for type_ in _DETECTED:
        condition = CONVERT[type_].format("v")
        if type_ == "BOOLEAN":
            condition = "CASE WHEN lower(v) IN ('true', 'false') THEN true END"
        row = fetch_one(
            cursor, f"SELECT bool_and({condition} IS NOT NULL) FROM (VALUES {items}) AS t(v)", []
        )
        if row and row[0]:
            return type_
    return "STRING"


def _names(header: list[str]) -> list[str]:
    names: list[str] = []
    for index, cell in enumerate(header):
        name = _NOT_IN_NAMES.sub("_", cell.strip()) or f"string_field_{index}"
        if name[0].isdigit():
            name = f"_{name}"
        taken = {used.lower() for used in names}
        names.append(name if name.lower() not in taken else f"{name}_{index}")
    return names


def _field(name: str, type_: str) -> Field:
    return {"name": name, "type": type_, "mode": "NULLABLE"}
