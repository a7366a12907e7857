"""Primary and foreign keys: a table's `tableConstraints`, which nothing enforces.

Rules: https://cloud.google.com/bigquery/docs/information-schema-table-constraints
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.storage.catalog import Resource, get_table, table_fields

KEYS = "tableConstraints"
_TYPES = ("BOOLEAN", "DATE", "DATETIME", "INTEGER", "NUMERIC", "STRING", "TIMESTAMP")
_MAX_COLUMNS = 16
_MAX_FOREIGN_KEYS = 64


def take_keys(schema: exp.Schema) -> list[exp.Expr]:
    """The keys of `(name type …, PRIMARY KEY (…) …)`, which are in it no longer."""
    keys: list[exp.Expr] = []
    for node in list(schema.expressions):
        if isinstance(node, exp.PrimaryKey | exp.ForeignKey | exp.Constraint):
            keys.append(node.pop())
        elif isinstance(node, exp.ColumnDef):
            for constraint in list(node.args.get("constraints") or []):
                key = _key_of_column(node, constraint.kind)
                if key is not None:
                    name = constraint.this
                    keys.append(exp.Constraint(this=name, expressions=[key]) if name else key)
                    constraint.pop()
    return keys


def _key_of_column(column: exp.ColumnDef, kind: exp.Expr) -> exp.Expr | None:
    columns = [column.this.copy()]
    if isinstance(kind, exp.PrimaryKeyColumnConstraint):
        return exp.PrimaryKey(expressions=columns, options=kind.args.get("options"))
    if isinstance(kind, exp.Reference):
        return exp.ForeignKey(expressions=columns, reference=kind)
    return None


def with_keys(
    context: Context, ref: TableRef, resource: Resource, nodes: Sequence[exp.Expr]
) -> Resource:
    """The resource of the table `ref` with further keys.

    Raises:
        ApiError: `invalidQuery`, `notFound` for a table that a foreign key names.
    """
    for node in nodes:
        name = node.name if isinstance(node, exp.Constraint) else ""
        key = node.expressions[0] if isinstance(node, exp.Constraint) else node
        keys = resource.get(KEYS) or {}
        if isinstance(key, exp.PrimaryKey):
            if name:
                raise invalid_query(f"A primary key can't have a name ({name})")
            if "primaryKey" in keys:
                raise invalid_query(f"{ref} has a primary key already")
            columns = [field["name"] for field in _columns(key, key.expressions, ref, resource)]
            keys = {**keys, "primaryKey": {"columns": columns}}
        else:
            foreign = keys.get("foreignKeys") or []
            if name and any(name.lower() == one.get("name", "").lower() for one in foreign):
                if node.args.get("exists"):
                    continue
                raise invalid_query(f"{ref} has a constraint {name} already")
            if len(foreign) == _MAX_FOREIGN_KEYS:
                raise invalid_query(f"{ref} has more than {_MAX_FOREIGN_KEYS} foreign keys")
            made = {**({"name": name} if name else {}), **_foreign_key(context, key, ref, resource)}
            keys = {**keys, "foreignKeys": [*foreign, made]}
        resource = {**resource, KEYS: keys}
    return resource


def _foreign_key(context: Context, key: exp.Expr, ref: TableRef, resource: Resource) -> Resource:
    reference = key.args.get("reference")
    if not isinstance(key, exp.ForeignKey) or reference is None:
        raise unimplemented(f"the constraint {key.sql(dialect='bigquery')[:80]}")
    if not isinstance(reference.this, exp.Schema):
        raise invalid_query("A foreign key must name the columns that it refers to")
    to = context.paths.table(reference.this.this)
    if to == ref or to.in_dataset != ref.in_dataset:
        raise invalid_query(f"A foreign key of {ref} must refer to another table of its dataset")
    other = get_table(context.cursor, to, context.key.location)
    columns = _columns(reference, key.expressions, ref, resource)
    others = _columns(reference, reference.this.expressions, to, other)
    if [field["type"] for field in columns] != [field["type"] for field in others]:
        raise invalid_query(f"A foreign key must have the types of the columns of {to} it names")
    return {
        "referencedTable": to.api(),
        "columnReferences": [
            {"referencingColumn": column["name"], "referencedColumn": other["name"]}
            for column, other in zip(columns, others, strict=True)
        ],
    }


def _columns(
    key: exp.Expr, names: Sequence[exp.Expr], ref: TableRef, resource: Resource
) -> list[Field]:
    """The columns of a key."""
    if key.args.get("options") != ["NOT ENFORCED"]:
        raise invalid_query("A primary or foreign key must be NOT ENFORCED")
    known = {field["name"].lower(): field for field in table_fields(resource)}
    fields = []
    for name in names:
        field = known.get(name.name.lower())
        if field is None:
            raise invalid_query(f"A key names the column {name.name}, which {ref} doesn't have")
        if field["type"] not in _TYPES or field["mode"] == "REPEATED":
            raise invalid_query(f"A key can't have the type of the column {field['name']}")
        fields.append(field)
    if not 1 <= len({field["name"] for field in fields}) == len(fields) <= _MAX_COLUMNS:
        raise invalid_query(f"A key must have up to {_MAX_COLUMNS} different columns")
    return fields


def without_key(ref: TableRef, resource: Resource, node: exp.Drop) -> Resource:
    """The resource after DROP PRIMARY KEY or DROP CONSTRAINT.

    Raises:
        ApiError: `invalidQuery` if there is no such key.
    """
    keys = dict(resource.get(KEYS) or {})
    if node.args["kind"] == "PRIMARY KEY":
        what, found = "primary key", keys.pop("primaryKey", None) is not None
    else:
        name = node.args["tables"][0].name
        if "$" in name:
            raise unimplemented(f"names that BigQuery gives to constraints ({name})")
        foreign = keys.pop("foreignKeys", [])
        kept = [one for one in foreign if one.get("name", "").lower() != name.lower()]
        what, found = f"constraint {name}", len(kept) < len(foreign)
        if kept:
            keys["foreignKeys"] = kept
    if not found and not node.args.get("exists"):
        raise invalid_query(f"{ref} has no {what}")
    return {**resource, KEYS: keys}


def keys_in(resource: Resource) -> Resource:
    """The keys among the settings of a table, for a copy of it."""
    return {KEYS: resource[KEYS]} if resource.get(KEYS) else {}


def columns_in_keys(resource: Resource) -> set[str]:
    """The names, in lower case, of the columns in keys of the table."""
    keys = resource.get(KEYS) or {}
    names = list((keys.get("primaryKey") or {}).get("columns") or [])
    for key in keys.get("foreignKeys") or []:
        names += [pair["referencingColumn"] for pair in key["columnReferences"]]
    return {name.lower() for name in names}
