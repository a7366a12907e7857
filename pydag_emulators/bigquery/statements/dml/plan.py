"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE TABLE.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.sql.lower import to_duckdb
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.dml.assign import assignment_sql
from pydag_emulators.bigquery.statements.dml.insert import (
    target_columns,
    values_or_query,
    with_defaults,
)
from pydag_emulators.bigquery.statements.dml.merge import merge_sql
from pydag_emulators.bigquery.statements.pruning import require_filter
from pydag_emulators.bigquery.storage.catalog import Resource
from pydag_emulators.bigquery.storage.store import fetch_one

_COUNTS = {
    "INSERT": "insertedRowCount",
    "UPDATE": "updatedRowCount",
    "DELETE": "deletedRowCount",
    "MERGE": "",
    "TRUNCATE_TABLE": "deletedRowCount",
}


@dataclass(frozen=True)
class Dml:
    """A DML statement ready to run; a row that `conflict` finds is an error."""

    kind: str
    target: TableRef
    sql: str
    conflict: str | None = None


def plan_dml(context: Context, kind: str, tree: exp.Expression, ref: TableRef) -> Dml:
    """Translate a DML statement that changes the table `ref`, and check its types.

    Raises:
        ApiError: `invalidQuery`, `notFound`, `notImplemented`.
    """
    plan: Dml = {
        "INSERT": _insert,
        "UPDATE": _update,
        "DELETE": _delete,
        "MERGE": _merge,
        "TRUNCATE_TABLE": _truncate,
    }[kind](context, tree, ref)
    return plan


def check_dml(context: Context, plan: Dml) -> None:
    """Find wrong names and types without running the statement."""
    context.cursor.execute(f"EXPLAIN {plan.sql}").fetchall()


def run_dml(context: Context, plan: Dml) -> Outcome:
    """Run the statement; the outcome has BigQuery's counts of rows."""
    cursor = context.cursor
    if plan.conflict and fetch_one(cursor, plan.conflict, []) is not None:
        raise invalid_query("UPDATE/MERGE must match at most one source row for each target row")
    if plan.kind == "MERGE":
        table = cursor.sql(f"{plan.sql} RETURNING merge_action").to_arrow_table()
        actions = {
            entry["values"]: entry["counts"] for entry in table.column(0).value_counts().to_pylist()
        }
        counts = {_COUNTS[action]: count for action, count in actions.items()}
    else:
        row = fetch_one(cursor, plan.sql, [])
        counts = {_COUNTS[plan.kind]: int(row[0]) if row else 0}
    total = sum(counts.values())
    stats = dict.fromkeys(("insertedRowCount", "updatedRowCount", "deletedRowCount"), 0) | counts
    query: Resource = {"numDmlAffectedRows": str(total)}
    if plan.kind != "TRUNCATE_TABLE":
        query["dmlStats"] = {name: str(count) for name, count in stats.items()}
    return Outcome(statistics={"query": query}, wrote=plan.target, rows=total)


def _insert(context: Context, tree: exp.Expression, ref: TableRef) -> Dml:
    schema = tree.this
    table = schema.this if isinstance(schema, exp.Schema) else schema
    resource = context.tables.bind_target(ref, table, reads=False)
    columns = target_columns(
        resource, schema.expressions if isinstance(schema, exp.Schema) else None
    )
    source = values_or_query(context, tree.expression, columns)
    defaults = with_defaults(context, resource, columns)
    if defaults:
        source = f"SELECT *, {', '.join(value for _, value in defaults)} FROM ({source})"
    names = [*(column["name"] for column in columns), *(name for name, _ in defaults)]
    listed = ", ".join(map(quote, names))
    return Dml("INSERT", ref, f"INSERT INTO {ref.sql} ({listed}) {source}")


def _update(context: Context, tree: exp.Expression, ref: TableRef) -> Dml:
    if tree.args.get("where") is None:
        raise invalid_query("UPDATE must have a WHERE clause")
    resource = context.tables.bind_target(ref, tree.this, reads=True)
    target = to_duckdb(tree.this)
    from_ = tree.args.get("from_")
    source = None
    context.know(tree.this)
    if from_ is not None:
        bound = context.tables.bind(from_.this)
        context.know(tree.this, bound)
        source = context.lowered(bound)
    tables = target if source is None else f"{target}, {source}"
    assignments = assignment_sql(context, resource, tree.this.alias, tree.expressions, tables)
    require_filter(tree.this, tree.args["where"].this, context.variables)
    if from_ is not None:
        require_filter(bound, tree.args["where"].this, context.variables)
    where = context.condition(tree.args["where"].this, "WHERE clause")
    sql = f"UPDATE {target} SET {assignments}"
    if source is None:
        return Dml("UPDATE", ref, f"{sql} WHERE {where}")
    alias = quote(tree.this.alias)
    conflict = (
        f"SELECT 1 FROM {tables} WHERE {where} GROUP BY {alias}.rowid HAVING count(*) > 1 LIMIT 1"
    )
    return Dml("UPDATE", ref, f"{sql} FROM {source} WHERE {where}", conflict)


def _delete(context: Context, tree: exp.Expression, ref: TableRef) -> Dml:
    if tree.args.get("where") is None:
        raise invalid_query("DELETE must have a WHERE clause")
    table = tree.this or tree.args["tables"][0]
    context.tables.bind_target(ref, table, reads=True)
    table = tree.this or tree.args["tables"][0]
    context.know(table)
    require_filter(table, tree.args["where"].this, context.variables)
    where = context.condition(tree.args["where"].this, "WHERE clause")
    return Dml("DELETE", ref, f"DELETE FROM {to_duckdb(table)} WHERE {where}")


def _truncate(context: Context, tree: exp.Expression, ref: TableRef) -> Dml:
    context.tables.bind_target(ref, tree.expressions[0], reads=False)
    return Dml("TRUNCATE_TABLE", ref, f"DELETE FROM {ref.sql}")


def _merge(context: Context, tree: exp.Expression, ref: TableRef) -> Dml:
    resource = context.tables.bind_target(ref, tree.this, reads=True)
    return Dml("MERGE", ref, merge_sql(context, tree, resource))
