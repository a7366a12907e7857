"""CREATE, DROP and their options; partitioning and clustering are kept as metadata.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language
"""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import (
    duplicate,
    invalid_query,
    not_found,
    unimplemented,
)
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.schema import Field, check_schema
from pydag_emulators.bigquery.sql.definitions import fields_of, layout_of, options_of
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.select import plan_select, replace_table, stored
from pydag_emulators.bigquery.storage.catalog import (
    create_dataset,
    create_table,
    delete_table,
    drop_dataset,
    find_dataset,
    find_table,
)


def run_ddl(context: Context, kind: str, tree: exp.Expression) -> Outcome:
    """Do a DDL statement; the outcome says what it did to what."""
    if kind == "CREATE_SCHEMA":
        return _create_schema(context, tree)
    if kind == "DROP_SCHEMA":
        return _drop_schema(context, tree)
    if kind.startswith("DROP_"):
        return _drop(context, kind, tree)
    if kind == "CREATE_VIEW":
        return _create_view(context, tree)
    return _create_table(context, tree)


def _outcome(operation: str, ref: TableRef) -> Outcome:
    query = {"ddlOperationPerformed": operation, "ddlTargetTable": ref.api()}
    return Outcome(statistics={"query": query})


def _of_dataset(operation: str, ref: DatasetRef) -> Outcome:
    query = {"ddlOperationPerformed": operation, "ddlTargetDataset": ref.api()}
    return Outcome(statistics={"query": query})


def _create_table(context: Context, tree: exp.Expression) -> Outcome:
    cursor = context.cursor
    schema = tree.this
    ref = context.tables.ref(schema.this if isinstance(schema, exp.Schema) else schema)
    refuse(tree, {"this", "kind", "replace", "exists", "expression", "properties"})
    replaces = bool(tree.args.get("replace"))
    existing = find_table(cursor, ref)
    if existing is not None and not replaces:
        if tree.args.get("exists"):
            return _outcome("SKIP", ref)
        raise duplicate("Table", str(ref))
    fields = check_schema(fields_of(schema) if isinstance(schema, exp.Schema) else [])
    sql = None
    if tree.expression:
        fields, sql = _as_select(context, tree.expression, fields)
    elif not fields:
        raise invalid_query(f"No columns were given for table {ref.table}")
    resource = {
        "schema": {"fields": fields},
        **layout_of(tree, fields),
        **options_of(tree),
    }
    if find_dataset(cursor, ref.in_dataset) is None:
        raise not_found("Dataset", str(ref.in_dataset), context.key.location)
    replace_table(context, ref, resource, sql)
    outcome = _outcome("REPLACE" if existing is not None else "CREATE", ref)
    outcome.wrote = ref
    return outcome


def _as_select(
    context: Context, query: exp.Expression, declared: list[Field]
) -> tuple[list[Field], str]:
    """The columns and rows of CREATE TABLE … AS SELECT; declared columns win by position."""
    plan = plan_select(context, query)
    if not declared:
        return plan.fields, plan.sql
    if len(declared) != len(plan.fields):
        raise invalid_query(
            f"The number of columns in the column definition list ({len(declared)}) does not "
            f"match the number of columns produced by the query ({len(plan.fields)})"
        )
    return declared, stored(plan.sql, declared, plan.fields)


def _create_view(context: Context, tree: exp.Expression) -> Outcome:
    cursor = context.cursor
    if isinstance(tree.this, exp.Schema):
        raise unimplemented("column lists of views")
    refuse(tree, {"this", "kind", "replace", "exists", "expression", "properties"})
    ref = context.tables.ref(tree.this)
    existing = find_table(cursor, ref)
    if existing is not None:
        if tree.args.get("exists"):
            return _outcome("SKIP", ref)
        if not tree.args.get("replace"):
            raise duplicate("Table", str(ref))
        if existing["type"] != "VIEW":
            raise invalid_query(f"{ref} is a table, not a view")
        delete_table(cursor, ref)
    query = tree.expression.sql(dialect="bigquery")
    fields = plan_select(context, tree.expression.copy()).fields
    resource = {
        "type": "VIEW",
        "view": {"query": query, "useLegacySql": False},
        "schema": {"fields": fields},
        **options_of(tree),
    }
    create_table(cursor, ref, resource)
    return _outcome("REPLACE" if existing is not None else "CREATE", ref)


def _drop(context: Context, kind: str, tree: exp.Expression) -> Outcome:
    ref = context.tables.ref(_dropped(tree))
    existing = find_table(context.cursor, ref)
    if existing is None:
        if tree.args.get("exists"):
            return _outcome("SKIP", ref)
        raise not_found("Table", str(ref), context.key.location)
    if kind != f"DROP_{existing['type']}":
        raise invalid_query(f"Cannot {kind.replace('_', ' ')} {ref}: it is a {existing['type']}")
    delete_table(context.cursor, ref)
    outcome = _outcome("DROP", ref)
    outcome.wrote = ref
    return outcome


def _dropped(tree: exp.Expression) -> exp.Table:
    tables = tree.args.get("tables") or [tree.this]
    if len(tables) != 1 or not isinstance(tables[0], exp.Table):
        raise invalid_query("Expected one name after DROP")
    return tables[0]


def _create_schema(context: Context, tree: exp.Expression) -> Outcome:
    ref = context.tables.dataset(tree.this)
    if find_dataset(context.cursor, ref) is not None:
        if tree.args.get("exists"):
            return _of_dataset("SKIP", ref)
        raise duplicate("Dataset", str(ref))
    options = options_of(tree)
    create_dataset(context.cursor, ref, {"location": context.key.location, **options})
    return _of_dataset("CREATE", ref)


def _drop_schema(context: Context, tree: exp.Expression) -> Outcome:
    ref = context.tables.dataset(_dropped(tree))
    if find_dataset(context.cursor, ref) is None:
        if tree.args.get("exists"):
            return _of_dataset("SKIP", ref)
        raise not_found("Dataset", str(ref), context.key.location)
    drop_dataset(context.cursor, ref, contents=bool(tree.args.get("cascade")))
    return _of_dataset("DROP", ref)


def refuse(tree: exp.Expression, known: set[str]) -> None:
    """Raise `notImplemented` for a clause that would be passed over."""
    for name, value in tree.args.items():
        if value and name not in known:
            raise unimplemented(f"{name.strip('_').upper()} in {type(tree).__name__.upper()}")
