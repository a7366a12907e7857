"""The SET list of UPDATE and MERGE: columns, and members of structs, get values that fit them."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, duck_type, field_of, sql_type
from pydag_emulators.bigquery.statements.coercion import as_literal, converted, fits, type_name
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.dml.insert import or_default
from pydag_emulators.bigquery.storage.catalog import Resource, stored_columns

Members = dict[str, Any]
"""What members of a struct get: DuckDB SQL, or such a dictionary for the members of a member."""


def assignment_sql(
    context: Context,
    resource: Resource,
    alias: str,
    nodes: list[exp.Expression],
    tables: str,
) -> str:
    """The SET list. Values must fit the types of what they go to, and are cast to them.

    `alias` is the name of the table that is changed, `tables` the FROM clause in which the names
    in the values are known.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    columns = stored_columns(resource)
    parts: list[str] = []
    structs: dict[str, tuple[Field, Members]] = {}
    for node in nodes:
        if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
            raise unimplemented(f"the assignment {node.sql(dialect='bigquery')}")
        path = [part.name for part in node.this.parts]
        if len(path) > 1 and path[0].lower() == alias.lower():
            del path[0]
        column = field = _find(path[0], columns, str(resource["id"]))
        for name in path[1:]:
            field = _member(field, name)
        given = or_default(node.expression, field)
        value = fitted(context, field, given, context.translate(given.copy()), tables)
        if len(path) == 1:
            parts.append(f"{quote(column['name'])} = {value}")
        else:
            _, members = structs.setdefault(column["name"], (column, {}))
            _put(members, path[1:], value)
    for name, (column, members) in structs.items():
        updated = _updated(f"{quote(alias)}.{quote(name)}", members)
        parts.append(f"{quote(name)} = CAST({updated} AS {duck_type(column)})")
    return ", ".join(parts)


def _find(name: str, columns: list[Field], table: str) -> Field:
    for column in columns:
        if column["name"].lower() == name.lower():
            return column
    raise invalid_query(f"Column {name} is not present in table {table}")


def _member(field: Field, name: str) -> Field:
    if field["type"] != "RECORD" or field["mode"] == "REPEATED":
        raise invalid_query(f"Cannot access field {name} on a value with type {sql_type(field)}")
    for member in field["fields"]:
        if member["name"].lower() == name.lower():
            found: Field = member
            return found
    raise invalid_query(f"Field name {name} does not exist in {sql_type(field)}")


def _put(members: Members, path: list[str], value: str) -> None:
    head, *rest = (name.lower() for name in path)
    inner = members.setdefault(head, {}) if rest else None
    if (rest and not isinstance(inner, dict)) or (not rest and head in members):
        raise invalid_query(f"Update item {'.'.join(path)} overlaps with another update item")
    if inner is None:
        members[head] = value
    else:
        _put(inner, rest, value)


def _updated(value: str, members: Members) -> str:
    """The struct with other members; one that is NULL becomes one whose other members are NULL."""
    given = (
        f"{quote(name)} := "
        + (_updated(f"({value}).{quote(name)}", new) if isinstance(new, dict) else new)
        for name, new in members.items()
    )
    return f"struct_update({value}, {', '.join(given)})"


def fitted(context: Context, column: Field, node: exp.Expression, value: str, tables: str) -> str:
    """`value`, the DuckDB SQL of `node`, cast for `column`; its names are those of `tables`.

    Raises:
        ApiError: `invalidQuery` unless it may be stored there.
    """
    value = as_literal(node, value, column)
    type_ = context.cursor.sql(f"SELECT {value} FROM {tables}").types[0]
    if not fits(type_, column, [node]):
        raise invalid_query(
            f"Value of type {type_name(type_)} cannot be assigned to {column['name']}, "
            f"which has type {sql_type(column)}"
        )
    return converted(value, field_of(column["name"], type_), column)
