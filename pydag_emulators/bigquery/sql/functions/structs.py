"""Structs: GoogleSQL matches their members by positions, DuckDB by names."""

from __future__ import annotations

from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import GENERATED, Kinds, Lowering, Node, call
from pydag_emulators.bigquery.sql.typing.coerce import Assigned, Converted
from pydag_emulators.bigquery.sql.typing.types import Type, duck_type

KEEP: Kinds = ()


def members(node: Node) -> list[Node] | None:
    """The values of a struct that is written out, `STRUCT(a, b)` or `(a, b)`."""
    if isinstance(node, exp.Paren):
        return members(node.this)
    if isinstance(node, exp.Struct):
        return [member.expression for member in node.expressions]
    return list(node.expressions) if isinstance(node, exp.Tuple) else None


def _equal(one: list[Node], other: list[Node]) -> Node:
    if len(one) != len(other):
        raise invalid_query("Structs with different numbers of fields cannot be compared")
    pairs = [_pair(a, b) for a, b in zip(one, other, strict=True)]
    return exp.Paren(this=reduce(lambda a, b: exp.And(this=a, expression=b), pairs))


def _pair(one: Node, other: Node) -> Node:
    first, second = members(one), members(other)
    if first is not None and second is not None:
        return _equal(first, second)
    if first is not None or second is not None:
        raise _refused(one)
    return exp.EQ(this=one.copy(), expression=other.copy())


def _refused(node: Node) -> Exception:
    return unimplemented(f"comparisons of structs here: {node.sql(dialect='bigquery')[:100]}")


def _compared(node: exp.EQ | exp.NEQ) -> Node:
    one, other = members(node.this), members(node.expression)
    if one is None and other is None:
        return node
    if one is None or other is None:
        raise _refused(node)
    equal = _equal(one, other)
    return exp.Not(this=equal) if isinstance(node, exp.NEQ) else equal


def _not_ordered(node: Node) -> Node:
    if any(members(part) is not None for part in (node.this, node.expression)):
        raise _refused(node)
    return node


def _in(node: exp.In) -> Node:
    """`(a, b) IN ((1, 2), (3, 4))`, member by member: NULL counts as GoogleSQL says."""
    value = members(node.this)
    listed = [members(item) for item in node.expressions]
    if value is None and not any(item is not None for item in listed):
        return node
    if value is None or not listed or any(item is None for item in listed):
        raise _refused(node)
    options = [_equal(value, item) for item in listed if item is not None]
    return exp.Paren(this=reduce(lambda a, b: exp.Or(this=a, expression=b), options))


def _case(node: exp.Case) -> Node:
    compared = [node.this, *[branch.this for branch in node.args["ifs"]]] if node.this else []
    if any(members(part) is not None for part in compared):
        raise _refused(node)
    return node


def _nullif(node: exp.Nullif) -> Node:
    return _not_ordered(node)


def _union(node: exp.SetOperation) -> Node:
    """The first query names the members of structs that are written out."""
    if node.args.get("by_name") or node.args.get("match") or node.args.get("on"):
        raise unimplemented("set operations by name")
    first, second = _leaf(node.this), _leaf(node.expression)
    for one, other in zip(first.expressions, second.expressions, strict=False):
        left, right = _value(one), _value(other)
        if isinstance(left, exp.Struct) and isinstance(right, exp.Struct):
            for name, member in zip(left.expressions, right.expressions, strict=False):
                member.set("this", name.this.copy())
        elif isinstance(right, exp.Struct):
            raise unimplemented("a struct in a set operation whose first query has no such struct")
    return node


def _leaf(node: Node) -> Node:
    while not isinstance(node, exp.Select):
        node = node.this
    return node


def _value(column: Node) -> Node:
    return column.this if isinstance(column, exp.Alias) else column


def _converted(node: Converted) -> Node:
    return _member(node.this, node.meta["of"], node.meta["to"], 0)


def _member(value: Node, of: Type, to: Type, depth: int) -> Node:
    """DuckDB casts structs by the names of their members, GoogleSQL by their positions."""
    if of == to:
        return value
    name = f"{GENERATED}{depth}"
    item = exp.column(name, quoted=True)
    if to.kind == "ARRAY":
        return _mapped(value, name, _member(item, of.item, to.item, depth + 1))
    if to.kind != "STRUCT" or of.kind != "STRUCT":
        return exp.Cast(this=value.copy(), to=exp.DataType.build(duck_type(to), dialect="duckdb"))
    members = [
        exp.PropertyEQ(
            this=exp.to_identifier(label, quoted=True),
            expression=_member(
                exp.Dot(this=item.copy(), expression=exp.to_identifier(own, quoted=True)),
                one, other, depth + 1,
            ),
        )
        for (own, one), (label, other) in zip(of.members, to.members, strict=True)
    ]  # fmt: skip
    there = exp.Not(this=exp.Is(this=item.copy(), expression=exp.Null()))
    struct = exp.Case(ifs=[exp.If(this=there, true=exp.Struct(expressions=members))])
    listed = _mapped(exp.Array(expressions=[value.copy()]), name, struct)
    return call("list_extract", listed, exp.Literal.number(1))


def _mapped(items: Node, name: str, body: Node) -> Node:
    parameter = exp.to_identifier(name, quoted=True)
    return call("list_transform", items, exp.Lambda(this=body, expressions=[parameter]))


LOWER: Lowering = {
    Assigned: lambda node: node.this,
    Converted: _converted,
    exp.Case: _case,
    exp.EQ: _compared,
    exp.Except: _union,
    exp.GT: _not_ordered,
    exp.GTE: _not_ordered,
    exp.In: _in,
    exp.Intersect: _union,
    exp.LT: _not_ordered,
    exp.LTE: _not_ordered,
    exp.NEQ: _compared,
    exp.NullSafeEQ: _not_ordered,
    exp.NullSafeNEQ: _not_ordered,
    exp.Nullif: _nullif,
    exp.Union: _union,
}
