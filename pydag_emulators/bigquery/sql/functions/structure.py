"""Literals, arrays and structs."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    call,
    cast,
    macro,
    number,
    refused,
    text,
)

KEEP: Kinds = (
    exp.Alias, exp.All, exp.And, exp.Any, exp.Between, exp.Boolean, exp.Column, exp.Distinct,
    exp.Exists, exp.Identifier, exp.Is, exp.Neg, exp.Not, exp.Null, exp.Or, exp.Paren,
    exp.PropertyEQ, exp.Star, exp.Var,
)  # fmt: skip


def _literal(node: exp.Literal) -> Node:
    if node.is_string or isinstance(node.parent, exp.TableSample):
        return node
    if not node.is_int:
        return cast(exp.Literal.string(node.name), "DOUBLE")
    # DuckDB takes a number for INT32, which overflows before INT64 does, so it is cast. But a cast
    # number can't be a position as in ORDER BY 1, nor a LIMIT.
    if isinstance(node.parent, exp.Ordered | exp.Group | exp.Limit | exp.Offset):
        return node
    return cast(node, "BIGINT")


def _raw_string(node: exp.RawString) -> Node:
    return exp.Literal.string(node.name)


def _bytes(node: exp.ByteString) -> Node:
    # The tokenizer has resolved the escapes: every character stands for a byte.
    try:
        data = node.name.encode("latin-1")
    except UnicodeEncodeError as error:
        raise refused(node) from error
    return call("unhex", text(data.hex()))


def _hex(node: exp.HexString) -> Node:
    return cast(exp.Literal.number(int(node.name, 16)), "BIGINT")


def _array(node: exp.Array) -> Node:
    items = node.expressions
    if len(items) == 1 and isinstance(items[0], exp.Query):
        return node  # ARRAY(SELECT …)
    first = items[0] if items else None
    if not isinstance(first, exp.Struct):
        return exp.Array(expressions=[item.copy() for item in items])
    # The first struct names the members of all; DuckDB would match the others by name.
    names = [member.this for member in first.expressions]
    return exp.Array(expressions=[_renamed(item, names) for item in items])


def _renamed(item: Node, names: list[Node]) -> Node:
    if not isinstance(item, exp.Struct):
        if isinstance(item, exp.Null):
            return item.copy()
        raise refused(item)
    if len(item.expressions) != len(names):
        raise invalid_query("Array elements of types STRUCT do not have a common supertype")
    members = [
        exp.PropertyEQ(this=name.copy(), expression=member.expression.copy())
        for name, member in zip(names, item.expressions, strict=True)
    ]
    return exp.Struct(expressions=members)


_TAKES_TUPLES = (
    exp.Values, exp.In, exp.Tuple, exp.EQ, exp.NEQ, exp.GroupingSets, exp.Rollup, exp.Cube,
    exp.Any, exp.All,
)  # fmt: skip


def _tuple(node: exp.Tuple) -> Node:
    """`(a, b)` is a struct, except in rows of VALUES and on both sides of IN."""
    if isinstance(node.parent, _TAKES_TUPLES):
        return node
    members = [
        exp.PropertyEQ(this=exp.to_identifier(f"_field_{i}"), expression=item.copy())
        for i, item in enumerate(node.expressions, 1)
    ]
    return _struct(exp.Struct(expressions=members))


def _struct(node: exp.Struct) -> Node:
    if not node.expressions:
        raise refused(node)
    members = []
    for position, member in enumerate(node.expressions, 1):
        if isinstance(member, exp.PropertyEQ):
            name, value = member.name, member.expression
        elif isinstance(member, exp.Column | exp.Dot):
            name, value = member.name, member
        else:
            name, value = f"_field_{position}", member
        members.append(
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value.copy())
        )
    return exp.Struct(expressions=members)


def _bracket(node: exp.Bracket) -> Node:
    index = node.expressions[0]
    offset = node.args.get("offset")
    if node.meta.get("json"):
        return macro(f"json_{node.meta['json']}", node.this, index)
    if len(node.expressions) != 1 or (isinstance(index, exp.Literal) and index.is_string):
        raise refused(node)
    if offset == 1:
        index = exp.Sub(this=index.copy(), expression=number(1))
    return macro("safe_item" if node.args.get("safe") else "item", node.this, exp.Paren(this=index))


def _dot(node: exp.Dot) -> Node:
    if isinstance(node.expression, exp.Star) and not isinstance(node.this, exp.Column | exp.Dot):
        raise unimplemented(f"`.*` of an expression ({node.sql(dialect='bigquery')[:80]})")
    return node


LOWER: Lowering = {
    exp.Array: _array,
    exp.Bracket: _bracket,
    exp.ByteString: _bytes,
    exp.Dot: _dot,
    exp.HexString: _hex,
    exp.Literal: _literal,
    exp.RawString: _raw_string,
    exp.Struct: _struct,
    exp.Tuple: _tuple,
}
