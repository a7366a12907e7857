"""CAST, SAFE_CAST, typed literals and types."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.schema import NUMERIC
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    call,
    macro,
    refused,
    text,
)
from pydag_emulators.bigquery.sql.functions.times import cast_formats

KEEP: Kinds = (exp.ColumnDef,)  # the members of a STRUCT<…>

_TYPES = {
    exp.DType.BIGINT: "BIGINT",
    exp.DType.INT: "BIGINT",
    exp.DType.DOUBLE: "DOUBLE",
    exp.DType.TEXT: "VARCHAR",
    exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DATE: "DATE",
    exp.DType.TIMESTAMP: "TIMESTAMP",
    exp.DType.DATETIME: "TIMESTAMP",
    exp.DType.TIMESTAMPTZ: "TIMESTAMPTZ",
    exp.DType.TIME: "TIME",
    exp.DType.DECIMAL: NUMERIC,
    exp.DType.BINARY: "BLOB",
    exp.DType.VARBINARY: "BLOB",
    exp.DType.JSON: "JSON",
}
_CASTS = {
    "BIGINT": "int64",
    "DOUBLE": "float64",
    "VARCHAR": "string",
    "BOOLEAN": "bool",
    "DATE": "date",
    "TIMESTAMP": "datetime",
    "TIMESTAMPTZ": "timestamp",
    "TIME": "time",
    NUMERIC: "numeric",
    "BLOB": "bytes",
}
_ALWAYS_SAFE = frozenset({"string", "bytes"})
_NESTED = (exp.DType.ARRAY, exp.DType.STRUCT)


def duck_type_of(node: exp.DataType) -> str:
    """The DuckDB type of a scalar type.

    Raises:
        ApiError: `notImplemented` for types without an equal, and those with parameters.
    """
    name = None if node.expressions else _TYPES.get(node.this)
    if name is None:
        raise unimplemented(f"the type {node.sql(dialect='bigquery')}")
    return name


def _data_type(node: exp.DataType) -> Node:
    if node.this == exp.DType.STRUCT:
        members = [
            member
            if isinstance(member, exp.ColumnDef)
            else exp.ColumnDef(this=exp.to_identifier(f"_field_{position}"), kind=member)
            for position, member in enumerate(node.expressions, 1)
        ]
        node.set("expressions", members)
        return node
    if node.this == exp.DType.ARRAY:
        return node
    return exp.DataType.build(duck_type_of(node), dialect="duckdb")


def _cast(node: exp.Cast | exp.TryCast) -> Node:
    format_ = node.args.get("format")
    if format_ is None:
        return _unformatted(node)
    type_ = node.to.sql(dialect="duckdb")
    if type_ in ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ"):
        is_safe = isinstance(node, exp.TryCast)
        return cast_formats.parsed(format_, node.this, type_, safe=is_safe)
    if type_ != "TEXT":
        raise unimplemented("CAST with FORMAT to other types than STRING and dates and times")
    return cast_formats.shown(format_, node.this, node.meta.get("of"))


def _unformatted(node: exp.Cast | exp.TryCast) -> Node:
    type_ = node.to
    is_null = isinstance(node.this, exp.Null)
    written = _of_struct(type_, node.this)
    if written is not None:
        return written
    # The members of literals have the right types already, apart from their width.
    if is_null:
        return node
    if type_.this in _NESTED and isinstance(node.this, exp.Array | exp.Struct):
        if isinstance(node, exp.TryCast):
            raise refused(node)
        return node
    if type_.this in _NESTED:
        raise refused(node)
    image = _image(node.this)
    if image is not None and type_.this == exp.DType.DECIMAL:
        return type(node)(this=text(image), to=type_)  # exactly as it is written
    # The type below this node has been lowered already.
    name = _CASTS.get(type_.sql(dialect="duckdb").replace("TEXT", "VARCHAR"))
    if name is None:
        if type_.this == exp.DType.JSON:
            return call("json", node.this)
        raise refused(node)
    safe = isinstance(node, exp.TryCast) and name not in _ALWAYS_SAFE
    return macro(f"safe_{name}" if safe else name, node.this)


def _of_struct(type_: exp.DataType, value: Node) -> Node | None:
    """A struct, or an array of them, that is written out; else None."""
    if type_.this == exp.DType.STRUCT and isinstance(value, exp.Struct):
        return _struct(type_, value)
    if type_.this == exp.DType.ARRAY and isinstance(value, exp.Array):
        items = [_of_struct(type_.expressions[0], item) for item in value.expressions]
        if items and all(item is not None for item in items):
            return exp.Array(expressions=items)
    return None


def _image(node: Node) -> str | None:
    """The digits of a literal with a fraction, which has been lowered already."""
    if isinstance(node, exp.Neg):
        inner = _image(node.this)
        return None if inner is None else f"-{inner}"
    if not isinstance(node, exp.Cast) or not isinstance(node.this, exp.Literal):
        return None
    return node.this.name if node.to.this == exp.DType.DOUBLE else None


def _struct(type_: exp.DataType, value: exp.Struct) -> Node:
    """`STRUCT<a INT64, b DATE>(1, '2020-01-01')`: members by position."""
    if len(type_.expressions) != len(value.expressions):
        raise invalid_query("STRUCT type has another number of fields than its constructor")
    members = []
    for index, (member, given) in enumerate(
        zip(type_.expressions, value.expressions, strict=True), 1
    ):
        named = isinstance(member, exp.ColumnDef)
        name = member.name if named else f"_field_{index}"
        to = member.kind if named else member
        converted = _cast(exp.Cast(this=given.expression.copy(), to=to.copy()))
        members.append(
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=converted)
        )
    return exp.Struct(expressions=members)


def _string(node: exp.String) -> Node:
    type_, zone = node.meta.get("type"), node.args.get("zone")
    if type_ is None:
        raise refused(node)
    if zone is not None:
        return macro("string_at", node.this, zone)
    return macro("json_text_of" if type_.kind == "JSON" else "string_of", node.this)


LOWER: Lowering = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.DataType: _data_type,
    exp.String: _string,
}
