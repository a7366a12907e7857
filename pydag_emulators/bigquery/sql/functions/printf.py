"""FORMAT: the conversions that DuckDB's printf has, and those that show values of any type.

Conversions: https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#format_string
"""

from __future__ import annotations

import re
from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.sql.functions.build import (
    GENERATED,
    Kinds,
    Lowering,
    Node,
    call,
    cast,
    macro,
    refused,
    text,
)
from pydag_emulators.bigquery.sql.typing.types import NULL, Type

KEEP: Kinds = ()

_CONVERSION = re.compile(r"%%|%(?P<flags>[-0+ #']*\d*(?:\.\d+)?)(?P<kind>[a-zA-Z])")
_WANTED = {
    **dict.fromkeys("dixXo", ("INT64",)),
    **dict.fromkeys("feEgG", ("FLOAT64", "NUMERIC", "INT64")),
    "s": ("STRING",),
}
_SAME = ("STRING", "INT64", "BOOL", "NUMERIC", "DATE", "DATETIME", "TIME", "TIMESTAMP")
_NAMED = ("NUMERIC", "DATE", "DATETIME", "TIME", "TIMESTAMP")


def _format(node: exp.Format) -> Node:
    if not isinstance(node.this, exp.Literal) or "%" in _CONVERSION.sub("", node.this.name):
        raise refused(node)
    found = [match for match in _CONVERSION.finditer(node.this.name) if match["kind"]]
    if len(found) != len(node.expressions):
        raise refused(node)
    types: list[Type | None] = node.meta.get("types") or [None] * len(found)
    arguments = iter(
        [
            _converted(node, match, value, type_)
            for match, value, type_ in zip(found, node.expressions, types, strict=True)
        ]
    )
    shown: list[Node] = []

    def conversion(match: re.Match[str]) -> str:
        if not match["kind"]:
            return "%%"
        shown.append(next(arguments))
        is_number = match["kind"] not in "tT" and "'" not in match["flags"]
        return match[0] if is_number else f"%{match['flags'].replace(chr(39), '')}s"

    return call("printf", text(_CONVERSION.sub(conversion, node.this.name)), *shown)


def _converted(node: Node, match: re.Match[str], value: Node, type_: Type | None) -> Node:
    """The argument as printf takes it."""
    kind = match["kind"]
    if kind in "tT":
        if type_ is None:
            raise refused(node)
        return _item(node, value, type_, 0, literal=kind == "T")
    if kind not in _WANTED:
        raise refused(node)
    if type_ not in (None, NULL) and type_.kind not in _WANTED[kind]:
        raise invalid_query(f"Invalid type for an argument of FORMAT: %{kind} of {type_}")
    if "'" in match["flags"]:
        if match[0] != "%'d":
            raise refused(node)
        return call("format", text("{:,}"), cast(value, "BIGINT"))
    return cast(value, "BIGINT") if kind in "dixXo" else value


def _shown(node: Node, value: Node, type_: Type, depth: int, *, literal: bool) -> Node:
    """A text; NULL for NULL."""
    if type_.kind in ("ARRAY", "STRUCT"):
        return _nested(node, value, type_, depth, literal=literal)
    if type_.kind not in (*_SAME, "FLOAT64", "NULL"):
        raise refused(node)
    plain = macro("float_shown" if type_.kind == "FLOAT64" else "string", value)
    if literal and type_.kind in ("STRING", "FLOAT64"):
        plain = macro("text_literal" if type_.kind == "STRING" else "float_literal", value)
    elif literal and type_.kind in _NAMED:
        plain = _joined([text(f'{type_.kind} "'), plain, text('"')])
    return text("NULL") if type_.kind == "NULL" else plain


def _nested(node: Node, value: Node, type_: Type, depth: int, *, literal: bool) -> Node:
    name = f"{GENERATED}shown{depth}"
    item, parameter = exp.column(name, quoted=True), exp.to_identifier(name, quoted=True)
    if type_.kind == "ARRAY":
        each = _item(node, item, type_.item, depth + 1, literal=literal)
        mapped = call("list_transform", value, exp.Lambda(this=each, expressions=[parameter]))
        return _joined([text("["), call("array_to_string", mapped, text(", ")), text("]")])
    each = _items(node, item, type_, depth + 1, literal=literal)
    # Through a list, so that the struct is computed once.
    listed = exp.Array(expressions=[value.copy()])
    mapped = call("list_transform", listed, exp.Lambda(this=each, expressions=[parameter]))
    return call("list_extract", mapped, exp.Literal.number(1))


def _item(node: Node, item: Node, type_: Type, depth: int, *, literal: bool) -> Node:
    return call("coalesce", _shown(node, item, type_, depth, literal=literal), text("NULL"))


def _items(node: Node, row: Node, type_: Type, depth: int, *, literal: bool) -> Node:
    parts: list[Node] = [text("STRUCT(" if len(type_.members) == 1 else "(")]
    for position, (label, member) in enumerate(type_.members):
        of = exp.Dot(this=row.copy(), expression=exp.to_identifier(label, quoted=True))
        parts += [text(", " if position else ""), _item(node, of, member, depth, literal=literal)]
    there = exp.Not(this=exp.Is(this=row.copy(), expression=exp.Null()))
    return exp.Case(ifs=[exp.If(this=there, true=_joined([*parts, text(")")]))])


def _joined(parts: list[Node]) -> Node:
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


LOWER: Lowering = {exp.Format: _format}
