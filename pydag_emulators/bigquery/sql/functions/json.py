"""Functions of JSON values and of texts that hold JSON."""

from __future__ import annotations

import json
import re
from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    GENERATED,
    Kinds,
    Lower,
    Lowering,
    Node,
    call,
    cast,
    macro,
    only,
    refused,
    text,
    unary,
)
from pydag_emulators.bigquery.sql.typing.types import Type

KEEP: Kinds = (exp.JSONKeyValue,)

JSON_PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[\d+\])*")


def _json(name: str) -> Lower:
    def lower(node: Node) -> Node:
        return macro(name, node.this, text(_path(node)))

    return lower


_STEP = re.compile(
    r"""\.(?P<key>[\w:\- ]+)|\[\s*(?P<index>\d+)\s*\]"""
    r"""|\."(?P<quoted>[^"\\]+)"|\[\s*'(?P<bracketed>[^'"\\]+)'\s*\]"""
)


def _path(node: Node) -> str:
    """The path as DuckDB writes it.

    Form: https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#JSONPath_format
    """
    given = node.expression
    if given is None:
        return "$"
    if not isinstance(given, exp.Literal) or not given.is_string:
        raise unimplemented(f"a JSONPath that is not a literal: {given.sql('bigquery')[:80]}")
    written = given.name
    if re.match(r"(?i)(lax|recursive)\s", written):
        raise unimplemented("JSONPaths that are lax")
    if not written.startswith("$"):
        raise invalid_query("JSONPath must start with '$'")
    path, at = "$", 1
    while step := _STEP.match(written, at):
        at = step.end()
        key = step["key"] or step["quoted"] or step["bracketed"]
        path += f"[{step['index']}]" if key is None else f'."{key}"'
    rest = written[at:]
    if re.match(r"""\[\s*[-\w]+\s*\]|\."|\[\s*'""", rest):
        raise unimplemented(f"in a JSONPath: {rest}")
    if rest:
        raise invalid_query(f"Invalid token in JSONPath at: {rest}")
    return path


def _array(node: exp.JSONExtractArray) -> Node:
    type_ = node.meta.get("type")
    if type_ is None or type_.kind not in ("STRING", "JSON"):
        raise refused(node)
    return macro("json_query_array", node.this, text(_path(node)))


def _to_json_string(node: exp.JSONFormat) -> Node:
    only(node, "this", "is_json", "to_json")
    type_: Type | None = node.meta.get("type")
    if type_ is None:
        raise refused(node)
    return _json_of(node.this, type_) if node.args.get("to_json") else json_text(node.this, type_)


def json_text(value: Node, type_: Type, *, as_json: bool = False) -> Node:
    """The JSON text of a value; `as_json` says that it becomes a part of a value of that type."""
    return call("coalesce", _written(value, type_, 0, as_json=as_json), text("null"))


def _json_of(value: Node, type_: Type) -> Node:
    return call("json", json_text(value, type_, as_json=True))


def _make_object(node: exp.JSONObject) -> Node:
    """The keys are sorted, as in all JSON of BigQuery; of equal ones the first counts."""
    pairs: dict[str, Node] = {}
    types = node.meta.get("types") or []
    for pair, type_ in zip(node.expressions, types, strict=True):
        key = pair.this
        if isinstance(key, exp.Null):
            raise invalid_query("JSON_OBJECT: the key must not be NULL")
        if type_ is None or not isinstance(key, exp.Literal) or not key.is_string:
            raise refused(node)
        pairs.setdefault(key.name, json_text(pair.expression, type_, as_json=True))
    parts: list[Node] = [text("{")]
    for position, (key, value) in enumerate(sorted(pairs.items())):
        label = json.dumps(key, ensure_ascii=False)
        parts += [text(("," if position else "") + f"{label}:"), value]
    return call("json", _joined([*parts, text("}")]))


def _make_array(node: exp.JSONArray) -> Node:
    parts: list[Node] = [text("[")]
    types = node.meta.get("types") or []
    for position, (value, type_) in enumerate(zip(node.expressions, types, strict=True)):
        if type_ is None:
            raise refused(node)
        parts += [text("," if position else ""), json_text(value, type_, as_json=True)]
    return call("json", _joined([*parts, text("]")]))


def _written(value: Node, type_: Type, depth: int, *, as_json: bool) -> Node:
    """The JSON text of a value that isn't NULL, else NULL.

    In a value of the type JSON all numbers are numbers, and keys are sorted.
    """
    if type_.kind == "ARRAY":
        name = f"{GENERATED}json{depth}"
        item = exp.column(name, quoted=True)
        each = call(
            "coalesce", _written(item, type_.item, depth + 1, as_json=as_json), text("null")
        )
        parameter = exp.to_identifier(name, quoted=True)
        items = call("list_transform", value, exp.Lambda(this=each, expressions=[parameter]))
        return _joined([text("["), call("array_to_string", items, text(",")), text("]")])
    if type_.kind == "STRUCT":
        return _object(value, type_, depth, as_json=as_json)
    if type_.kind == "JSON":
        return cast(value, "VARCHAR")
    is_number = as_json and type_.kind in ("INT64", "NUMERIC")
    return macro("json_number" if is_number else "json_text", value)


def _object(value: Node, type_: Type, depth: int, *, as_json: bool) -> Node:
    name = f"{GENERATED}json{depth}"
    row = exp.column(name, quoted=True)
    parts: list[Node] = [text("{")]
    members = sorted(type_.members, key=lambda one: one[0]) if as_json else type_.members
    if as_json and len({_key(label) for label, _ in members}) != len(members):
        raise unimplemented("TO_JSON of a struct with several fields of one name, or without names")
    for position, (label, member) in enumerate(members):
        key = json.dumps(_key(label), ensure_ascii=False)
        of = exp.Dot(this=row.copy(), expression=exp.to_identifier(label, quoted=True))
        parts.append(text(("," if position else "") + f"{key}:"))
        parts.append(
            call("coalesce", _written(of, member, depth + 1, as_json=as_json), text("null"))
        )
    there = exp.Not(this=exp.Is(this=row.copy(), expression=exp.Null()))
    body = exp.Case(ifs=[exp.If(this=there, true=_joined([*parts, text("}")]))])
    parameter = exp.to_identifier(name, quoted=True)
    # Through a list, so that the struct is computed once.
    listed = exp.Array(expressions=[value.copy()])
    mapped = call("list_transform", listed, exp.Lambda(this=body, expressions=[parameter]))
    return call("list_extract", mapped, exp.Literal.number(1))


def _parse_json(node: exp.ParseJSON) -> Node:
    only(node, "this", "is_literal")
    return macro("parse_json", node.this)


def _key(label: str) -> str:
    return "" if label.startswith("_field_") else label


def _joined(parts: list[Node]) -> Node:
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


LOWER: Lowering = {
    exp.Float64: unary("json_float64"),
    exp.Int64: unary("json_int64"),
    exp.JSONBool: unary("json_bool"),
    exp.JSONExtract: _json("json_query"),
    exp.JSONExtractArray: _array,
    exp.JSONExtractScalar: _json("json_value"),
    exp.JSONArray: _make_array,
    exp.JSONFormat: _to_json_string,
    exp.JSONObject: _make_object,
    exp.JSONType: unary("json_type"),
    exp.JSONValueArray: _json("json_value_array"),
    exp.LaxBool: unary("lax_bool"),
    exp.LaxFloat64: unary("lax_float64"),
    exp.LaxInt64: unary("lax_int64"),
    exp.LaxString: unary("lax_string"),
    exp.ParseJSON: _parse_json,
}
