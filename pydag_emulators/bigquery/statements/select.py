"""SELECT: its rows go to the destination, or to an anonymous table that is kept for a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import JobKey, Outcome
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.schema import Field, check_prefix, field_of
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.statements.coercion import stored
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.statements.target import Target
from pydag_emulators.bigquery.statements.write import write_rows
from pydag_emulators.bigquery.storage.catalog import create_table, get_dataset, now_ms
from pydag_emulators.bigquery.storage.contents import Sizes
from pydag_emulators.bigquery.storage.layout import layout_in
from pydag_emulators.bigquery.storage.pages import rows_of_table
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_RESULTS_LIVE_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Select:
    """A query that is ready to run: DuckDB SQL whose columns have the stored types of `fields`."""

    sql: str
    fields: list[Field]


def plan_select(context: Context, tree: exp.Expression) -> Select:
    """Translate the query and find the columns of its result.

    Raises:
        ApiError: `invalidQuery` as a rule.
    """
    query = context.translate(tree)
    relation = context.cursor.sql(query)
    columns = list(zip(relation.columns, relation.types, strict=True))
    fields = [field_of(name, type_) for name, type_ in columns]
    _check_names(fields)
    return Select(stored(query, fields), fields)


def view_fields(sizes: Sizes, cursor: Cursor, ref: TableRef, view: dict[str, Any]) -> list[Field]:
    """The fields of the result of the view's query.

    Raises:
        ApiError: for a query that is no valid SELECT.
    """
    if view.get("useLegacySql"):
        raise unimplemented("views in legacy SQL")
    statements = parse_steps(str(view.get("query") or ""))
    statement = statements[0]
    if len(statements) != 1 or not isinstance(statement, Statement) or statement.kind != "SELECT":
        raise invalid_query("A view must be one SELECT")
    location = get_dataset(cursor, ref.in_dataset)["location"]
    key = JobKey(ref.project, location, "")
    context = Context(cursor, sizes, key, {}, Paths(ref.project), lambda: None, defines_view=True)
    return plan_select(context, statement.tree.copy()).fields


def _check_names(fields: list[Field]) -> None:
    seen: set[str] = set()
    for field in fields:
        name = field["name"].lower()
        check_prefix(field["name"])
        if name in seen:
            raise invalid_query(
                "Duplicate column names in the result are not supported. "
                f"Found duplicate(s): {field['name']}"
            )
        seen.add(name)


def run_select(context: Context, plan: Select, target: Target) -> Outcome:
    """Run the query; its rows are in the outcome's `result`, which is the target."""
    ref = target.table
    if target.hidden:
        _create_hidden(context, ref, plan)
    else:
        _write(context, ref, plan, target.partition)
    result = ref
    if target.partition is not None:
        result = ref._replace(table=f"{ref.table}${target.partition}")
    source = rows_of_table(context.cursor, result)
    row = fetch_one(context.cursor, f"SELECT count(*) FROM {source}", [])
    return Outcome(
        wrote=None if target.hidden else ref,
        result=result,
        schema=plan.fields,
        rows=None if row is None else int(row[0]),
    )


def _create_hidden(context: Context, ref: TableRef, plan: Select) -> None:
    resource = {
        "schema": {"fields": plan.fields},
        "expirationTime": str(now_ms() + _RESULTS_LIVE_MS),
    }
    create_table(context.cursor, ref, resource, filled_by=plan.sql)


def _write(context: Context, ref: TableRef, plan: Select, partition: str | None) -> None:
    config = context.config
    write_rows(
        context,
        ref,
        plan.sql,
        plan.fields,
        layout=layout_in(config),
        create=config.get("createDisposition") or "CREATE_IF_NEEDED",
        write=config.get("writeDisposition") or "WRITE_EMPTY",
        partition=partition,
    )
