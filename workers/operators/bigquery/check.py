"""``bigquery.check``: a query whose only row says whether data are as they should be."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryCheck
from workers.contract.answer import Answer, Done, Handle
from workers.contract.context import TaskContext, parsed_params
from workers.errors import TaskFailed
from workers.google import answers, clients
from workers.operators.bigquery.query import Query, Statement, as_json, query_parameters
from workers.result_cache.cached_operator import Inputs, NotCached


class Check(Query):
    """Runs the query; its result is that of a query, and the row. Fails if the row isn't true."""

    params_model = BigQueryCheck

    def statement(self, context: TaskContext) -> Statement:
        """A task's query: its own, or the one that looks at its table."""
        params = parsed_params(context, BigQueryCheck)
        config = {
            "default_dataset": params.default_dataset,
            "maximum_bytes_billed": params.maximum_bytes_billed,
            "query_parameters": query_parameters(params.parameters) or None,
            "use_query_cache": False,  # what was true yesterday is no answer
            "labels": params.labels,
        }
        return Statement(params.sql or _of_table(params), config)

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """What the row is judged by."""
        return {name: value for name, value in context.params.items() if name != "sql"}

    def inputs(self, context: TaskContext) -> Inputs:  # noqa: ARG002
        """Never: a check is there to look again."""
        raise NotCached("checks look each time")

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:
        """As of any job, but what an earlier try found is no answer: it is looked at again."""
        found = super().look(context, handle)
        return TaskFailed("its check is no longer of now") if isinstance(found, Done) else found

    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:
        """Judge the row; the facts about the query, and the row."""
        facts = super().result(context, client, job)
        if job.statement_type != "SELECT":
            raise TaskFailed(f"the check is a {job.statement_type}, not a SELECT")
        with answers.asking("reading the row of the check"):
            rows: Any = clients.call(context.log, _rows, job=job)
        if len(rows) != 1:
            count = "no row" if not rows else f"{facts['rows']} rows"
            raise TaskFailed(f"the check must return one row, not {count}")
        row = dict(rows[0].items())
        if context.params.get("table"):
            wrong = _wrong_of_table(parsed_params(context, BigQueryCheck), row)
        else:
            wrong = _wrong(row)
        if wrong:
            raise TaskFailed(f"check failed: {'; '.join(wrong)}")
        return {**facts, "row": as_json(row)}


def _rows(*, job: bigquery.QueryJob, timeout: float) -> list[bigquery.Row]:
    return list(job.result(max_results=2, timeout=timeout, retry=None, job_retry=None))


def _of_table(params: BigQueryCheck) -> str:
    columns = ["COUNT(*) AS row_count"]
    if params.column:
        newest = f"CAST(MAX(`{params.column}`) AS TIMESTAMP)"
        columns.append(f"TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), {newest}, SECOND) AS age")
    where = f" WHERE {params.where}" if params.where else ""
    return f"SELECT {', '.join(columns)} FROM `{params.table}`{where}"  # noqa: S608  the DAG's own


def _wrong_of_table(params: BigQueryCheck, row: dict[str, Any]) -> list[str]:
    table = f"{params.table} where {params.where}" if params.where else params.table
    count, wrong = row["row_count"], []
    if params.min_rows is not None and count < params.min_rows:
        wrong.append(f"{table} has {count} rows, at least {params.min_rows} are wanted")
    if params.max_rows is not None and count > params.max_rows:
        wrong.append(f"{table} has {count} rows, at most {params.max_rows} are wanted")
    if params.max_age is not None:
        age = row["age"]
        if age is None:
            wrong.append(f"{table} has no row with {params.column}")
        elif age > params.max_age:
            wrong.append(
                f"the newest {params.column} of {table} is {age} s old, "
                f"at most {params.max_age:g} s are wanted"
            )
    return wrong


def _wrong(row: dict[str, Any]) -> list[str]:
    return [f"{name} is {'NULL' if v is None else repr(v)}" for name, v in row.items() if not v]
