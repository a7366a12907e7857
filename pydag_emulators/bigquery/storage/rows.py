"""Rows as the REST API sends them: `{"f": [{"v": cell}, …]}`, every cell a string or null.

Forms: https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pydag_emulators.bigquery.schema import Field

Cells = list[Any]


def rows_json(table: pa.Table, schema: list[Field], *, int64_timestamps: bool) -> list[Any]:
    """The rows of an Arrow table whose columns are those of `schema`, in order."""
    columns = [
        _column(table.column(index).combine_chunks(), field, int64_timestamps)
        for index, field in enumerate(schema)
    ]
    if not columns:
        return [{"f": []} for _ in range(table.num_rows)]
    return [{"f": [{"v": cell} for cell in row]} for row in zip(*columns, strict=True)]


def _column(array: pa.Array, field: Field, int64_timestamps: bool) -> Cells:
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if field.get("mode") == "REPEATED":
        return _repeated(array, field, int64_timestamps)
    if field["type"] == "RECORD":
        members = [
            _column(array.field(index), sub, int64_timestamps)
            for index, sub in enumerate(field["fields"])
        ]
        rows = zip(*members, strict=True)
        return [
            {"f": [{"v": cell} for cell in row]} if valid else None
            for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)
        ]
    if field["type"] == "TIMESTAMP" and not int64_timestamps:
        return [_float_seconds(value) for value in _timestamps(array)]
    return _SCALARS.get(field["type"], _strings)(array)


def _repeated(array: pa.Array, field: Field, int64_timestamps: bool) -> Cells:
    # A NULL array is an empty one: BigQuery does not tell them apart in results.
    items = _column(array.values, {**field, "mode": "NULLABLE"}, int64_timestamps)
    offsets = array.offsets.to_pylist()
    valid = array.is_valid().to_pylist()
    return [
        [{"v": item} for item in items[offsets[index] : offsets[index + 1]]] if valid[index] else []
        for index in range(len(array))
    ]


def _strings(array: pa.Array) -> Cells:
    return list(array.cast(pa.string()).to_pylist())


def _timestamps(array: pa.Array) -> Cells:
    return list(array.cast(pa.int64()).to_pylist())


def _float_seconds(micros: int | None) -> str | None:
    return None if micros is None else f"{micros / 1_000_000:.6f}"


def _each(convert: Callable[[Any], str]) -> Callable[[pa.Array], Cells]:
    def column(array: pa.Array) -> Cells:
        return [None if value is None else convert(value) for value in array.to_pylist()]

    return column


def _float(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN" if math.isnan(value) else repr(value)


def _numeric(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _clock(value: str) -> str:
    # No fraction, or six digits of it: the client's parser accepts nothing else.
    return value.removesuffix(".000000")


def _datetimes(array: pa.Array) -> Cells:
    text = pc.strftime(array.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
    return [None if value is None else _clock(value) for value in text.to_pylist()]


def _times(array: pa.Array) -> Cells:
    return [None if value is None else _clock(value) for value in _strings(array)]


_SCALARS: dict[str, Callable[[pa.Array], Cells]] = {
    "INTEGER": lambda array: _strings(array.cast(pa.int64())),
    "FLOAT": _each(_float),
    "NUMERIC": _each(_numeric),
    "BOOLEAN": _each(lambda value: "true" if value else "false"),
    "BYTES": _each(lambda value: base64.b64encode(value).decode("ascii")),
    "TIMESTAMP": lambda array: [None if v is None else str(v) for v in _timestamps(array)],
    "DATETIME": _datetimes,
    "TIME": _times,
}
