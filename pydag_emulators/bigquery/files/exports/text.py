"""CSV and newline-delimited JSON files of an extract job: DuckDB makes the lines.

Forms: https://cloud.google.com/bigquery/docs/exporting-data#export_limitations
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.storage.stream import batches

_BATCH = 2048  # rows, which may be long
_TEXTS = {
    "STRING": "{0}",
    "INTEGER": "CAST({0} AS VARCHAR)",
    "FLOAT": "CASE WHEN isfinite({0}) THEN CAST({0} AS VARCHAR) WHEN isnan({0}) THEN 'NaN' "
    "WHEN {0} > 0 THEN 'Infinity' WHEN {0} < 0 THEN '-Infinity' END",
    "BOOLEAN": "CAST({0} AS VARCHAR)",
    "NUMERIC": r"regexp_replace(CAST({0} AS VARCHAR), '\.?0+$', '')",
    "BYTES": "to_base64({0})",
    "DATE": "CAST({0} AS VARCHAR)",
    "TIME": "CASE WHEN microsecond({0}) % 1000000 = 0 THEN CAST({0} AS VARCHAR) "
    "ELSE rpad(CAST({0} AS VARCHAR), 15, '0') END",
    "DATETIME": "replace(CASE WHEN microsecond({0}) % 1000000 = 0 THEN CAST({0} AS VARCHAR) "
    "ELSE rpad(CAST({0} AS VARCHAR), 26, '0') END, ' ', 'T')",
    "TIMESTAMP": "CASE WHEN epoch_us({0}) % 1000000 = 0 "
    "THEN CAST(make_timestamp(epoch_us({0})) AS VARCHAR) "
    "ELSE rpad(CAST(make_timestamp(epoch_us({0})) AS VARCHAR), 26, '0') END || ' UTC'",
}
_CHARACTERS = frozenset("+-.:/= ")  # besides letters and digits, of values that aren't STRINGs


def write_csv(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> int:
    """Write the rows of the DuckDB table; returns how many there are.

    Raises:
        ApiError: `invalid` for nested columns, or a compression that CSV files can't have.
    """
    for field in fields:
        if field["mode"] == "REPEATED" or field["type"] == "RECORD":
            raise invalid(
                f"Operation cannot be performed on a nested schema. Field: {field['name']}"
            )
    given = config["fieldDelimiter"]
    delimiter = {"\\t": "\t", "tab": "\t"}.get(given, given)
    if len(delimiter) != 1:
        raise invalid(f"Invalid field delimiter: {given}")
    cells = [_cell(field, delimiter) for field in fields]
    if len(cells) == 1:  # an empty line would be no row
        cells = [f"""coalesce(nullif({cells[0]}, ''), '""')"""]
    line = f"concat({f', {literal(delimiter)}, '.join(cells)})"  # of NULL it makes an empty text
    with _opened(config, path) as file:
        if config["printHeader"]:
            head = io.StringIO()
            writer = csv.writer(head, delimiter=delimiter, lineterminator="\n")
            writer.writerow([field["name"] for field in fields])
            file.write(head.getvalue().encode())
        return _write_lines(cursor, line, table, file)


def write_json(
    cursor: Cursor, table: str, fields: list[Field], config: dict[str, Any], path: Path
) -> int:
    """Write the rows of the DuckDB table; returns how many there are.

    Raises:
        ApiError: `invalid` for a compression that such files can't have.
    """
    with _opened(config, path) as file:
        return _write_lines(cursor, _object(fields, "", 0), table, file)


def _opened(config: dict[str, Any], path: Path) -> BinaryIO | gzip.GzipFile:
    compression = config["compression"]
    if compression == "NONE":
        return path.open("wb")
    if compression != "GZIP":
        raise invalid(f"{config['destinationFormat']} files cannot be compressed by {compression}")
    return gzip.open(path, "wb", compresslevel=6)


def _write_lines(cursor: Cursor, line: str, table: str, file: BinaryIO | gzip.GzipFile) -> int:
    rows = 0
    for batch in batches(cursor, f"SELECT ({line}) || chr(10) AS line FROM {table}", _BATCH):
        lines = batch.column(0)
        _, offsets, data = lines.buffers()  # the texts stand in `data`, one behind the other
        ends = memoryview(offsets).cast("q" if pa.types.is_large_string(lines.type) else "i")
        file.write(memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]])
        rows += len(lines)
    return rows


# -- CSV ----------------------------------------------------------------------------------------


def _cell(field: Field, delimiter: str) -> str:
    """The text of a value, in quotes if they are needed."""
    text = _text(field, quote(field["name"]))
    is_text = field["type"] == "STRING"
    if not is_text and not delimiter.isalnum() and delimiter not in _CHARACTERS:
        return text
    special = literal("".join(f"\\x{{{ord(c):x}}}" for c in f'{delimiter}"\r\n'))
    return (
        f"CASE WHEN regexp_matches({text}, '[' || {special} || ']') "
        f"""THEN '"' || replace({text}, '"', '""') || '"' ELSE {text} END"""
    )


def _text(field: Field, value: str) -> str:
    return f"({_TEXTS[field['type']].format(value)})"


# -- JSON ---------------------------------------------------------------------------------------


def _object(fields: list[Field], of: str, depth: int) -> str:
    """The JSON of a record. Members that are NULL are left out."""
    members = []
    for field in fields:
        name = literal(json.dumps(field["name"], ensure_ascii=False) + ":")
        members.append(f"{name} || {_value(field, of + quote(field['name']), depth)}")
    return f"('{{' || concat_ws(',', {', '.join(members)}) || '}}')"


def _value(field: Field, value: str, depth: int) -> str:
    """The JSON of a value; NULL for NULL. Whole numbers are texts."""
    if field["mode"] == "REPEATED":
        item = quote(f"\N{MIDDLE DOT}{depth}")
        each = _value({**field, "mode": "NULLABLE"}, item, depth + 1)
        items = f"list_transform({value}, lambda {item}: {each})"
        return f"('[' || array_to_string({items}, ',') || ']')"
    if field["type"] == "RECORD":
        record = _object(field["fields"], f"{value}.", depth)
        return f"CASE WHEN {value} IS NOT NULL THEN {record} END"
    text = _text(field, value)
    if field["type"] == "STRING":
        return (
            f"CASE WHEN regexp_matches({value}, '[\\x00-\\x1f\"\\\\]') "
            f"THEN CAST(to_json({value}) AS VARCHAR) ELSE '\"' || {value} || '\"' END"
        )
    if field["type"] == "BOOLEAN":
        return text
    if field["type"] == "FLOAT":
        return f"CASE WHEN isfinite({value}) THEN {text} ELSE '\"' || {text} || '\"' END"
    return f"('\"' || {text} || '\"')"
