"""Pages of rows of a table, in the order in which they were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.catalog import get_table
from pydag_emulators.bigquery.storage.layout import in_partition
from pydag_emulators.bigquery.storage.rows import rows_json
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_MAX_ROWS = 100_000
_MAX_BYTES = 10_000_000
"""BigQuery's own limit of a page: https://cloud.google.com/bigquery/docs/paging-results"""


@dataclass(frozen=True)
class Page:
    """Some rows, and where the next page begins, if there is one."""

    rows: list[Any]
    total: int
    next_row: int | None


def read_page(
    cursor: Cursor,
    ref: TableRef,
    fields: list[Field],
    start: int,
    size: int | None,
    *,
    int64_timestamps: bool,
) -> Page:
    """At most `size` rows from row `start` on, fewer when they are large.

    The table may be one partition of a table, `t$20260131`.
    """
    source = rows_of_table(cursor, ref)
    row = fetch_one(cursor, f"SELECT count(*) FROM {source}", [])
    total = int(row[0]) if row else 0
    limit = _MAX_ROWS if size is None else min(size, _MAX_ROWS)
    if not fields or limit == 0 or start >= total:
        more = start < total and bool(fields)
        return Page([], total, start if more else None)
    columns = ", ".join(quote(field["name"]) for field in fields)
    table = cursor.sql(
        f"SELECT {columns} FROM {source} LIMIT {limit} OFFSET {start}"
    ).to_arrow_table()
    while table.num_rows > 1 and table.nbytes > _MAX_BYTES:
        table = table.slice(0, max(table.num_rows * _MAX_BYTES // table.nbytes, 1))
        table = table.take(
            list(range(table.num_rows))
        )  # a slice of an Arrow table reports the bytes of the whole table
    rows = rows_json(table, fields, int64_timestamps=int64_timestamps)
    end = start + len(rows)
    return Page(rows, total, end if end < total else None)


def page_of_rows(table: pa.Table, fields: list[Field], start: int, size: int | None) -> Page:
    """At most `size` of these rows from row `start` on."""
    wanted = table.select([field["name"] for field in fields]).slice(start, size)
    rows = rows_json(wanted, fields, int64_timestamps=False)
    end = start + len(rows)
    return Page(rows, table.num_rows, end if end < table.num_rows else None)


def rows_of_table(cursor: Cursor, ref: TableRef) -> str:
    """DuckDB SQL of the table's rows, or of those of a partition."""
    name, is_partition, partition = ref.table.partition("$")
    if not is_partition:
        return ref.sql
    whole = ref._replace(table=name)
    return f"(FROM {whole.sql} WHERE {in_partition(get_table(cursor, whole), partition)})"
