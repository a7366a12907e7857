"""Expressions that choose one of several values, and arrays and structs."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.typing.coerce import Assigned, coerce
from pydag_emulators.bigquery.sql.typing.nan import checked_comparison
from pydag_emulators.bigquery.sql.typing.operators import check_members
from pydag_emulators.bigquery.sql.typing.results import check_condition
from pydag_emulators.bigquery.sql.typing.scope import Scope, member_of
from pydag_emulators.bigquery.sql.typing.types import (
    FLOAT64,
    JSON,
    NULL,
    Type,
    array_of,
    duck_type,
    fits,
    supertype,
)
from pydag_emulators.bigquery.sql.typing.visitor import Handlers, Visitor, common, given, scalar


def _if(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    check_condition(typer.visit(node.this, scope), "The condition of IF")
    if node.args.get("false") is None:
        raise invalid_query("Number of arguments does not match for function IF")
    places = [(name, None) for name in ("true", "false")]
    if any(_is_error(node.args[name]) for name, _ in places):
        return _typed_error(typer, node, [name for name, _ in places], scope)
    return common(typer, node, places, scope, "function IF")


def _typed_error(typer: Visitor, node: exp.Expr, names: list[str], scope: Scope) -> Type | None:
    """`ERROR(…)` has the type that is wanted where it stands."""
    types = [typer.visit(node.args[name], scope) for name in names]
    wanted = next(
        (
            t
            for n, t in zip(names, types, strict=True)
            if not _is_error(node.args[n]) and t is not None
        ),
        None,
    )
    if wanted is not None:
        for name in names:
            if _is_error(node.args[name]):
                _type_error(node.args[name], wanted)
    return wanted


def _case(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    if node.this is not None:
        _simple_case(node)
    for branch in node.args["ifs"]:
        check_condition(typer.visit(branch.this, scope), "The condition of WHEN")
    values = [given(typer, result, scope) for result in _results(node)]
    pairs = list(zip(_results(node), values, strict=True))
    known = [one for result, one in pairs if one is not None and not _is_error(result)]
    if not known or any(one is None and not _is_error(result) for result, one in pairs):
        return None
    type_ = supertype(known)
    if type_ is None:
        raise invalid_query(
            "No matching signature for operator CASE; all THEN/ELSE arguments must be "
            "coercible to a common type"
        )
    for result, one in pairs:
        if _is_error(result):
            _type_error(result, type_)
        elif one is not None:
            coerce(result, one, type_)
    return type_


def _results(node: exp.Expr) -> list[exp.Expr]:
    default = node.args.get("default")
    results = [branch.args["true"] for branch in node.args["ifs"]]
    return results if default is None else [*results, default]


def _listed(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    """COALESCE, GREATEST, LEAST: all arguments have one type."""
    if any(_is_error(part) for part in (node.this, *node.expressions)):
        return _coalesce_error(typer, node, scope)
    places = [("this", None), *(("expressions", i) for i in range(len(node.expressions)))]
    type_ = common(typer, node, places, scope, f"function {node.sql_name()}")  # type: ignore[attr-defined]
    node.meta["typed"] = type_ is not None
    is_ordered = isinstance(node, exp.Greatest | exp.Least)
    if is_ordered and type_ is not None and type_.kind in ("ARRAY", "STRUCT", "JSON"):
        raise invalid_query(f"{node.key.upper()} is not defined for arguments of type {type_}")
    if type_ == FLOAT64 and isinstance(node, exp.Least):
        checked_comparison(node)
    return type_


def _coalesce_error(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    parts = [node.this, *node.expressions]
    types = [typer.visit(part, scope) for part in parts]
    parts = [node.this, *node.expressions]
    wanted = next(
        (t for p, t in zip(parts, types, strict=True) if t is not None and not _is_error(p)),
        None,
    )
    for part in parts:
        if wanted is not None and _is_error(part):
            _type_error(part, wanted)
    return wanted


def _nullif(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = common(typer, node, (("this", None), ("expression", None)), scope, "function NULLIF")
    check_members(type_)
    node.meta["typed"] = type_ is not None
    if type_ == FLOAT64:
        checked_comparison(node)
    return type_


def _array(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    items = node.expressions
    if len(items) == 1 and isinstance(items[0], exp.Query):
        item = scalar(typer, items[0], scope)
        return None if item is None else array_of(item)
    if not items:
        return array_of(NULL)
    places = [("expressions", i) for i in range(len(items))]
    item = common(typer, node, places, scope, "array elements")
    return None if item is None else array_of(item)


def _array_concat(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    places = [("this", None), *(("expressions", i) for i in range(len(node.expressions)))]
    return common(typer, node, places, scope, "function ARRAY_CONCAT")


def _struct(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    members: list[tuple[str, Type]] = []
    complete = True
    for position, member in enumerate(list(node.expressions), 1):
        named = isinstance(member, exp.PropertyEQ)
        type_ = typer.visit(member.expression if named else member, scope)
        name = member.name if named else f"_field_{position}"
        if isinstance(node, exp.Struct) and isinstance(member, exp.Column | exp.Dot):
            name = member.name
        complete = complete and type_ is not None
        members.append((name, type_ or NULL))
    return Type("STRUCT", tuple(members)) if complete else None


def _dot(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    if type_ == JSON:
        node.replace(json_member(node.this.copy(), node.name))
        return JSON
    if type_ in (None, NULL) or isinstance(node.expression, exp.Star):
        return None
    return member_of(type_, node.name)


def json_member(value: exp.Expr, name: str) -> exp.Expr:
    """`value.name`, of a value of the type JSON."""
    node = exp.Bracket(this=value, expressions=[exp.Literal.string(name)])
    node.meta["json"] = "field"
    return node


def _bracket(typer: Visitor, node: exp.Expr, scope: Scope) -> Type | None:
    type_ = typer.visit(node.this, scope)
    indexes = [typer.visit(index, scope) for index in list(node.expressions)]
    if type_ in (None, NULL):
        return None
    if type_ == JSON:
        index = None if indexes[0] is None else indexes[0].kind
        if index not in ("INT64", "STRING") or node.args.get("offset") or node.args.get("safe"):
            raise unimplemented(f"subscripts of JSON ({node.sql('bigquery')[:80]})")
        node.meta["json"] = "item" if index == "INT64" else "field"
        return JSON
    if type_.kind != "ARRAY":
        raise invalid_query(f"Subscripts are not supported on values of type {type_}")
    return type_.item


def _is_error(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.upper() == "ERROR"


def _type_error(node: exp.Expr, type_: Type) -> None:
    """`ERROR(m)` as an expression of that type."""
    node.meta["type"] = duck_type(type_)


def _simple_case(node: exp.Expr) -> None:
    """`CASE x WHEN y …` as `CASE WHEN x = y …`."""
    value = node.this
    node.set("this", None)
    for branch in node.args["ifs"]:
        equal = exp.EQ(this=value.copy(), expression=branch.this.copy())
        equal.meta["of_case"] = True
        branch.set("this", equal)


def _assigned(typer: Visitor, node: exp.Expr, scope: Scope) -> Type:
    to: Type = node.meta["to"]
    one = given(typer, node.this, scope)
    if one is None:
        raise unimplemented(f"a value of an unknown type for {to} ({node.this.sql('bigquery')})")
    if not fits(one, to):
        raise invalid_query(f"Cannot coerce expression with type {one.type} to type {to}")
    coerce(node.this, one, to)
    return to


HANDLERS: Handlers = {
    Assigned: _assigned,
    exp.If: _if,
    exp.Case: _case,
    exp.Coalesce: _listed,
    exp.Greatest: _listed,
    exp.Least: _listed,
    exp.Nullif: _nullif,
    exp.Array: _array,
    exp.ArrayConcat: _array_concat,
    exp.Struct: _struct,
    exp.Tuple: _struct,
    exp.Dot: _dot,
    exp.Bracket: _bracket,
}
