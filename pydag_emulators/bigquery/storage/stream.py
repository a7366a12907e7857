"""The rows of a query, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pydag_emulators.bigquery.storage.duck_errors import duckdb_error
from pydag_emulators.bigquery.storage.store import Cursor


def batches(cursor: Cursor, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a DuckDB query, at most `rows` at a time, while it runs.

    Raises:
        duckdb.Error: when a row is met that has no value.
    """
    try:
        yield from cursor.sql(sql).to_arrow_reader(rows)
    except OSError as error:
        raise duckdb_error(error) from error
