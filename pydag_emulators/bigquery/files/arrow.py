"""The rows of a load job on their way into DuckDB: Arrow tables, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, duck_type
from pydag_emulators.bigquery.storage.contents import BYTES_OF_VALUES

_STREAM = "loaded rows"
_TYPES: dict[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "NUMERIC": pa.decimal128(38, 9),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "JSON": pa.string(),
}
_FIRST_DAY = pa.scalar(-719_162, pa.int32()).cast(pa.date32())  # 0001-01-01


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type of the column's values."""
    if field["type"] == "RECORD":
        base = pa.struct([pa.field(sub["name"], arrow_type(sub)) for sub in field["fields"]])
    else:
        base = _TYPES[field["type"]]
    return pa.list_(base) if field["mode"] == "REPEATED" else base


def arrow_schema(fields: list[Field]) -> pa.Schema:
    """The Arrow schema of tables with these columns."""
    return pa.schema([(field["name"], arrow_type(field)) for field in fields])


def is_ordinary(values: pa.Array, type_: str) -> bool:
    """Whether no value is one that Arrow may take where BigQuery doesn't: infinite, or year 0."""
    if type_ == "FLOAT":
        return pc.all(pc.is_finite(values)).as_py() is not False
    if type_ in ("DATE", "DATETIME", "TIMESTAMP"):
        return pc.any(pc.less(values.cast(pa.date32()), _FIRST_DAY)).as_py() is not True
    return True


def streamed(
    source: Source,
    tables: Iterator[pa.Table],
    fields: list[Field],
    errors: list[dict[str, str]] | None = None,
) -> Loaded:
    """The rows of all tables, whose schema is `arrow_schema(fields)`.

    `errors` is filled while they are made.

    A thread makes the next table while DuckDB stores one, and no more are in memory.
    """
    stream = _Stream(tables, fields)
    schema = arrow_schema(fields)
    reader = pa.RecordBatchReader.from_batches(schema, stream.batches())
    source.cursor.register(_STREAM, reader)
    columns = ", ".join(
        f"CAST({quote(field['name'])} AS {duck_type(field)}) AS {quote(field['name'])}"
        for field in fields
    )
    return Loaded(
        f"SELECT {columns} FROM {quote(_STREAM)}",
        fields,
        stream.finish,
        [] if errors is None else errors,
    )


class _Stream:
    """Hands on what an iterator makes, counts it, and keeps its error: DuckDB would reword it."""

    def __init__(self, tables: Iterator[pa.Table], fields: list[Field]) -> None:
        self._tables = tables
        self._fields = fields
        self._rows = self._bytes = 0
        self._error: BaseException | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for table in _ahead(self._tables):
                self._rows += table.num_rows
                for field in self._fields:
                    for chunk in table.column(field["name"]).chunks:
                        self._bytes += _bytes(chunk, field)
                yield from table.to_batches()
        except BaseException as error:  # noqa: BLE001  raised again by `finish`
            self._error = error

    def finish(self) -> tuple[int, int]:
        """How many rows were read, and their bytes.

        Raises what kept the rows from being read to the end.
        """
        if self._error is not None:
            raise self._error
        return self._rows, self._bytes


def _ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    with ThreadPoolExecutor(1, "reader") as pool:
        coming = pool.submit(next, tables, None)
        while (table := coming.result()) is not None:
            coming = pool.submit(next, tables, None)
            yield table


def _bytes(array: pa.Array, field: Field) -> int:
    """The logical bytes of values of a column."""
    if field["mode"] == "REPEATED":
        return _bytes(array.flatten(), {**field, "mode": "NULLABLE"})
    if field["type"] == "RECORD":
        members = zip(array.flatten(), field["fields"], strict=True)
        return sum(_bytes(member, sub) for member, sub in members)
    valid = len(array) - array.null_count
    if field["type"] in BYTES_OF_VALUES:
        return int(valid * BYTES_OF_VALUES[field["type"]])
    return int(2 * valid + (pc.sum(pc.binary_length(array)).as_py() or 0))
