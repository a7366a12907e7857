"""Writes a table's rows into a file of any format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.files.exports.avro import write_avro
from pydag_emulators.bigquery.files.exports.text import write_csv, write_json
from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import Field, has_type
from pydag_emulators.bigquery.storage.store import Cursor

_PARQUET = {"NONE": "uncompressed", "GZIP": "gzip", "SNAPPY": "snappy", "ZSTD": "zstd"}


def export(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> int:
    """Write the rows of the DuckDB table into `path`, as an extract's configuration says.

    Returns how many rows there are.

    Raises:
        ApiError: `invalid` for what the format can't hold, `notImplemented`.
    """
    writer = _WRITERS.get(config["destinationFormat"])
    if writer is None:
        raise unimplemented(f"extracts in the format {config['destinationFormat']}")
    if has_type(fields, "JSON"):
        raise unimplemented("extracts of columns of the type JSON")
    return writer(cursor, table, fields, config, path)


def _write_parquet(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> int:
    codec = _PARQUET.get(config["compression"])
    if codec is None:
        raise invalid(f"PARQUET files cannot be compressed by {config['compression']}")
    columns = ", ".join(quote(field["name"]) for field in fields)
    counted = cursor.execute(
        f"COPY (SELECT {columns} FROM {table}) TO {literal(str(path))} "
        f"(FORMAT parquet, COMPRESSION {codec})"
    ).fetchall()
    return int(counted[0][0])


_WRITERS: dict[str, Callable[[Cursor, str, list[Field], dict[str, Any], Path], int]] = {
    "CSV": write_csv,
    "NEWLINE_DELIMITED_JSON": write_json,
    "PARQUET": _write_parquet,
    "AVRO": write_avro,
}
