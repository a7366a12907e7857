"""CSV files of a load job.

Options and forms: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.files.csv_quotes import wrong_rows
from pydag_emulators.bigquery.files.source import BadRecords, Loaded, Source
from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import SQL_NAMES, Field
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_RAW = "csv rows"
_SAMPLE = 500
_DELIMITERS = (",", "|", "\t")
_CONVERT = {
    "STRING": "{}",
    "INTEGER": "bq_safe_int64({})",
    "FLOAT": "bq_safe_float64({})",
    "NUMERIC": "bq_safe_numeric({})",
    "BOOLEAN": "bq_csv_bool({})",
    "DATE": "bq_safe_date({})",
    "DATETIME": "bq_safe_datetime(bq_csv_moment({}))",
    "TIMESTAMP": "bq_csv_timestamp({})",
    "TIME": "bq_safe_time({})",
    "BYTES": "TRY(from_base64({}))",
    "JSON": "CASE WHEN json_valid({0}) THEN CAST({0} AS JSON) END",
}
_DETECTED = ("BOOLEAN", "INTEGER", "FLOAT", "DATE", "TIMESTAMP", "TIME")
_NOT_IN_NAMES = re.compile(r"[^\w]")


def read_csv(source: Source) -> Loaded:
    """The rows of the files.

    Raises:
        ApiError: `invalid` with more bad rows than `maxBadRecords`.
    """
    config = source.config
    if str(config.get("encoding") or "UTF-8").upper() not in ("UTF-8", "UTF8"):
        raise unimplemented(f"the encoding {config['encoding']}")
    fields, skip = source.columns, int(config.get("skipLeadingRows") or 0)
    if source.wants_autodetect():
        if not config.get("fieldDelimiter"):
            config = {**config, "fieldDelimiter": _detect_delimiter(source)}
            source = replace(source, config=config)
        fields, skip = _detect(source)
    for field in fields:
        if field["mode"] == "REPEATED" or field["type"] == "RECORD":
            raise invalid(f"CSV files cannot hold nested or repeated data (field {field['name']})")
    bad = BadRecords(source, "CSV")
    tables = []
    for number, (path, uri) in enumerate(source.files):
        _check_quotes(source, path, uri, skip)
        table = _read(source, path, uri, columns=len(fields), skip=skip, bad=bad)
        tables.append(table.append_column("file", pa.array([number] * len(table), pa.int32())))
    raw = pa.concat_tables(tables)
    source.cursor.register(_RAW, raw)
    total = len(raw) + bad.count  # those of another width aren't among the raw ones
    good = _check_values(source, fields, bad)
    bad.check(total)
    columns = ", ".join(
        f"{_convert(field, index)} AS {quote(field['name'])}" for index, field in enumerate(fields)
    )
    return Loaded(f"SELECT {columns} FROM {quote(_RAW)} WHERE {good}", fields, bad.errors)


def _check_quotes(source: Source, path: Path, uri: str, skip: int) -> None:
    """Refuse a file with rows whose quotes are wrong."""
    config = source.config
    bad, quote_character = BadRecords(source, "CSV"), config.get("quote")
    for number, problem in wrong_rows(
        path,
        skip=skip,
        delimiter=_delimiter(config),
        quote='"' if quote_character is None else quote_character,
        newlines=bool(config.get("allowQuotedNewlines")),
        check=source.check,
    ):
        bad.add(uri, f"Error detected while parsing row {number}. Error: {problem}")
    bad.check(bad.count)
    if bad.count:
        raise unimplemented("maxBadRecords that would pass over rows with wrong quotes or NUL")


def _convert(field: Field, index: int) -> str:
    return _CONVERT[field["type"]].format(f"c{index}")


def _read(
    source: Source, path: Path, uri: str, *, columns: int, skip: int, bad: BadRecords
) -> pa.Table:
    """The file's rows as texts: columns c0, c1, … and `row`, the row's number in the file."""
    config = source.config
    ragged: list[tuple[int, list[str | None]]] = []
    left_out: list[int] = []

    def on_other_width(row: Any) -> str:
        left_out.append(row.number)
        cells = _cells(row.text, config)
        if len(cells) < columns and config.get("allowJaggedRows"):
            ragged.append((row.number, cells + [None] * (columns - len(cells))))
        elif len(cells) > columns and config.get("ignoreUnknownValues"):
            ragged.append((row.number, cells[:columns]))
        elif len(cells) < columns:
            bad.add(
                uri,
                f"CSV table references column position {len(cells)}, but row {row.number} "
                f"contains only {len(cells)} columns.",
            )
        else:
            bad.add(
                uri,
                f"Too many values in row {row.number}. Found {len(cells)} column(s) while "
                f"expected {columns}.",
            )
        return "skip"

    table = _texts(path, uri, config, columns=columns, skip=skip, on_other_width=on_other_width)
    missing = set(left_out)
    numbers = [n for n in range(skip + 1, skip + 1 + len(table) + len(missing)) if n not in missing]
    table = table.append_column("row", pa.array(numbers, pa.int64()))
    if ragged:
        arrays = [pa.array([cells[i] for _, cells in ragged], pa.string()) for i in range(columns)]
        arrays.append(pa.array([number for number, _ in ragged], pa.int64()))
        table = pa.concat_tables([table, pa.table(arrays, names=table.column_names)])
    return table


def _texts(
    path: Path,
    uri: str,
    config: dict[str, Any],
    *,
    columns: int,
    skip: int,
    on_other_width: Callable[[Any], str],
) -> pa.Table:
    names = [f"c{index}" for index in range(columns)]
    if path.stat().st_size == 0:
        return pa.table([pa.array([], pa.string())] * columns, names=names)
    quote_character = config.get("quote")
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows=skip, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=_delimiter(config),
                quote_char=False if quote_character == "" else quote_character or '"',
                newlines_in_values=bool(config.get("allowQuotedNewlines")),
                invalid_row_handler=on_other_width,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[config.get("nullMarker") or ""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise invalid(f"Error while reading data, error message: {error} File: {uri}") from error


def _delimiter(config: dict[str, Any]) -> str:
    given = str(config.get("fieldDelimiter") or ",")
    delimiter = {"\\t": "\t", "tab": "\t"}.get(given, given)
    if len(delimiter.encode()) > 1:
        raise unimplemented(f"field delimiters of several bytes ({delimiter})")
    return delimiter


def _cells(text: str, config: dict[str, Any]) -> list[str | None]:
    null = config.get("nullMarker") or ""
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(config))
    return [None if cell == null else cell for row in reader for cell in row]


def _check_values(source: Source, fields: list[Field], bad: BadRecords) -> str:
    """Note the rows with wrong values; returns the SQL condition of the others."""
    wrong = []
    for index, field in enumerate(fields):
        condition = f"(c{index} IS NOT NULL AND {_convert(field, index)} IS NULL)"
        if field["mode"] == "REQUIRED":
            condition = f"({condition} OR c{index} IS NULL)"
        wrong.append(condition)
    first = " ".join(f"WHEN {condition} THEN {index}" for index, condition in enumerate(wrong))
    cells = ", ".join(f"c{index}" for index in range(len(fields)))
    rows = source.cursor.execute(
        f"SELECT CASE {first} END, file, row, [{cells}] FROM {quote(_RAW)} "
        f"WHERE {' OR '.join(wrong)}"
    ).fetchall()
    for index, file, row, values in rows:
        field, value = fields[index], values[index]
        type_ = SQL_NAMES.get(field["type"], field["type"])
        where = f"field {field['name']} (position {index}) in row {row}"
        if value is None:
            message = f"Required column value for {where} is missing"
        else:
            message = f"Could not parse '{value}' as {type_} for {where}"
        bad.add(source.files[file][1], message)
    return f"NOT coalesce({' OR '.join(wrong)}, false)"


# -- autodetect ---------------------------------------------------------------------------------


def _detect_delimiter(source: Source) -> str:
    """The comma, pipe or tab that cuts the first rows into equally many columns."""
    with source.files[0][0].open(encoding="utf-8-sig", newline="") as file:
        lines = list(islice(file, _SAMPLE))
    for delimiter in _DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return ","


def _detect(source: Source) -> tuple[list[Field], int]:
    """The columns, and how many rows to skip, the header among them.

    A first row is a header when it is all text and some column below it is not.
    """
    path, uri = source.files[0]
    config = source.config
    given = config.get("skipLeadingRows")
    before = max(int(given) - 1, 0) if given is not None else 0
    looks_for_header = given is None or int(given) > 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(config))
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
        condition = _CONVERT[type_].format("v")
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
