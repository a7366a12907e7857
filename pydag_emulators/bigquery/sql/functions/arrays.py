"""Functions of arrays and JSON, and those that sqlglot has no class for."""

from __future__ import annotations

import re

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lower,
    Lowering,
    Node,
    binary,
    call,
    cast,
    macro,
    only,
    refused,
    text,
)

KEEP: Kinds = (exp.JSONPath, exp.JSONPathKey, exp.JSONPathRoot, exp.JSONPathSubscript)


def _length(node: exp.ArraySize) -> Node:
    only(node, "this")
    return call("len", node.this)


def _concat(node: exp.ArrayConcat) -> Node:
    result: Node = node.this
    for part in node.expressions:
        result = call("bq_array_concat", result, part)
    return result


def _to_string(node: exp.ArrayToString) -> Node:
    only(node, "this", "expression")
    return call("array_to_string", node.this, node.expression)


_JSON_PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[\d+\])*")


def _json(name: str) -> Lower:
    def lower(node: Node) -> Node:
        path = node.expression.sql(dialect="bigquery").strip("'") if node.expression else "$"
        if not _JSON_PATH.fullmatch(path):
            raise refused(node)
        return macro(name, node.this, text(path))

    return lower


def _to_json_string(node: exp.JSONFormat) -> Node:
    # A macro can't tell JSON from a text: the type of the argument is looked at here.
    only(node, "this", "is_json", "to_json")
    is_json = exp.EQ(this=call("typeof", node.this), expression=text("JSON"))
    return exp.Case(
        ifs=[exp.If(this=is_json, true=cast(node.this, "VARCHAR"))],
        default=macro("to_json_string", node.this),
    )


def _anonymous(node: exp.Anonymous) -> Node:
    known = {"IEEE_DIVIDE": ("ieee_divide", 2), "ERROR": ("fail", 1)}
    name, count = known.get(node.name.upper(), ("", 0))
    if not name or len(node.expressions) != count:
        raise unimplemented(f"the function {node.name.upper()}")
    result = macro(name, *node.expressions)
    type_ = node.meta.get("type")  # of the other values that may stand there
    return cast(cast(result, "VARCHAR"), type_) if type_ else result


def _try(name: str) -> Lower:
    return lambda node: call("try", binary(name)(node))


def _safe(node: exp.SafeFunc) -> Node:
    """`SAFE.f(x)`: an error of f makes it NULL. x can't fail: see `lower`."""
    return call("try", node.this)


LOWER: Lowering = {
    exp.Anonymous: _anonymous,
    exp.ArrayConcat: _concat,
    exp.ArrayReverse: lambda node: call("list_reverse", node.this),
    exp.ArraySize: _length,
    exp.ArrayToString: _to_string,
    exp.JSONExtract: _json("json_query"),
    exp.JSONExtractScalar: _json("json_value"),
    exp.JSONFormat: _to_json_string,
    exp.ParseJSON: lambda node: call("json", node.this),
    exp.SafeAdd: _try("add"),
    exp.SafeFunc: _safe,
    exp.SafeMultiply: _try("multiply"),
    exp.SafeSubtract: _try("subtract"),
    exp.Uuid: lambda _node: call("bq_generate_uuid"),
}
