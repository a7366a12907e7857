"""ALTER TABLE and ALTER VIEW, action by action.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language
"""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import duplicate, invalid_query, unimplemented
from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import Field, check_schema, duck_type, sql_type
from pydag_emulators.bigquery.sql.definitions import (
    changed_options,
    default_of,
    field_of_column,
    type_of,
)
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.ddl.keys import (
    KEYS,
    columns_in_keys,
    with_keys,
    without_key,
)
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    find_table,
    rename_table,
    save_table,
    table_fields,
)
from pydag_emulators.bigquery.storage.schema_changes import change_schema

_KEYS = ("PRIMARY KEY", "CONSTRAINT")
_WIDER = {"INTEGER": ("NUMERIC", "FLOAT"), "NUMERIC": ("FLOAT",)}


def alter_table(context: Context, tree: exp.Alter, ref: TableRef, resource: Resource) -> None:
    """Change a table or view as the actions of the statement say.

    Raises:
        ApiError: `invalidQuery`, `invalid`, `duplicate`, `notImplemented`.
    """
    for action in tree.args["actions"]:
        if isinstance(action, exp.AlterSet):
            nodes = [node for each in action.expressions if each for node in each.expressions]
            changes = changed_options(nodes, context.constant)
            resource = {k: v for k, v in {**resource, **changes}.items() if v is not None}
        elif resource["type"] != "TABLE":
            raise invalid_query(f"{ref} is a {resource['type']}, not a table")
        elif isinstance(action, exp.AlterRename):
            _rename(context, action, ref, resource)
            return
        elif isinstance(action, exp.AddConstraint):
            resource = with_keys(context, ref, resource, action.expressions)
        elif isinstance(action, exp.Drop) and action.args.get("kind") in _KEYS:
            resource = without_key(ref, resource, action)
        else:
            fields = _changed(context, action, ref, resource)
            resource = {**resource, "schema": {"fields": fields}}
    save_table(context.cursor, ref, resource)


def _rename(context: Context, action: exp.AlterRename, ref: TableRef, resource: Resource) -> None:
    if len(action.this.parts) != 1:
        raise invalid_query("The new name of a table must not have a dataset")
    if (resource.get(KEYS) or {}).get("primaryKey"):
        raise invalid_query(f"{ref} has a primary key, and can't be renamed")
    to = ref._replace(table=action.this.name)
    if find_table(context.cursor, to) is not None:
        raise duplicate("Table", str(to))
    rename_table(context.cursor, ref, to, resource)


def _changed(
    context: Context, action: exp.Expression, ref: TableRef, resource: Resource
) -> list[Field]:
    """The columns after one action, which has changed the stored table, too."""
    if isinstance(action, exp.ColumnDef):
        return _added(context, action, ref, resource)
    if isinstance(action, exp.Drop):
        return _dropped(context, action, ref, resource)
    if isinstance(action, exp.RenameColumn):
        return _renamed(context, action, ref, resource)
    if isinstance(action, exp.AlterColumn):
        return _altered(context, action, ref, resource)
    raise unimplemented(f"ALTER TABLE … {action.sql(dialect='bigquery')[:80]}")


def _added(context: Context, node: exp.ColumnDef, ref: TableRef, resource: Resource) -> list[Field]:
    fields = table_fields(resource)
    if any(field["name"].lower() == node.name.lower() for field in fields):
        if node.args.get("exists"):
            return fields
        raise invalid_query(f"Column already exists: {node.name}")
    field = field_of_column(node, context.constant)
    if field.get("defaultValueExpression"):
        raise invalid_query(
            f"Cannot add the column {node.name} with a default value: add it, then ALTER COLUMN "
            "SET DEFAULT"
        )
    if field["mode"] == "REQUIRED":
        raise invalid_query(f"Cannot add the REQUIRED column {node.name}")
    return change_schema(context.cursor, ref, resource, check_schema([*fields, field]))


def _dropped(context: Context, node: exp.Drop, ref: TableRef, resource: Resource) -> list[Field]:
    column = node.args["tables"][0]
    if node.args.get("kind") != "COLUMN":
        raise unimplemented(f"ALTER TABLE … {node.sql(dialect='bigquery')[:80]}")
    fields = table_fields(resource)
    field = _find(column.name, resource, missing_is_fine=bool(node.args.get("exists")))
    if field is None:
        return fields
    _check_free(field, resource)
    if len(fields) == 1:
        raise invalid_query("Cannot drop the only column of a table")
    context.cursor.execute(f"ALTER TABLE {ref.sql} DROP COLUMN {quote(field['name'])}")
    return [each for each in fields if each is not field]


def _renamed(
    context: Context, node: exp.RenameColumn, ref: TableRef, resource: Resource
) -> list[Field]:
    field = _find(node.this.name, resource, missing_is_fine=bool(node.args.get("exists")))
    if field is None:
        return table_fields(resource)
    _check_free(field, resource)
    new = {**field, "name": node.args["to"].name}
    fields = check_schema([new if each is field else each for each in table_fields(resource)])
    context.cursor.execute(
        f"ALTER TABLE {ref.sql} RENAME COLUMN {quote(field['name'])} TO {quote(new['name'])}"
    )
    return fields


def _altered(
    context: Context, node: exp.AlterColumn, ref: TableRef, resource: Resource
) -> list[Field]:
    field = _find(node.name, resource)
    fields = table_fields(resource)
    if field is None or node.args.get("collate"):
        raise unimplemented(f"ALTER COLUMN {node.sql(dialect='bigquery')[:80]}")
    default = node.args.get("default")
    if default is not None or (node.args.get("drop") and not node.args.get("allow_null")):
        text = None if default is None else default_of(default, field, context.constant)
        given = {**field, "defaultValueExpression": text}
        given = {key: value for key, value in given.items() if value is not None}
        return [given if each is field else each for each in fields]
    if node.args.get("drop") and node.args.get("allow_null"):
        relaxed = {**field, "mode": "NULLABLE"} if field["mode"] == "REQUIRED" else field
        changed = [relaxed if each is field else each for each in fields]
        return change_schema(context.cursor, ref, resource, changed)
    if node.args.get("dtype") is None:
        raise unimplemented(f"ALTER COLUMN {node.sql(dialect='bigquery')[:80]}")
    new = check_schema([{**field, **type_of(node.args["dtype"], context.constant)}])[0]
    new["mode"] = field["mode"]
    _check_limits(field, new)
    if new["type"] not in (field["type"], *_WIDER.get(field["type"], ())):
        raise invalid_query(
            f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that {field['type']} can be "
            f"coerced to {new['type']} (column {field['name']})"
        )
    _check_free(field, resource)
    context.cursor.execute(
        f"ALTER TABLE {ref.sql} ALTER COLUMN {quote(field['name'])} TYPE {duck_type(new)}"
    )
    return [new if each is field else each for each in fields]


def _check_limits(old: Field, new: Field) -> None:
    """Refuse a type with smaller parameters: values that are there might not fit."""
    digits = [int(f.get("precision") or 38) - int(f.get("scale") or 0) for f in (old, new)]
    shorter = int(new.get("maxLength") or 2**63) < int(old.get("maxLength") or 2**63)
    scales = [int(f.get("scale") or (0 if f.get("precision") else 9)) for f in (old, new)]
    if shorter or digits[1] < digits[0] or scales[1] < scales[0]:
        raise invalid_query(
            f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that {sql_type(old, limits=True)} is "
            f"assignable to {sql_type(new, limits=True)} (column {old['name']})"
        )


def _find(name: str, resource: Resource, *, missing_is_fine: bool = False) -> Field | None:
    for field in table_fields(resource):
        if field["name"].lower() == name.lower():
            return field
    if missing_is_fine:
        return None
    raise invalid_query(f"Column not found: {name}")


def _check_free(field: Field, resource: Resource) -> None:
    """Refuse to touch a column by which the table is partitioned or clustered, or of a key."""
    used = [
        (resource.get("timePartitioning") or {}).get("field"),
        (resource.get("rangePartitioning") or {}).get("field"),
        *((resource.get("clustering") or {}).get("fields") or []),
    ]
    if field["name"].lower() in [str(name).lower() for name in used]:
        raise invalid_query(
            f"The column {field['name']} is used for partitioning or clustering, and can't change"
        )
    if field["name"].lower() in columns_in_keys(resource):
        raise invalid_query(f"The column {field['name']} is part of a key, and can't change")
