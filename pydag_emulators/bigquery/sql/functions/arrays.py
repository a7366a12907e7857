"""Functions of arrays, and those that sqlglot has no class for."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
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
    unary,
)

KEEP: Kinds = ()


def _length(node: exp.ArraySize) -> Node:
    only(node, "this")
    return call("len", node.this)


def _concat(node: exp.ArrayConcat) -> Node:
    result: Node = node.this
    for part in node.expressions:
        result = call("bq_array_concat", result, part)
    return result


def _to_string(node: exp.ArrayToString) -> Node:
    only(node, "this", "expression", "null")
    instead = node.args.get("null")
    items = node.this if instead is None else call("bq_array_filled", node.this, instead)
    return call("array_to_string", items, node.expression)


def _slice(node: exp.ArraySlice) -> Node:
    only(node, "this", "start", "end")
    if node.args.get("end") is None:
        raise invalid_query("Number of arguments does not match for function ARRAY_SLICE")
    return macro("array_slice", node.this, node.args["start"], node.args["end"])


def _anonymous(node: exp.Anonymous) -> Node:
    name, count = _BY_NAME.get(node.name.upper(), ("", 0))
    if not name or len(node.expressions) != count:
        raise unimplemented(f"the function {node.name.upper()}")
    result = macro(name, *node.expressions)
    type_ = node.meta.get("type")  # of the other values that may stand there
    return cast(cast(result, "VARCHAR"), type_) if type_ else result


_BY_NAME = {
    "IEEE_DIVIDE": ("ieee_divide", 2),
    "ERROR": ("fail", 1),
    "DATE_BUCKET": ("bucket", 3),
    "DATETIME_BUCKET": ("bucket", 3),
    "TIMESTAMP_BUCKET": ("bucket", 3),
}
"""Functions that sqlglot has no class for: their macros, and how many arguments they have."""


def _try(name: str) -> Lower:
    return lambda node: call("try", binary(name)(node))


def _safe(node: exp.SafeFunc) -> Node:
    """`SAFE.f(x)`: an error of f makes it NULL. x can't fail: see `lower`."""
    return call("try", node.this)


LOWER: Lowering = {
    exp.Anonymous: _anonymous,
    exp.ArrayConcat: _concat,
    exp.ArrayFirst: unary("array_first"),
    exp.ArrayLast: unary("array_last"),
    exp.ArrayReverse: lambda node: call("list_reverse", node.this),
    exp.ArraySize: _length,
    exp.ArraySlice: _slice,
    exp.ArrayToString: _to_string,
    exp.SafeAdd: _try("add"),
    exp.SafeFunc: _safe,
    exp.SafeNegate: unary("safe_negate"),
    exp.SafeMultiply: _try("multiply"),
    exp.SafeSubtract: _try("subtract"),
    exp.RangeBucket: binary("range_bucket"),
    exp.Uuid: lambda _node: call("bq_generate_uuid"),
}
