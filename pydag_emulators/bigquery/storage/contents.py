"""How many rows a table has, how many bytes they are for BigQuery, and which columns hold NaN.

Sizes of types: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.catalog import Resource, table_fields, writes
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

BYTES_OF_VALUES = {
    "INTEGER": 8,
    "FLOAT": 8,
    "NUMERIC": 16,
    "BOOLEAN": 1,
    "TIMESTAMP": 8,
    "DATE": 8,
    "TIME": 8,
    "DATETIME": 8,
}
"""Of types whose values are all of one size."""
_CACHED_TABLES = 1000


@dataclass(frozen=True)
class Contents:
    """What is known of a table's rows."""

    rows: int
    bytes: int
    nan_names: frozenset[str] = frozenset()
    """Columns that hold NaN, and their members', in lower case."""


class Sizes:
    """The contents of tables, remembered until a table changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], Contents] = {}

    def of(self, cursor: Cursor, ref: TableRef, resource: Resource) -> Contents:
        """The table's contents in the cursor's snapshot."""
        row = fetch_one(cursor, f"SELECT count(*) FROM {ref.sql}", [])
        rows = int(row[0]) if row else 0
        version = (
            str(ref),
            resource["creationTime"],
            resource["lastModifiedTime"],
            *(str(part) for part in writes(cursor, ref)),
            str(rows),
        )
        with self._lock:
            known = self._known.get(version)
        if known is None:
            known = _contents(cursor, ref, table_fields(resource), rows)
            with self._lock:
                if len(self._known) >= _CACHED_TABLES:
                    self._known.clear()
                self._known[version] = known
        return known


def _contents(cursor: Cursor, ref: TableRef, fields: list[Field], rows: int) -> Contents:
    if not fields or not rows:
        return Contents(rows, 0)
    floats = [field for field in fields if _has_float(field)]
    nan = ", ".join(f"coalesce(bool_or({_nan(quote(f['name']), f)}), false)" for f in floats)
    row = fetch_one(
        cursor,
        f"SELECT {bytes_of(fields)}{', ' + nan if nan else ''} FROM {ref.sql}",
        [],
    )
    if row is None:
        return Contents(rows, 0)
    names = {
        name
        for field, found in zip(floats, row[1:], strict=True)
        if found
        for name in [*_names(field), ref.table.lower()]
    }
    return Contents(rows, int(row[0]), frozenset(names))


def rows_and_bytes(cursor: Cursor, query: str, fields: list[Field]) -> tuple[int, int]:
    """How many rows a DuckDB query with these columns has, and their bytes."""
    row = fetch_one(cursor, f"SELECT count(*), {bytes_of(fields)} FROM ({query})", [])
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def bytes_of(fields: list[Field]) -> str:
    """A DuckDB expression of the bytes of a group of rows with these columns."""
    total = " + ".join(_size(quote(field["name"]), field) for field in fields)
    return f"CAST(coalesce(sum({total or 0}), 0) AS BIGINT)"


def _size(value: str, field: Field, depth: int = 0) -> str:
    """An SQL expression of the bytes of one value."""
    if field.get("mode") == "REPEATED":
        item = quote(f"\N{MIDDLE DOT}{depth}")
        each = _size(item, {**field, "mode": "NULLABLE"}, depth + 1)
        return f"coalesce(list_sum(list_transform({value}, lambda {item}: {each})), 0)"
    if field["type"] == "RECORD":
        members = (_size(f"{value}.{quote(s['name'])}", s, depth) for s in field["fields"])
        return f"({' + '.join(members)})"
    if field["type"] in BYTES_OF_VALUES:
        return f"(CASE WHEN {value} IS NULL THEN 0 ELSE {BYTES_OF_VALUES[field['type']]} END)"
    length = "octet_length" if field["type"] == "BYTES" else "strlen"
    text = value if field["type"] == "BYTES" else f"CAST({value} AS VARCHAR)"
    return f"coalesce(2 + {length}({text}), 0)"


def _has_float(field: Field) -> bool:
    return field["type"] == "FLOAT" or any(_has_float(sub) for sub in field.get("fields", []))


def _names(field: Field) -> list[str]:
    return [field["name"].lower(), *(n for sub in field.get("fields", []) for n in _names(sub))]


def _nan(value: str, field: Field, depth: int = 0) -> str:
    """An SQL expression of whether there is NaN in one value."""
    if field.get("mode") == "REPEATED":
        item = quote(f"\N{MIDDLE DOT}{depth}")
        each = _nan(item, {**field, "mode": "NULLABLE"}, depth + 1)
        return f"list_bool_or(list_transform({value}, lambda {item}: {each}))"
    if field["type"] == "RECORD":
        members = (
            _nan(f"{value}.{quote(sub['name'])}", sub, depth)
            for sub in field["fields"]
            if _has_float(sub)
        )
        return f"({' OR '.join(members)})"
    return f"isnan({value})"
