"""How many rows a table has, and how many bytes BigQuery would say they are.

Sizes of types: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
"""

from __future__ import annotations

import threading

from pydag_dist.local.bigquery.catalog import LastWrites, Resource, table_fields
from pydag_dist.local.bigquery.names import TableRef, quote
from pydag_dist.local.bigquery.schema import Field
from pydag_dist.local.bigquery.store import Cursor, fetch_one

_FIXED = {
    "INTEGER": 8,
    "FLOAT": 8,
    "NUMERIC": 16,
    "BOOLEAN": 1,
    "TIMESTAMP": 8,
    "DATE": 8,
    "TIME": 8,
    "DATETIME": 8,
}
_CACHED_TABLES = 1000


class Sizes:
    """Rows and logical bytes of tables, remembered until a table changes."""

    def __init__(self, last_writes: LastWrites) -> None:
        self._last_writes = last_writes
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], tuple[int, int]] = {}

    def of(self, cursor: Cursor, ref: TableRef, resource: Resource) -> tuple[int, int]:
        """Rows and bytes, in the cursor's snapshot."""
        row = fetch_one(cursor, f"SELECT count(*) FROM {ref.sql}", [])
        rows = int(row[0]) if row else 0
        version = (
            str(ref),
            resource["creationTime"],
            resource["lastModifiedTime"],
            str(self._last_writes.at(ref)),
            str(rows),
        )
        with self._lock:
            known = self._known.get(version)
        if known is None:
            known = rows, _bytes(cursor, ref, table_fields(resource))
            with self._lock:
                if len(self._known) >= _CACHED_TABLES:
                    self._known.clear()
                self._known[version] = known
        return known


def _bytes(cursor: Cursor, ref: TableRef, fields: list[Field]) -> int:
    if not fields:
        return 0
    total = " + ".join(_size(quote(field["name"]), field) for field in fields)
    row = fetch_one(cursor, f"SELECT CAST(coalesce(sum({total}), 0) AS BIGINT) FROM {ref.sql}", [])
    return int(row[0]) if row else 0


def _size(value: str, field: Field, depth: int = 0) -> str:
    """An SQL expression of the bytes of one value."""
    if field.get("mode") == "REPEATED":
        item = f"x{depth}"
        each = _size(item, {**field, "mode": "NULLABLE"}, depth + 1)
        return f"coalesce(list_sum(list_transform({value}, lambda {item}: {each})), 0)"
    if field["type"] == "RECORD":
        members = (_size(f"{value}.{quote(s['name'])}", s, depth) for s in field["fields"])
        return f"({' + '.join(members)})"
    if field["type"] in _FIXED:
        return f"(CASE WHEN {value} IS NULL THEN 0 ELSE {_FIXED[field['type']]} END)"
    length = "octet_length" if field["type"] == "BYTES" else "strlen"
    text = value if field["type"] == "BYTES" else f"CAST({value} AS VARCHAR)"
    return f"coalesce(2 + {length}({text}), 0)"
