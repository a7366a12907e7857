"""CSV files as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.files.arrow import streamed
from pydag_emulators.bigquery.files.csv.blocks import blocks
from pydag_emulators.bigquery.files.csv.detect import detect, detect_delimiter
from pydag_emulators.bigquery.files.csv.quotes import Quotes, wrong_rows
from pydag_emulators.bigquery.files.csv.rows import Rows
from pydag_emulators.bigquery.files.csv.values import delimiter_of
from pydag_emulators.bigquery.files.source import BadRecords, Loaded, Source
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor


def read_csv(source: Source) -> Loaded:
    """The rows of the files.

    Raises:
        ApiError: `invalid`, with more bad rows than `maxBadRecords` when the rows have been read.
    """
    config = source.config
    if str(config.get("encoding") or "UTF-8").upper() not in ("UTF-8", "UTF8"):
        raise unimplemented(f"the encoding {config['encoding']}")
    fields, skip = source.columns, int(config.get("skipLeadingRows") or 0)
    if source.wants_autodetect():
        if not config.get("fieldDelimiter"):
            config = {**config, "fieldDelimiter": detect_delimiter(source)}
            source = replace(source, config=config)
        fields, skip = detect(source)
    for field in fields:
        if field["mode"] == "REPEATED" or field["type"] == "RECORD":
            raise invalid(f"CSV files cannot hold nested or repeated data (field {field['name']})")
    bad = BadRecords(source, "CSV")
    # While the job's own cursor stores a block, this one converts the next.
    tables = _tables(source, source.cursor.cursor(), fields, skip, bad)
    return streamed(source, tables, fields, bad.errors)


def _tables(
    source: Source, cursor: Cursor, fields: list[Field], skip: int, bad: BadRecords
) -> Iterator[pa.Table]:
    config = source.config
    mark = config.get("quote")
    quotes = Quotes(
        delimiter_of(config), '"' if mark is None else mark, bool(config.get("allowQuotedNewlines"))
    )
    rows = 0
    for path, uri in source.files:
        read = Rows(source.config, cursor, fields, quotes=quotes, uri=uri, skip=skip, bad=bad)
        verify = partial(_check_quotes, source, path, uri, quotes, skip)
        for block in blocks(path, quotes, skip, verify):
            source.check()
            yield from read.tables(block)
        rows += read.count
    bad.check(rows)


def _check_quotes(source: Source, path: Path, uri: str, quotes: Quotes, skip: int) -> None:
    """Refuse a file with rows whose quotes are wrong."""
    bad = BadRecords(source, "CSV")
    for number, problem in wrong_rows(path, quotes, skip, source.check):
        bad.add(uri, f"Error detected while parsing row {number}. Error: {problem}")
    bad.check(bad.count)
    if bad.count:
        raise unimplemented("maxBadRecords that would pass over rows with wrong quotes or NUL")
