"""Gives an expression the type that is wanted where it stands."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from pydag_emulators.bigquery.sql.typing.types import NULL, Given, Type, data_type


class Converted(exp.Expression):
    """A struct or array, to be converted member by member: `of` and `to` are in its `meta`."""

    arg_types: ClassVar = {"this": True}


def converted(value: exp.Expr, of: Type, to: Type) -> Converted:
    """The node that stands for the conversion of `value`."""
    node = Converted(this=value)
    node.meta.update({"of": of, "to": to})
    return node


class Assigned(exp.Expression):
    """A value where a type is wanted, as of a variable: the type is `to` in its `meta`."""

    arg_types: ClassVar = {"this": True}


def assigned(value: exp.Expr, to: Type) -> Assigned:
    """The node of a value that must fit a type, and gets it."""
    node = Assigned(this=value)
    node.meta["to"] = to
    return node


def coerce(node: exp.Expr, given: Given, to: Type) -> None:
    """Replace `node`, of the type `given`, by one of the type `to`, which it must fit."""
    of = given.type
    if of == to or (of == NULL and not to.members):
        return
    written = node.unnest()
    if to.kind == "STRUCT" and isinstance(written, exp.Struct | exp.Tuple):
        _rename(node, written, of, to)
    elif to.kind == "ARRAY" and isinstance(written, exp.Array) and not written.find(exp.Query):
        for item in list(written.expressions):
            literal = isinstance(item.unnest(), exp.Literal)
            coerce(item, Given(of.item, literal) if not _is_null(item) else Given(NULL), to.item)
    elif of == NULL:
        node.replace(exp.Cast(this=exp.Null(), to=data_type(to)))
    elif to.members:
        node.replace(converted(node.copy(), of, to))
    else:
        cast = exp.Cast(this=node.unnest().copy(), to=data_type(to))
        cast.meta["widened"] = of.kind != "STRING"
        node.replace(cast)


def _is_null(node: exp.Expr) -> bool:
    return isinstance(node.unnest(), exp.Null)


def _rename(node: exp.Expr, written: exp.Expr, of: Type, to: Type) -> None:
    """A struct that is written out gets the names and types of `to`, by position."""
    members = []
    for member, (_, one), (name, other) in zip(
        written.expressions, of.members, to.members, strict=True
    ):
        value = member.expression if isinstance(member, exp.PropertyEQ) else member
        holder = exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value.copy())
        coerce(holder.expression, Given(one, is_literal(value)), other)
        members.append(holder)
    node.replace(exp.Struct(expressions=members))


def is_literal(node: exp.Expr) -> bool:
    """Whether the node is a literal, whose type may change."""
    if isinstance(node, exp.Neg | exp.Paren):
        return is_literal(node.this)
    if isinstance(node, exp.Struct | exp.Tuple):
        return all(
            is_literal(m.expression if isinstance(m, exp.PropertyEQ) else m)
            for m in node.expressions
        )
    return isinstance(node, exp.Literal | exp.Null | exp.RawString)
