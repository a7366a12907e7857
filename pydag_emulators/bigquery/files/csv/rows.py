"""Rows of CSV files, block by block, as values of a table's columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.files.arrow import arrow_schema, arrow_type, is_ordinary
from pydag_emulators.bigquery.files.csv.quotes import Quotes
from pydag_emulators.bigquery.files.csv.values import CONVERT
from pydag_emulators.bigquery.files.source import BadRecords
from pydag_emulators.bigquery.schema import SQL_NAMES, Field
from pydag_emulators.bigquery.storage.store import Cursor

# Of these types the parser takes no text that BigQuery doesn't take, and gives it the same value.
# (Not so NUMERIC: of 1e29 it makes another number.)
_PARSED = ("STRING", "INTEGER", "FLOAT", "DATE")
_COLUMN = re.compile(r"In CSV column #(\d+):")


class Rows:
    """Reads the blocks of one file, in their order.

    A block is parsed and converted at once, if all of its rows are right and written plainly. If
    not, it is parsed again as texts, and DuckDB converts these by all of BigQuery's rules.
    """

    def __init__(
        self,
        config: dict[str, Any],
        cursor: Cursor,
        fields: list[Field],
        *,
        quotes: Quotes,
        uri: str,
        skip: int,
        bad: BadRecords,
    ) -> None:
        self._cursor = cursor
        self._config = config
        self._fields = fields
        self._quotes = quotes
        self._uri = uri
        self._bad = bad
        self._schema = arrow_schema(fields)
        self._names = [f"c{index}" for index in range(len(fields))]
        self._types = [
            arrow_type(field) if field["type"] in _PARSED else pa.string() for field in fields
        ]
        self._row = skip + 1  # the number of the block's first row
        self.count = 0
        """How many rows there were, good and bad."""

    def tables(self, block: bytes) -> Iterator[pa.Table]:
        """The good rows; the others are noted."""
        table = self._straight(block)
        if table is not None:
            self._row += table.num_rows
            self.count += table.num_rows
            yield table
        else:
            yield from self._exact(block)

    # -- all at once ----------------------------------------------------------------------------

    def _straight(self, block: bytes) -> pa.Table | None:
        """All rows of the block; None if they need a closer look."""
        while True:
            try:
                parsed = self._parse(block, self._types)
                break
            except pa.ArrowInvalid as error:
                column = _COLUMN.search(str(error))
                if column is None or pa.types.is_string(self._types[int(column[1])]):
                    return None
                # Its values are written in some other way, most likely in the next blocks, too.
                self._types[int(column[1])] = pa.string()
        table = self._converted(parsed)
        return table if self._is_right(parsed, table) else None

    def _is_right(self, parsed: pa.Table, table: pa.Table) -> bool:
        for given, column, field in zip(parsed.columns, table.columns, self._fields, strict=True):
            if column.null_count != (0 if field["mode"] == "REQUIRED" else given.null_count):
                return False
            if field["type"] in _PARSED and not is_ordinary(column, field["type"]):
                return False
        return True

    # -- value by value -------------------------------------------------------------------------

    def _exact(self, block: bytes) -> Iterator[pa.Table]:
        columns, config = len(self._fields), self._config
        null = config.get("nullMarker") or ""
        ragged: list[tuple[int, list[str | None]]] = []
        left_out: set[int] = set()

        def on_other_width(row: Any) -> str:
            number = self._row - 1 + row.number
            left_out.add(number)
            cells = self._cells(row.text, null)
            if len(cells) < columns and config.get("allowJaggedRows"):
                ragged.append((number, cells + [None] * (columns - len(cells))))
            elif len(cells) > columns and config.get("ignoreUnknownValues"):
                ragged.append((number, cells[:columns]))
            elif len(cells) < columns:
                self._bad.add(
                    self._uri,
                    f"CSV table references column position {len(cells)}, but row {number} "
                    f"contains only {len(cells)} columns.",
                )
            else:
                self._bad.add(
                    self._uri,
                    f"Too many values in row {number}. Found {len(cells)} column(s) while "
                    f"expected {columns}.",
                )
            return "skip"

        try:
            texts = self._parse(block, [pa.string()] * columns, on_other_width)
        except pa.ArrowInvalid as error:
            raise invalid(
                f"Error while reading data, error message: {error} File: {self._uri}"
            ) from error
        last = self._row + texts.num_rows + len(left_out)
        numbers = [number for number in range(self._row, last) if number not in left_out]
        self._row = last
        self.count += texts.num_rows + len(left_out)
        yield self._good(texts, numbers)
        if ragged:
            cells = [pa.array([row[i] for _, row in ragged], pa.string()) for i in range(columns)]
            yield self._good(pa.table(cells, self._names), [number for number, _ in ragged])

    def _cells(self, text: str, null: str) -> list[str | None]:
        reader = csv.reader(io.StringIO(text), delimiter=self._quotes.delimiter)
        return [None if cell == null else cell for row in reader for cell in row]

    def _good(self, texts: pa.Table, numbers: list[int]) -> pa.Table:
        """The rows without wrong values; the others are noted."""
        table = self._converted(texts)
        wrong: dict[int, int] = {}  # row in the table -> the first wrong column
        for index, field in enumerate(self._fields):
            is_wrong = pc.is_null(table.column(index))
            if field["mode"] != "REQUIRED":
                is_wrong = pc.and_(is_wrong, pc.is_valid(texts.column(index)))
            for at in pc.indices_nonzero(is_wrong).to_pylist():
                wrong.setdefault(at, index)
        for at, index in sorted(wrong.items()):
            value = texts.column(index)[at].as_py()
            self._bad.add(self._uri, _message(self._fields[index], index, numbers[at], value))
        if not wrong:
            return table
        right = [at for at in range(table.num_rows) if at not in wrong]
        return table.take(pa.array(right, pa.int64()))

    # -- both -----------------------------------------------------------------------------------

    def _parse(
        self,
        block: bytes,
        types: list[pa.DataType],
        on_other_width: Callable[[Any], str] | None = None,
    ) -> pa.Table:
        """The rows; their columns are named c0, c1 and so on."""
        return pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=len(block) + 1
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._quotes.delimiter,
                quote_char=self._quotes.mark or False,
                newlines_in_values=self._quotes.newlines,
                invalid_row_handler=on_other_width,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict(zip(self._names, types, strict=True)),
                null_values=[self._config.get("nullMarker") or ""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _converted(self, parsed: pa.Table) -> pa.Table:
        """The values of the texts in it; NULL where a text has none."""
        columns = {
            index: CONVERT[field["type"]].format(self._names[index])
            for index, field in enumerate(self._fields)
            if parsed.schema.types[index] == pa.string() and field["type"] != "STRING"
        }
        if columns:
            texts = self._cursor.from_arrow(parsed.select(list(columns)))
            values = texts.project(
                ", ".join(f"{sql} AS {self._names[at]}" for at, sql in columns.items())
            ).to_arrow_table()
            for at in columns:
                parsed = parsed.set_column(at, self._names[at], values.column(self._names[at]))
        return parsed.rename_columns(self._schema.names).cast(self._schema)


def _message(field: Field, index: int, row: int, value: str | None) -> str:
    where = f"field {field['name']} (position {index}) in row {row}"
    if value is None:
        return f"Required column value for {where} is missing"
    return f"Could not parse '{value}' as {SQL_NAMES.get(field['type'], field['type'])} for {where}"
