"""Executes one SQL statement in its transaction, or dry-runs it, with its statistics."""

from __future__ import annotations

from typing import Any

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.ddl.create import run_ddl
from pydag_emulators.bigquery.statements.dml.plan import Dml, check_dml, plan_dml, run_dml
from pydag_emulators.bigquery.statements.select import Select, plan_select, run_select
from pydag_emulators.bigquery.statements.target import Target

_DML = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"})
_MEGABYTE = 1 << 20
_MINIMUM_BILLED = 10 * _MEGABYTE


def execute(context: Context, statement: Statement, target: Target) -> Outcome:
    """Execute the statement in the context's transaction.

    Raises:
        ApiError: `bytesBilledLimitExceeded` before anything is done.
    """
    plan = _plan(context, statement, target)
    if plan is None:
        outcome = _run_ddl(context, statement, target)
        read = context.bytes_of_tables()
    else:
        read = check_billed(context)
        if isinstance(plan, Select):
            outcome = run_select(context, plan, target)
        else:
            outcome = run_dml(context, plan)
    return with_statistics(context, statement, outcome, read)


def dry_run(context: Context, statement: Statement, target: Target) -> Outcome:
    """The statistics of the statement, without doing it."""
    plan, outcome = _plan(context, statement, target), Outcome()
    if plan is None and statement.kind != "LOAD_DATA":
        outcome = _run_ddl(context, statement, target)
    elif isinstance(plan, Select):
        outcome.schema = plan.fields
    elif plan is not None:
        check_dml(context, plan)
    outcome = with_statistics(context, statement, outcome, check_billed(context))
    if outcome.schema is not None:
        outcome.statistics["query"]["schema"] = {"fields": outcome.schema}
    return outcome


def _plan(context: Context, statement: Statement, target: Target) -> Select | Dml | None:
    """The statement as DuckDB SQL with checked types; None for DDL, which needs no plan."""
    tree = statement.tree.copy()
    if statement.kind == "SELECT":
        return plan_select(context, tree)
    if statement.kind == "EXPORT_DATA":
        return plan_select(context, tree.this)
    if statement.kind in _DML:
        return plan_dml(context, statement.kind, tree, target.table)
    return None


def _run_ddl(context: Context, statement: Statement, target: Target) -> Outcome:
    assert target.ref is not None  # noqa: S101  only EXPORT DATA writes to no table
    return run_ddl(context, statement.kind, statement.tree.copy(), target.ref)


def _billed(read: list[int]) -> int:
    """At least 10 MB for each table, rounded up to whole megabytes."""
    total = sum(max(size, _MINIMUM_BILLED) for size in read)
    return -(-total // _MEGABYTE) * _MEGABYTE


def check_billed(context: Context) -> list[int]:
    """The bytes of each table that the statement reads, before it changes one.

    Raises:
        ApiError: `bytesBilledLimitExceeded`.
    """
    read = context.bytes_of_tables()
    limit = context.config.get("maximumBytesBilled")
    billed = _billed(read)
    if limit is not None and int(limit) and billed > int(limit):
        raise ApiError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required.",
        )
    return read


def with_statistics(
    context: Context, statement: Statement, outcome: Outcome, read: list[int]
) -> Outcome:
    """The outcome, with statistics of what was read: the bytes of each table."""
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
