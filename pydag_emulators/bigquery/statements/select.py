"""SELECT: its rows go to the destination table, or to an anonymous one that lives a day."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlglot import exp

from pydag_emulators.bigquery.errors import duplicate, invalid, invalid_query, not_found
from pydag_emulators.bigquery.jobs.job import JobKey, Outcome
from pydag_emulators.bigquery.names import TableRef, quote, table_ref
from pydag_emulators.bigquery.schema import Field, field_of, sql_type
from pydag_emulators.bigquery.statements.coercion import converted
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_dataset,
    create_table,
    delete_table,
    find_dataset,
    find_table,
    now_ms,
    table_fields,
)
from pydag_emulators.bigquery.storage.schema_changes import updated_schema
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_RESULTS_LIVE_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Select:
    """A query ready to run: DuckDB SQL whose columns have the types that `fields` are stored as."""

    sql: str
    fields: list[Field]


def anonymous_table(key: JobKey) -> TableRef:
    """Where a job's rows go that names no destination: a hidden dataset per location."""
    dataset = f"_results_{key.location.replace('-', '_')}"
    digest = hashlib.md5(str(key).encode()).hexdigest()  # noqa: S324
    return TableRef(key.project, dataset, f"anon{digest}")


def create_results_dataset(cursor: Cursor, key: JobKey) -> None:
    """Make the dataset of `anonymous_table` if it isn't there.

    In a transaction of its own: within a job's, which may be long, it would be in the way of all
    other jobs.
    """
    ref = anonymous_table(key).in_dataset
    if find_dataset(cursor, ref) is None:
        create_dataset(cursor, ref, {"location": key.location})


def plan_select(context: Context, tree: exp.Expression) -> Select:
    """Translate the query and find the columns of its result.

    Raises:
        ApiError: `invalidQuery` as a rule.
    """
    query = context.translate(tree)
    relation = context.cursor.sql(query)
    columns = list(zip(relation.columns, relation.types, strict=True))
    fields = [field_of(name, type_) for name, type_ in columns]
    _check_duplicates(fields)
    return Select(stored(query, fields), fields)


def stored(query: str, fields: list[Field], given: list[Field] | None = None) -> str:
    """A query with the columns of `query`, as `fields` are stored.

    `given` are the columns as `query` has them, where they are not `fields`.
    """
    names = [f"c{index}" for index in range(len(fields))]
    values = ", ".join(
        f"{converted(name, of, field)} AS {quote(field['name'])}"
        for name, of, field in zip(names, given or fields, fields, strict=True)
    )
    return f"SELECT {values} FROM ({query}) AS q({', '.join(names)})"


def _check_duplicates(fields: list[Field]) -> None:
    seen: set[str] = set()
    for field in fields:
        name = field["name"].lower()
        if name in seen:
            raise invalid_query(
                "Duplicate column names in the result are not supported. "
                f"Found duplicate(s): {field['name']}"
            )
        seen.add(name)


def run_select(context: Context, plan: Select) -> Outcome:
    """Run the query; its rows are in the outcome's `result`."""
    given = context.config.get("destinationTable")
    if given:
        ref = table_ref(given, context.key.project)
        _write(context, ref, plan)
        wrote: TableRef | None = ref
    else:
        ref = anonymous_table(context.key)
        _create_anonymous(context, ref, plan)
        wrote = None
    row = fetch_one(context.cursor, f"SELECT count(*) FROM {ref.sql}", [])
    return Outcome(
        wrote=wrote, result=ref, schema=plan.fields, rows=None if row is None else int(row[0])
    )


def _create_anonymous(context: Context, ref: TableRef, plan: Select) -> None:
    resource = {
        "schema": {"fields": plan.fields},
        "expirationTime": str(now_ms() + _RESULTS_LIVE_MS),
    }
    create_table(context.cursor, ref, resource, filled_by=plan.sql)


def _write(context: Context, ref: TableRef, plan: Select) -> None:
    config = context.config
    layout = {
        key: config[key]
        for key in ("timePartitioning", "rangePartitioning", "clustering")
        if config.get(key)
    }
    write_rows(
        context,
        ref,
        plan.sql,
        plan.fields,
        layout=layout,
        create=config.get("createDisposition") or "CREATE_IF_NEEDED",
        write=config.get("writeDisposition") or "WRITE_EMPTY",
    )


def write_rows(
    context: Context,
    ref: TableRef,
    sql: str,
    fields: list[Field],
    *,
    layout: Resource,
    create: str,
    write: str,
) -> None:
    """Put a query's rows into a table, as the create and write dispositions say.

    Raises:
        ApiError: `notFound` (CREATE_NEVER), `duplicate` (WRITE_EMPTY), `invalid` (columns).
    """
    cursor = context.cursor
    existing = find_table(cursor, ref)
    if existing is None:
        if create == "CREATE_NEVER":
            raise not_found("Table", str(ref), context.key.location)
        create_table(cursor, ref, {"schema": {"fields": fields}, **layout}, filled_by=sql)
        return
    if existing["type"] != "TABLE":
        raise invalid(f"{ref} is not allowed for this operation because it is a view.")
    row = fetch_one(cursor, f"SELECT 1 FROM {ref.sql} LIMIT 1", [])
    if write == "WRITE_EMPTY" and row is not None:
        raise duplicate("Table", str(ref))
    if write == "WRITE_TRUNCATE" or not table_fields(existing):
        kept = {key: existing[key] for key in _KEPT if key in existing}
        replace_table(context, ref, {**kept, **layout, "schema": {"fields": fields}}, sql)
        return
    if options := context.config.get("schemaUpdateOptions"):
        existing = updated_schema(cursor, ref, existing, fields, options)
    cursor.execute(f"INSERT INTO {ref.sql} BY NAME {matching(sql, fields, existing)}")


def replace_table(context: Context, ref: TableRef, given: Resource, sql: str | None) -> None:
    """Make a table anew, of a query's rows, which may be some of the table as it was."""
    cursor = context.cursor
    reads_itself = sql is not None and ref in context.tables.referenced
    if reads_itself:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_REPLACING} AS {sql}")
        sql = f"FROM {_REPLACING}"
    delete_table(cursor, ref)
    create_table(cursor, ref, given, filled_by=sql)
    if reads_itself:
        cursor.execute(f"DROP TABLE {_REPLACING}")


_REPLACING = "temp.pydag_replacing"  # of one connection, which does one thing at a time
_KEPT = (
    "description", "friendlyName", "labels", "expirationTime", "timePartitioning",
    "rangePartitioning", "clustering",
)  # fmt: skip


def matching(sql: str, fields: list[Field], existing: Resource) -> str:
    """`sql`, checked to fit the columns of the table by name and type.

    Raises:
        ApiError: `invalid`: "Provided Schema does not match Table …".
    """
    columns = {field["name"].lower(): field for field in table_fields(existing)}
    table = existing["id"]
    for field in fields:
        column = columns.get(field["name"].lower())
        if column is None:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Cannot add fields (field: {field['name']})"
            )
        if sql_type(column) != sql_type(field):
            raise invalid(
                f"Provided Schema does not match Table {table}. Field {field['name']} has "
                f"changed type from {sql_type(column)} to {sql_type(field)}"
            )
    given = {field["name"].lower() for field in fields}
    for column in columns.values():
        if column["mode"] == "REQUIRED" and column["name"].lower() not in given:
            raise invalid(
                f"Provided Schema does not match Table {table}. "
                f"Required field {column['name']} is missing"
            )
    return sql
