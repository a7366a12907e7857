"""CREATE, DROP and their options; partitioning and clustering are kept as metadata.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlglot import exp

from pydag_emulators.bigquery.errors import (
    duplicate,
    invalid_query,
    not_found,
    unimplemented,
)
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef, TableRef, quote
from pydag_emulators.bigquery.schema import Field, check_schema
from pydag_emulators.bigquery.sql.definitions import (
    fields_of,
    layout_of,
    options_of,
    view_columns,
)
from pydag_emulators.bigquery.sql.shapes import unnamed_column
from pydag_emulators.bigquery.statements.coercion import stored
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.ddl.alter import alter_table
from pydag_emulators.bigquery.statements.ddl.keys import keys_in, take_keys, with_keys
from pydag_emulators.bigquery.statements.ddl.routines import change_routine
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.statements.write import check_location, replace_table
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_dataset,
    create_table,
    delete_table,
    drop_dataset,
    find_dataset,
    find_table,
    get_table,
    stored_columns,
)
from pydag_emulators.bigquery.storage.layout import (
    is_by_ingestion,
    is_same_partitioning,
    layout_in,
    shown,
)

_CLAUSES = frozenset({"this", "kind", "replace", "exists", "expression", "properties", "clone"})


def run_ddl(
    context: Context, kind: str, tree: exp.Expression, ref: TableRef | DatasetRef
) -> Outcome:
    """Execute a DDL statement about `ref`; the outcome says what was created or dropped."""
    if kind.endswith(("_FUNCTION", "_PROCEDURE")) and isinstance(ref, TableRef):
        return change_routine(context, kind, tree, ref)
    _check_form(kind, tree)
    if isinstance(ref, DatasetRef):
        operation = _change_dataset(context, kind, tree, ref)
        query: Resource = {"ddlOperationPerformed": operation, "ddlTargetDataset": ref.api()}
        return Outcome(statistics={"query": query})
    operation = _change_table(context, kind, tree, ref)
    query = {"ddlOperationPerformed": operation, "ddlTargetTable": ref.api()}
    changes_rows = operation != "SKIP" and kind != "CREATE_VIEW"
    return Outcome(statistics={"query": query}, wrote=ref if changes_rows else None)


def _check_form(kind: str, tree: exp.Expression) -> None:
    """Refuse what would have no effect: further names after DROP, and clauses of CREATE."""
    if kind.startswith("DROP_"):
        tables = tree.args.get("tables") or [tree.this]
        if len(tables) != 1 or not isinstance(tables[0], exp.Table):
            raise invalid_query("Expected one name after DROP")
        return
    if kind == "CREATE_SCHEMA" or isinstance(tree, exp.Alter):
        return
    if kind == "CREATE_SNAPSHOT_TABLE" and (not tree.args.get("clone") or tree.args.get("replace")):
        raise invalid_query("Syntax error: Expected CREATE SNAPSHOT TABLE … CLONE …")
    for name, value in tree.args.items():
        if value and name not in _CLAUSES:
            raise unimplemented(f"{name.strip('_').upper()} in {type(tree).__name__.upper()}")


def _is_settled(
    context: Context, kind: str, tree: exp.Expression, ref: TableRef | DatasetRef, *, exists: bool
) -> bool:
    """Whether there is nothing to do because of IF EXISTS or IF NOT EXISTS.

    Raises:
        ApiError: `notFound`, `duplicate` without such a clause.
    """
    drops = kind.startswith(("DROP_", "ALTER_"))
    if exists == drops or (exists and tree.args.get("replace")):
        return False
    if tree.args.get("exists"):
        return True
    what = "Dataset" if isinstance(ref, DatasetRef) else "Table"
    raise not_found(what, str(ref), context.key.location) if drops else duplicate(what, str(ref))


def _change_dataset(context: Context, kind: str, tree: exp.Expression, ref: DatasetRef) -> str:
    """Create or drop a dataset; the operation that was performed."""
    exists = find_dataset(context.cursor, ref) is not None
    if _is_settled(context, kind, tree, ref, exists=exists):
        return "SKIP"
    if exists:
        drop_dataset(context.cursor, ref, contents=bool(tree.args.get("cascade")))
        return "DROP"
    create_dataset(
        context.cursor,
        ref,
        {"location": context.key.location, **options_of(tree, context.constant)},
    )
    return "CREATE"


def _change_table(context: Context, kind: str, tree: exp.Expression, ref: TableRef) -> str:
    """Create, replace or drop a table or view; the operation that was performed."""
    existing = find_table(context.cursor, ref)
    if _is_settled(context, kind, tree, ref, exists=existing is not None):
        return "SKIP"
    if existing is not None and kind.startswith(("DROP_", "ALTER_")):
        if kind.partition("_")[2].removesuffix("_TABLE") != existing["type"]:
            words = kind.replace("_", " ")
            raise invalid_query(f"Cannot {words} {ref}: it is a {existing['type']}")
        if isinstance(tree, exp.Alter):
            alter_table(context, tree, ref, existing)
            return "ALTER"
        delete_table(context.cursor, ref)
        return "DROP"
    if kind == "CREATE_VIEW":
        if existing is not None:
            if existing["type"] != "VIEW":
                raise invalid_query(f"{ref} is a table, not a view")
            delete_table(context.cursor, ref)  # now, so that the new query can't name it
        create_table(context.cursor, ref, _view(context, tree))
    else:
        resource, sql = _table(context, tree, ref)
        check_location(context, ref)
        if existing is not None and existing["type"] != "TABLE":
            raise invalid_query(f"{ref} is a {existing['type']}, not a table")
        if existing is not None and not is_same_partitioning(existing, resource):
            raise invalid_query(
                "Cannot replace a table with a different partitioning spec. Instead, DROP the "
                "table, and then recreate it. New partitioning spec is "
                f"{shown(resource)} and existing spec is {shown(existing)}"
            )
        replace_table(context, ref, resource, sql)
    return "CREATE" if existing is None else "REPLACE"


def _view(context: Context, tree: exp.Expression) -> Resource:
    """The resource of a view to be made."""
    context.defines_view = True
    query = tree.expression
    fields = plan_select(context, query.copy()).fields
    if isinstance(tree.this, exp.Schema):
        columns = view_columns(tree.this, context.constant)
        if len(columns) != len(fields):
            raise invalid_query(
                f"The view's list of columns has {len(columns)} names, but its query has "
                f"{len(fields)} columns"
            )
        query = _renamed(query, fields, columns)
        fields = check_schema(
            [{**field, **column} for field, column in zip(fields, columns, strict=True)]
        )
        plan_select(context, query.copy())
    return {
        "type": "VIEW",
        "view": {"query": query.sql(dialect="bigquery"), "useLegacySql": False},
        "schema": {"fields": fields},
        **options_of(tree, context.constant),
    }


def _renamed(query: exp.Expression, fields: list[Field], columns: list[Field]) -> exp.Expression:
    """A query whose columns have the names of `columns`."""
    named: list[exp.Expr] = [
        exp.alias_(exp.column(field["name"], quoted=True), column["name"], quoted=True)
        for field, column in zip(fields, columns, strict=True)
    ]
    return exp.Select(expressions=named, from_=exp.From(this=exp.Subquery(this=query)))


def _table(context: Context, tree: exp.Expression, ref: TableRef) -> tuple[Resource, str | None]:
    """The resource of a table to be made, and DuckDB SQL of its rows."""
    schema = tree.this
    is_declared = isinstance(schema, exp.Schema)
    keys = take_keys(schema) if is_declared else []
    fields = check_schema(fields_of(schema, context.constant) if is_declared else [])
    sql = None
    options = options_of(tree, context.constant)
    if (like := _like(tree)) is not None:
        return _like_another(context, tree, like, options)
    if tree.expression:
        fields, sql = _as_select(context, tree.expression, fields)
    elif not fields:
        raise invalid_query(f"No columns were given for table {ref.table}")
    layout = layout_of(tree, fields, context.constant)
    if sql is not None and is_by_ingestion(layout):
        raise invalid_query(
            "A table that is partitioned by ingestion time cannot be created AS SELECT"
        )
    resource = {"schema": {"fields": fields}, **layout, **options}
    return with_keys(context, ref, resource, keys), sql


def _like(tree: exp.Expression) -> exp.Table | None:
    """The table after CLONE, COPY or LIKE."""
    clone = tree.args.get("clone")
    like = clone or tree.find(exp.LikeProperty)
    table: exp.Table | None = None if like is None else like.this
    return table


def _like_another(
    context: Context, tree: exp.Expression, like: exp.Table, options: Resource
) -> tuple[Resource, str | None]:
    """A table like another one; with its rows after CLONE and COPY."""
    source = context.paths.table(like)
    existing = get_table(context.cursor, source, context.key.location)
    is_snapshot = tree.args["kind"] == "SNAPSHOT TABLE"
    if existing["type"] != "TABLE" and (is_snapshot or existing["type"] != "SNAPSHOT"):
        raise invalid_query(f"{source} is a {existing['type']}, not a table")
    context.tables.referenced[source] = existing
    columns = ", ".join(quote(field["name"]) for field in stored_columns(existing))
    sql = f"SELECT {columns} FROM {source.sql}" if tree.args.get("clone") else None
    given = {"schema": existing["schema"], **layout_in(existing), **options}
    if sql is not None:
        given |= keys_in(existing)
    if is_snapshot:
        taken = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        base = {"baseTableReference": source.api(), "snapshotTime": taken}
        given |= {"type": "SNAPSHOT", "snapshotDefinition": base}
    return given, sql


def _as_select(
    context: Context, query: exp.Expression, declared: list[Field]
) -> tuple[list[Field], str]:
    """The columns and rows of CREATE TABLE … AS SELECT; declared columns win by position."""
    unnamed = None if declared else unnamed_column(query)
    plan = plan_select(context, query)
    if not declared:
        if unnamed is not None:
            raise invalid_query(
                f"CREATE TABLE columns must be named, but column {unnamed} has no name"
            )
        return check_schema(plan.fields), plan.sql
    if len(declared) != len(plan.fields):
        raise invalid_query(
            f"The number of columns in the column definition list ({len(declared)}) does not "
            f"match the number of columns produced by the query ({len(plan.fields)})"
        )
    return declared, stored(plan.sql, declared, plan.fields)
