"""What a query will read and what that costs, by a dry run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, NotFound

from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google.errors import explain
from workers.operators.bigquery.query import Query, will_bill

MOST: Final = 200  # tables and columns that are told


@dataclass(frozen=True)
class Estimate:
    """What is known of a task: `bytes` it reads, `billed` of them; None: not known before.

    `tables` are those that its query names, `columns` those of what it makes.
    """

    bytes: int | None
    billed: int | None
    note: str = ""
    wrong: bool = False
    """The task would fail now."""
    tables: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)


def estimate_query(query: Query, context: TaskContext, *, has_upstream: bool) -> Estimate:
    """What the dry run of a task's query says; an upstream task may make a table that lacks."""
    try:
        job = query.dry_run(context)
    except GoogleAPICallError as error:
        reason = explain(error)
        if isinstance(error, NotFound) and has_upstream:
            return Estimate(None, None, f"{reason}; perhaps an upstream task makes it")
        return Estimate(None, None, reason, wrong=True)
    except TaskFailed as error:
        return Estimate(None, None, str(error), wrong=True)
    note = "at least: a script" if job.statement_type == "SCRIPT" else ""
    tables = sorted({str(table) for table in job.referenced_tables or ()})[:MOST]
    columns = [column.name for column in job.schema or ()][:MOST]
    read = job.total_bytes_processed or 0
    return Estimate(read, will_bill(job), note, tables=tables, columns=columns)
