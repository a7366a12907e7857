"""Values as expressions: cells of the REST API, as variables of scripts hold them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.typing.types import STRING, Type, data_type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def null_value(type_: Type) -> exp.Expression:
    """NULL of that type."""
    return exp.Cast(this=exp.Null(), to=data_type(type_))


def struct_value(members: list[exp.Expression], type_: Type) -> exp.Expression:
    """A struct with these members."""
    named = [
        exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=member)
        for (name, _), member in zip(type_.members, members, strict=True)
    ]
    return exp.Struct(expressions=named)


def cell_value(cell: Any, type_: Type) -> exp.Expression:
    """A cell with its microseconds for times, as `rows_json` makes them, as an expression."""
    if cell is None:
        return null_value(type_)
    if type_.kind == "ARRAY":
        items = [cell_value(item["v"], type_.item) for item in cell]
        return exp.Cast(this=exp.Array(expressions=items), to=data_type(type_))
    if type_.kind == "STRUCT":
        cells = zip(cell["f"], type_.members, strict=True)
        return struct_value([cell_value(one["v"], t) for one, (_, t) in cells], type_)
    return _SCALARS.get(type_.kind, _cast)(cell, type_)


def text_variable(text: str | None) -> Variable:
    """A variable of the type STRING."""
    return Variable(STRING, cell_value(text, STRING))


def _cast(cell: str, type_: Type) -> exp.Expression:
    return exp.Cast(this=exp.Literal.string(cell), to=data_type(type_))


def _moment(cell: str, type_: Type) -> exp.Expression:
    moment = _EPOCH + timedelta(microseconds=int(cell))
    return _cast(f"{moment.replace(tzinfo=None).isoformat(sep=' ')}+00", type_)


def _bytes(cell: str, _type: Type) -> exp.Expression:
    return exp.ByteString(this=base64.b64decode(cell).decode("latin-1"), is_bytes=True)


_SCALARS: dict[str, Callable[[str, Type], exp.Expression]] = {
    "STRING": lambda cell, _type: exp.Literal.string(cell),
    "BYTES": _bytes,
    "JSON": lambda cell, _type: exp.ParseJSON(this=exp.Literal.string(cell)),
    "TIMESTAMP": _moment,
}
