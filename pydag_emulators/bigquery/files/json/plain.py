"""Newline-delimited JSON that is plain enough for a fast parser.

Whatever is not right, or written in some unusual way, is left to `values.py`, so the rules here
are narrower than BigQuery's: a value that is taken here has the value there, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from pydag_emulators.bigquery.files.arrow import arrow_schema, arrow_type, is_ordinary
from pydag_emulators.bigquery.files.source import LONGEST_ROW, too_long
from pydag_emulators.bigquery.schema import Field, has_type

_BLOCK = 4 << 20  # bytes
_SAMPLE = 50  # lines
_NUMBERS = {"INTEGER": pa.int64(), "FLOAT": pa.float64(), "NUMERIC": pa.decimal128(38, 9)}
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"( UTC|Z|\+00(:00)?)$"
_FORMS = {
    "INTEGER": "^-?[0-9]{1,18}$",
    "FLOAT": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
    "NUMERIC": r"^-?[0-9]{1,29}(\.[0-9]{1,9})?$",
    "DATE": f"^{_DATE}$",
    "TIME": f"^{_TIME}$",
    "DATETIME": f"^{_DATE}[ T]{_TIME}$",
    "TIMESTAMP": f"^{_DATE}[ T]{_TIME}{_ZONE[:-1]}?$",
}
"""How texts of a type may be written here."""
_EXPONENT = r'[:\[,]\s*"?-?[0-9.]+[eE]\+?[0-9]'


class _NotPlainError(Exception):
    """Something is not plain."""


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file in blocks of whole lines, some megabytes each, with their byte positions.

    Raises:
        ApiError: `invalid` for a line that is too long.
    """
    position, rest = 0, b""
    with path.open("rb") as file:
        while read := file.read(_BLOCK):
            end = read.rfind(b"\n") + 1
            if end:
                block = rest + read[:end]
                yield position, block
                position, rest = position + len(block), read[end:]
            else:
                rest += read
            if len(rest) > LONGEST_ROW:
                raise too_long()
    if rest:
        yield position, rest


class Plain:
    """Reads blocks of a file that has these fields."""

    def __init__(self, fields: list[Field], *, ignores: bool) -> None:
        self._fields = fields
        self._ignores = ignores
        self._has_numeric = has_type(fields, "NUMERIC")
        self._written: pa.Schema | None = None  # as what the values are written in the file

    def read(self, block: bytes) -> pa.Table | None:
        """The rows of the block; None if they are to be read one by one."""
        rows = _count(block)
        if rows is None or (self._ignores and b"Inf" in block):
            return None
        # Of 1e29 Arrow makes another NUMERIC.
        if self._has_numeric and pc.match_substring_regex(block, _EXPONENT).as_py():
            return None
        try:
            table = self._parsed(block)
            (batch,) = table.combine_chunks().to_batches()
            columns = _members(batch.to_struct_array(), self._fields)
        except (pa.ArrowInvalid, _NotPlainError):
            return None
        if table.num_rows != rows:
            return None
        return pa.table(columns, arrow_schema(self._fields))

    def _parsed(self, block: bytes) -> pa.Table:
        if self._written is not None:
            try:
                return self._parse(block, self._written)
            except pa.ArrowInvalid:
                self._written = None
        lines = block.split(b"\n", _SAMPLE)[:_SAMPLE]
        try:
            sample = [json.loads(line) for line in lines if line]
        except (ValueError, RecursionError) as error:
            raise _NotPlainError from error
        written = pa.schema(list(_written(self._fields, sample)))
        table = self._parse(block, written)
        self._written = written
        return table

    def _parse(self, block: bytes, written: pa.Schema) -> pa.Table:
        return pa_json.read_json(
            pa.BufferReader(block),
            pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            pa_json.ParseOptions(
                explicit_schema=written,
                unexpected_field_behavior="infer" if self._ignores else "error",
            ),
        )


def _count(block: bytes) -> int | None:
    """How many lines there are; None if they are not one object each, as far as can be seen.

    Where a line ends with `}` and the next one begins with `{`, no object goes on. So if the parser
    finds as many objects as there are lines, each line is one.
    """
    lines = block.removesuffix(b"\n").removesuffix(b"\r")
    if not (lines.startswith(b"{") and lines.endswith(b"}")) or b"\0" in lines:
        return None
    ends = lines.count(b"\n")
    if lines.count(b"}\n{") != ends and lines.count(b"}\r\n{") != ends:
        return None
    try:
        lines.decode()
    except UnicodeDecodeError:
        return None
    return ends + 1


# -- as what values are written -----------------------------------------------------------------


def _written(fields: list[Field], objects: list[Any]) -> Iterator[pa.Field]:
    """The fields as they are named and written in some objects."""
    for field in fields:
        name = field["name"].lower()
        names = {key: None for given in objects for key in given if key.lower() == name}
        if len(names) > 1:
            raise _NotPlainError
        key = next(iter(names), field["name"])
        values = [given[key] for given in objects if given.get(key) is not None]
        yield pa.field(key, _written_type(field, values))


def _written_type(field: Field, values: list[Any]) -> pa.DataType:
    type_ = field["type"]
    if field["mode"] == "REPEATED":
        items = [item for value in _all(values, list) for item in value]
        return pa.list_(_written_type({**field, "mode": "NULLABLE"}, items))
    if type_ == "RECORD":
        return pa.struct(list(_written(field["fields"], _all(values, dict))))
    if type_ in ("BYTES", "JSON"):
        raise _NotPlainError
    if type_ == "BOOLEAN":
        return pa.bool_()
    is_text = bool(values) and isinstance(values[0], str)
    if type_ in _NUMBERS and not is_text:
        return _NUMBERS[type_]
    return pa.string()


def _all(values: list[Any], type_: type) -> list[Any]:
    if not all(isinstance(value, type_) for value in values):
        raise _NotPlainError
    return values


# -- as values of columns -----------------------------------------------------------------------


def _members(records: pa.StructArray, fields: list[Field]) -> list[pa.Array]:
    """The members of the records as columns of these fields."""
    found: dict[str, pa.Array] = {}
    for index, member in enumerate(records.type):
        if member.name.lower() in found:
            raise _NotPlainError
        found[member.name.lower()] = records.field(index)
    return [_value(found[field["name"].lower()], field, records.null_count) for field in fields]


def _value(given: pa.Array, field: Field, missing: int) -> pa.Array:
    """Values as the column has them; `missing` is how many of their records are NULL."""
    if field["mode"] == "REPEATED":
        items = _value(given.values, {**field, "mode": "REQUIRED"}, 0)
        return pa.ListArray.from_arrays(given.offsets, items)
    if field["mode"] == "REQUIRED" and given.null_count != missing:
        raise _NotPlainError
    if field["type"] == "RECORD":
        members = [pa.field(sub["name"], arrow_type(sub)) for sub in field["fields"]]
        values = _members(given, field["fields"])
        return pa.StructArray.from_arrays(values, fields=members, mask=given.is_null())
    value = _scalar(given, field["type"])
    if not is_ordinary(value, field["type"]):
        raise _NotPlainError
    return value


def _scalar(given: pa.Array, type_: str) -> pa.Array:
    form = _FORMS.get(type_)
    if form is None or not pa.types.is_string(given.type):
        return given
    if pc.all(pc.match_substring_regex(given, form)).as_py() is False:
        raise _NotPlainError
    if type_ == "TIMESTAMP":
        civil = pc.replace_substring_regex(given, _ZONE, "")
        return civil.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    if type_ == "TIME":
        moment = pc.binary_join_element_wise("1970-01-01", given, " ")
        return moment.cast(pa.timestamp("us")).cast(pa.time64("us"))
    return given.cast(arrow_type({"type": type_, "mode": "NULLABLE"}))
