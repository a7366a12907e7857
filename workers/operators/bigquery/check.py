"""``bigquery.check``: a query whose only row says whether data are as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryCheck
from workers.contract.answer import Answer, Done, Handle
from workers.contract.context import TaskContext, parsed_params
from workers.errors import TaskFailed
from workers.google import answers, clients
from workers.operators.bigquery import check_sql
from workers.operators.bigquery.job import client_of
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
        return Statement(params.sql or self._sql(context, params), config)

    def _sql(self, context: TaskContext, params: BigQueryCheck) -> str:
        if params.metrics:
            return check_sql.of_days(params)
        table, _, partition = str(params.table).partition("$")
        if not partition:
            return check_sql.of_table(params, None)
        client = client_of(context, self.handle(context))
        found = clients.call(context.log, client.get_table, table, retry=None)
        return check_sql.of_table(params, check_sql.rows_of_partition(found, partition))

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """What the row is judged by."""
        return context.params | ({"sql": "-"} if "sql" in context.params else {})  # may be long

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
        wrong = _wrong(parsed_params(context, BigQueryCheck), row)
        if wrong:
            raise TaskFailed(f"check failed: {'; '.join(wrong)}")
        return {**facts, "row": as_json(row)}


def _rows(*, job: bigquery.QueryJob, timeout: float) -> list[bigquery.Row]:
    return list(job.result(max_results=2, timeout=timeout, retry=None, job_retry=None))


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


def _wrong(params: BigQueryCheck, row: dict[str, Any]) -> list[str]:
    """What of the row is not as it should be, in words."""
    if params.metrics:
        return list(_wrong_metrics(params, row))
    if params.table:
        return _wrong_of_table(params, row)
    if params.expected is not None:
        wrong = [name for name, value in row.items() if not _is_expected(params, value)]
        about = f" (within {params.tolerance:g} of it)" if params.tolerance else ""
        return [f"{name} is {_shown(row[name])}, not {params.expected!r}{about}" for name in wrong]
    return [f"{name} is {_shown(value)}" for name, value in row.items() if not value]


def _shown(value: Any) -> str:
    return "NULL" if value is None else repr(as_json(value))


def _is_expected(params: BigQueryCheck, value: Any) -> bool:
    expected = params.expected
    if isinstance(expected, str | bool) or isinstance(value, bool):
        return value is not None and str(as_json(value)) == str(expected)
    number, wanted = _number(value), Decimal(str(expected))
    return number is not None and abs(number - wanted) <= abs(wanted) * Decimal(
        str(params.tolerance)
    )


def _wrong_metrics(params: BigQueryCheck, row: dict[str, Any]) -> Iterator[str]:
    for number, (metric, most) in enumerate(params.metrics.items()):
        pair = row[f"now_{number}"], row[f"before_{number}"]
        now, before = map(_number, pair)
        then = f"{_shown(pair[1])} {params.days_back} days before"
        said = f"{metric} is {_shown(pair[0])}, and was {then}"
        if now is None or before is None:
            yield said
        elif now != before:
            small, large = sorted((abs(now), abs(before)))
            if now * before <= 0 or large > small * Decimal(str(most)):
                yield f"{said}: more than {most:g} times"


def _number(value: Any) -> Decimal | None:
    """A finite number, exactly as it is shown; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() else None
