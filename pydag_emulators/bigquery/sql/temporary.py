"""Temporary tables, and SQL functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import GENERATED, is_aggregated
from pydag_emulators.bigquery.sql.replace import with_values
from pydag_emulators.bigquery.sql.syntax.dialect import GoogleSQL
from pydag_emulators.bigquery.sql.typing.coerce import assigned
from pydag_emulators.bigquery.sql.typing.types import Type, type_of_data_type


def without_temporary(tree: exp.Expression) -> tuple[str | None, exp.Expression]:
    """The name that CREATE or LOAD DATA INTO TEMP TABLE gives, and the statement without TEMP."""
    plain = tree.copy()
    if isinstance(plain, exp.LoadData):
        name, table = without_temporary(plain.this)
        plain.set("this", table)
        return name, plain
    properties = plain.args.get("properties")
    if not isinstance(plain, exp.Create) or properties is None:
        return None, plain
    kept = [each for each in properties.expressions if not isinstance(each, exp.TemporaryProperty)]
    if len(kept) == len(properties.expressions):
        return None, plain
    table = plain.this.this if isinstance(plain.this, exp.Schema) else plain.this
    if table.args.get("db") is not None:
        raise invalid_query(f"Temporary table {table.sql('bigquery')} must not have a dataset")
    plain.set("properties", exp.Properties(expressions=kept) if kept else None)
    return str(table.name), plain


@dataclass(frozen=True)
class Function:
    """A SQL function; a parameter of ANY TYPE has none."""

    parameters: list[tuple[str, Type | None]]
    body: exp.Expression

    def called(self, call: exp.Expression) -> exp.Expression:
        """The body with the arguments of that call in the places of the parameters."""
        if len(call.expressions) != len(self.parameters):
            raise invalid_query(
                f"Number of arguments does not match for function {call.name}: it has "
                f"{len(self.parameters)}, not {len(call.expressions)}"
            )
        given = {
            name: value if type_ is None else assigned(value.copy(), type_)
            for (name, type_), value in zip(self.parameters, call.expressions, strict=True)
        }
        if self.body.find(exp.Query) is None:
            return with_values(self.body, given)
        return _asked(self.body, given)


def _asked(body: exp.Expression, given: dict[str, exp.Expression]) -> exp.Expression:
    """A body with a query in it, which can have columns of the parameters' names.

    So the parameters are columns of a row around it, and all that it can name.
    """
    if any(map(is_aggregated, given.values())):
        raise unimplemented("aggregates as arguments of a function with a query in it")
    select = exp.Select(expressions=[body.copy()])
    if given:
        row = exp.select(*(exp.alias_(value, name, quoted=True) for name, value in given.items()))
        alias = exp.TableAlias(this=exp.to_identifier(f"{GENERATED}call", quoted=True))
        select.set("from_", exp.From(this=exp.Subquery(this=row, alias=alias)))
    select.meta["isolated"] = True
    return exp.Subquery(this=select)


class Functions:
    """Functions of a script: their calls are written out, with the arguments in their places."""

    def __init__(self) -> None:
        self._known: dict[str, Function] = {}

    def add(self, tree: exp.Expression) -> None:
        """The function that CREATE TEMP FUNCTION makes.

        Raises:
            ApiError: `invalidQuery`, `notImplemented`.
        """
        declared: Any = tree.this
        name = declared.this.name.lower()
        if name.upper() in GoogleSQL.Parser.FUNCTIONS:
            raise unimplemented(f"functions with a name of another one ({name})")
        if name in self._known and not tree.args.get("replace"):
            raise invalid_query(f"Already exists: function {name}")
        written = tree.copy()
        if isinstance(tree.expression, exp.Expression):
            written.set("expression", self.written_out(tree.expression))
        self._known[name] = function_of(written)

    def written_out(self, tree: exp.Expression) -> exp.Expression:
        """A copy of the tree without calls of these functions."""
        holder = exp.Paren(this=tree.copy())
        for call in reversed(list(holder.find_all(exp.Anonymous))) if self._known else ():
            known = self._known.get(call.name.lower())
            if known is not None and not isinstance(call.parent, exp.Dot):
                call.replace(known.called(call))
        written: exp.Expression = holder.this
        written.pop()
        return written


def function_of(tree: exp.Expression) -> Function:
    """The function that a CREATE FUNCTION makes.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    declared: Any = tree.this
    parameters = [(one.name.lower(), _parameter(one.kind)) for one in declared.expressions]
    body = _body(tree)
    ctes = {cte.alias.lower() for cte in body.find_all(exp.CTE)}
    for table in body.find_all(exp.Table):
        if len(table.parts) == 1 and table.name.lower() not in ctes:
            raise unimplemented(f"tables without a dataset in functions ({table.name})")
    for column in body.find_all(exp.Column) if body.find(exp.Query) is None else ():
        if column.parts[0].name.lower() not in dict(parameters):
            raise invalid_query(f"Unrecognized name: {column.parts[0].name}")
    return Function(parameters, _returned(tree, body))


def _parameter(node: exp.Expression | None) -> Type | None:
    is_any = node is not None and node.this == exp.DType.VARIANT
    return None if is_any else _type(node)


def _type(node: exp.Expression | None) -> Type:
    type_ = None if node is None else type_of_data_type(node)
    if type_ is None:
        raise unimplemented(f"the type {node.sql('bigquery') if node else '?'} of a function")
    return type_


def _body(tree: exp.Expression) -> exp.Expression:
    body = tree.expression
    if not isinstance(body, exp.Expression) or isinstance(body, exp.Heredoc | exp.Literal):
        raise unimplemented("functions in JavaScript")
    if isinstance(body, exp.Query) and not isinstance(body.this, exp.Subquery):
        raise invalid_query("Syntax error: a query that is the body of a function needs two (( ))")
    return exp.Paren(this=body.copy())


def _returned(tree: exp.Expression, body: exp.Expression) -> exp.Expression:
    properties = tree.args.get("properties")
    for each in properties.expressions if properties else ():
        if isinstance(each, exp.ReturnsProperty):
            return assigned(body, _type(each.this))
        if not isinstance(each, exp.TemporaryProperty):
            raise unimplemented(f"{each.sql('bigquery')} of a function")
    return body
