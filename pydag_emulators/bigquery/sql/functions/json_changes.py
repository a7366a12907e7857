"""Functions that change JSON values: JSON_SET, JSON_REMOVE and the like.

Rules: https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    GENERATED,
    Kinds,
    Lowering,
    Node,
    call,
    is_aggregated,
    macro,
    number,
    only,
    refused,
    text,
)
from pydag_emulators.bigquery.sql.functions.json import JSON_PATH, json_text

KEEP: Kinds = ()

_STEP = re.compile(r"\.(?P<key>[A-Za-z_]\w*)|\[(?P<index>\d+)\]")
_LONGEST = 10_000  # an array that a path makes


def _path(node: exp.Expression) -> str:
    if not isinstance(node, exp.Literal) or not JSON_PATH.fullmatch(node.name):
        raise unimplemented(
            f"the JSONPath {node.sql('bigquery')[:80]} in functions that change JSON"
        )
    if any(int(step["index"] or 0) >= _LONGEST for step in _STEP.finditer(node.name, 1)):
        raise unimplemented(f"arrays of more than {_LONGEST} items in functions that change JSON")
    return node.name


def _changed(value: Node, name: str, *arguments: Node) -> Node:
    """A macro of a value, which is computed once, however often the macro names it."""
    before = f"{GENERATED}before"
    changed = macro(name, exp.column(before, quoted=True), *arguments)
    parameter = exp.to_identifier(before, quoted=True)
    each = exp.Lambda(this=changed, expressions=[parameter])
    return call(
        "list_extract",
        call("list_transform", exp.Array(expressions=[value.copy()]), each),
        exp.Literal.number(1),
    )


def _options(node: Node, *known: str) -> dict[str, bool]:
    options: dict[str, bool] = node.meta.get("options") or {}
    if unknown := options.keys() - set(known):
        raise unimplemented(f"{node.sql_name()} with {', '.join(sorted(unknown))}")  # type: ignore[attr-defined]
    return options


def _pairs(node: Node) -> Iterator[tuple[str, Node, bool]]:
    """Paths, values as JSON, and whether the value is an ARRAY."""
    types = node.meta["types"]
    if not types or len(types) % 2:
        raise invalid_query("Number of arguments does not match for a function that changes JSON")
    for at in range(0, len(types), 2):
        type_ = types[at + 1]
        if type_ is None:
            raise refused(node)
        value = json_text(node.expressions[at + 1], type_, as_json=True)
        yield _path(node.expressions[at]), call("json", value), type_.kind == "ARRAY"


def _remove(node: exp.JSONRemove) -> Node:
    """JSON_REMOVE: each path is looked for in what the ones before it have left."""
    only(node, "this", "expressions")
    result: Node = node.this
    for given in node.expressions:
        path = _path(given)
        if path == "$":
            raise invalid_query("JSON_REMOVE: the JSONPath cannot be '$'")
        result = call("json_remove", result, text(path))
    return result


def _set(node: exp.JSONSet) -> Node:
    """What the path leads through is made where it is missing or null."""
    _options(node)
    result: Node = node.this
    for path, value, _ in _pairs(node):
        end = 1
        for step in _STEP.finditer(path, 1):
            before = text(path[:end])
            if step["key"]:
                result = _changed(result, "json_ready", before, text("{}"))
            else:
                result = _changed(result, "json_ready", before, text("[]"))
                result = _changed(result, "json_pad", before, number(int(step["index"])))
            end = step.end()
        result = call("json_set", result, text(path), value)
    return result


def _append(node: exp.JSONArrayAppend) -> Node:
    each = _options(node, "append_each_element").get("append_each_element", True)
    result: Node = node.this
    for path, value, is_array in _pairs(node):
        items = value if is_array and each else call("bq_json_list", exp.Array(expressions=[value]))
        result = _changed(result, "json_append", text(path), items)
    return result


def _insert(node: exp.JSONArrayInsert) -> Node:
    each = _options(node, "insert_each_element").get("insert_each_element", True)
    result: Node = node.this
    for path, value, is_array in _pairs(node):
        *_, last = _STEP.finditer(path, 1) if path != "$" else [None]
        if last is None:
            continue  # the value itself is no place in an array
        if not last["index"]:
            raise invalid_query("The JSONPath of JSON_ARRAY_INSERT must end with an array index")
        items = value if is_array and each else call("bq_json_list", exp.Array(expressions=[value]))
        at = number(int(last["index"]))
        result = _changed(result, "json_insert", text(path[: last.start()]), at, items)
    return result


def _strip_nulls(node: exp.JSONStripNulls) -> Node:
    return call("json_strip_nulls", _walked(node, "json_without_null_items"))


def _keys(node: exp.JSONKeysAtDepth) -> Node:
    return _walked(node, "json_keys_of")


def _walked(node: Node, name: str) -> Node:
    """A macro with a query in it, which DuckDB takes of no aggregate."""
    only(node, "this")
    if is_aggregated(node.this):
        raise refused(node)
    return macro(name, node.this)


LOWER: Lowering = {
    exp.JSONArrayAppend: _append,
    exp.JSONArrayInsert: _insert,
    exp.JSONKeysAtDepth: _keys,
    exp.JSONRemove: _remove,
    exp.JSONSet: _set,
    exp.JSONStripNulls: _strip_nulls,
}
