"""One SQL statement: what it writes to, what it would do (dry run), and doing it."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef, TableRef, table_ref
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.ddl import run_ddl
from pydag_emulators.bigquery.statements.dml import check_dml, plan_dml, run_dml
from pydag_emulators.bigquery.statements.select import anonymous_table, plan_select, run_select

_DML = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"})
_MEGABYTE = 1 << 20
_MINIMUM_BILLED = 10 * _MEGABYTE


def target_of(context: Context, statement: Statement) -> tuple[TableRef | DatasetRef, bool]:
    """The table or dataset that the statement changes, and whether it must be alone in it."""
    if statement.kind == "SELECT":
        given = context.config.get("destinationTable")
        if not given:
            return anonymous_table(context.key), True
        append = context.config.get("writeDisposition") == "WRITE_APPEND"
        return table_ref(given, context.key.project), not append
    tree = statement.tree
    if statement.kind.endswith("_SCHEMA"):
        return context.tables.dataset(_table(tree)), True
    if isinstance(tree, exp.TruncateTable):
        return context.tables.ref(tree.expressions[0]), True
    return context.tables.ref(_table(tree)), statement.kind != "INSERT"


def _table(tree: exp.Expression) -> exp.Table:
    table = tree.this or tree.args["tables"][0]
    named: exp.Table = table.this if isinstance(table, exp.Schema) else table
    return named


def execute(context: Context, statement: Statement) -> Outcome:
    """Do what the statement says, in the context's transaction.

    Raises:
        ApiError: `bytesBilledLimitExceeded` before anything is done.
    """
    tree = statement.tree.copy()
    if statement.kind == "SELECT":
        plan = plan_select(context, tree)
        read = _check_billed(context)
        outcome = run_select(context, plan)
    elif statement.kind in _DML:
        dml = plan_dml(context, statement.kind, tree)
        read = _check_billed(context)
        outcome = run_dml(context, dml)
    else:
        outcome = run_ddl(context, statement.kind, tree)
        read = context.bytes_of_tables()
    return _with_statistics(context, statement, outcome, read)


def dry_run(context: Context, statement: Statement) -> Outcome:
    """The statistics of the statement, without doing it."""
    tree = statement.tree.copy()
    outcome = Outcome()
    if statement.kind == "SELECT":
        outcome.schema = plan_select(context, tree).fields
    elif statement.kind in _DML:
        check_dml(context, plan_dml(context, statement.kind, tree))
    else:
        outcome = run_ddl(context, statement.kind, tree)
    read = _check_billed(context)
    outcome = _with_statistics(context, statement, outcome, read)
    if outcome.schema is not None:
        outcome.statistics["query"]["schema"] = {"fields": outcome.schema}
    return outcome


def _billed(read: list[int]) -> int:
    """At least 10 MB for each table, rounded up to whole megabytes."""
    total = sum(max(size, _MINIMUM_BILLED) for size in read)
    return -(-total // _MEGABYTE) * _MEGABYTE


def _check_billed(context: Context) -> list[int]:
    """The bytes of each table that the statement reads, before it changes one."""
    read = context.bytes_of_tables()
    limit = context.config.get("maximumBytesBilled")
    billed = _billed(read)
    if limit is not None and int(limit) and billed > int(limit):
        raise ApiError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required.",
        )
    return read


def _with_statistics(
    context: Context, statement: Statement, outcome: Outcome, read: list[int]
) -> Outcome:
    processed = str(sum(read))
    query: dict[str, Any] = {
        "statementType": statement.kind,
        "totalBytesProcessed": processed,
        "totalBytesBilled": str(_billed(read)),
        "billingTier": 1,
        "cacheHit": False,
        "referencedTables": [ref.api() for ref in context.tables.referenced],
        **outcome.statistics.get("query", {}),
    }
    outcome.statistics = {
        **outcome.statistics,
        "totalBytesProcessed": processed,
        "query": query,
    }
    return outcome
