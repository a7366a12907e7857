"""What a query will read and what that costs, by a dry run."""

from __future__ import annotations

from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPICallError, NotFound

from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google.errors import explain
from workers.operators.bigquery.query import Query, will_bill


@dataclass(frozen=True)
class Estimate:
    """What is known of a task: `bytes` it reads, `billed` of them; None: not known before."""

    bytes: int | None
    billed: int | None
    note: str = ""
    wrong: bool = False
    """The task would fail now."""


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
    return Estimate(job.total_bytes_processed or 0, will_bill(job), note)
