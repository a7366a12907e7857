"""``bigquery.query``: GoogleSQL as a BigQuery job, under the id of the try."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from math import isfinite
from typing import Any, ClassVar

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from pydag_dist.dag.limits import RESULT_BYTES
from pydag_dist.dag.params.bigquery import BigQueryParams, BigQueryQuery
from pydag_dist.dag.params.bigquery_types import typed_value
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.errors import TaskFailed
from workers.google import answers, clients, errors
from workers.google.versions import read_tables, table_version, written_tables
from workers.operators.bigquery import budget
from workers.operators.bigquery.job import Job, client_of
from workers.operators.bigquery.job_config import configured, layout
from workers.result_cache.cached_operator import CachedOperator, Inputs, NotCached, Version
from workers.result_cache.sql_sources import check_sources

# BigQuery's type of a JSON value: https://cloud.google.com/bigquery/docs/parameterized-queries
_TYPES: Mapping[type, str] = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING"}

_MB = 1 << 20
_LEAST_A_TABLE = 10 * _MB

_CACHED = frozenset({"SELECT", "CREATE_TABLE_AS_SELECT"})

# More need not be listed: https://cloud.google.com/bigquery/docs/reference/rest/v2/Job
_MOST_TABLES = 50

_LONGEST_ROWS = RESULT_BYTES * 9 // 10  # the rest is for the other facts

_STATEMENTS = 100  # of a script, in its result: that is kept in Redis


@dataclass(frozen=True)
class TypedParameter:
    """A query parameter as BigQuery's REST API has it."""

    resource: dict[str, Any]

    def to_api_repr(self) -> dict[str, Any]:
        """What BigQuery's client asks its own parameters for."""
        return self.resource


Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter | TypedParameter


@dataclass(frozen=True)
class Statement:
    """What to run: the text and values of `bigquery.QueryJobConfig`."""

    sql: str
    config: dict[str, Any] = field(default_factory=dict)


class Query(Job, CachedOperator):
    """Runs `statement`; its result tells rows and bytes, too."""

    params_model: ClassVar[type[BigQueryParams]] = BigQueryQuery

    def statement(self, context: TaskContext) -> Statement:
        """A task's query."""
        params = parsed_params(context, BigQueryQuery)
        config = {
            "default_dataset": params.default_dataset,
            "destination": params.destination,
            **layout(params),
            "priority": params.job_priority,
            "maximum_bytes_billed": params.maximum_bytes_billed,
            "use_query_cache": params.use_query_cache,
            "query_parameters": query_parameters(params.parameters) or None,
            "labels": params.labels,
            "configuration": params.configuration,
        }
        return Statement(params.sql, config)

    def insert(
        self, context: TaskContext, client: bigquery.Client, options: Mapping[str, Any]
    ) -> Any:
        """Insert the query's job, if the run's budget has room for it."""
        budget.take(context, lambda: self._will_bill(context))
        statement = self.statement(context)
        return clients.call(
            context.log,
            client.query,
            statement.sql,
            job_config=configured(bigquery.QueryJobConfig(), statement.config, context),
            job_retry=None,
            **options,
        )

    def _will_bill(self, context: TaskContext) -> int:
        try:
            return will_bill(self.dry_run(context))
        except GoogleAPICallError as error:
            # Maybe it names a table that it makes itself; what it bills will count.
            context.log.warning("not known before what it bills: %s", errors.explain(error))
            return 0

    def dry_run(self, context: TaskContext) -> bigquery.QueryJob:
        """What BigQuery says of the query without running it; raises Google's own errors."""
        handle = self.handle(context)
        statement = self.statement(context)
        # A cached query reads nothing; one that would bill too much fails and says nothing.
        values = statement.config | {"use_query_cache": False, "maximum_bytes_billed": None}
        config = configured(bigquery.QueryJobConfig(dry_run=True), values, context)
        job: bigquery.QueryJob = clients.call(
            context.log,
            client_of(context, handle).query,
            statement.sql,
            job_config=config,
            project=handle["project"],
            location=handle["location"],
            retry=None,
            job_retry=None,
        )
        return job

    def inputs(self, context: TaskContext) -> Inputs:
        """The tables that the dry run lists, if the text names no other sources."""
        statement = self.statement(context)
        with answers.explained("what the query reads"):
            job = self.dry_run(context)
            if job.statement_type not in _CACHED:
                raise NotCached(f"it is a {job.statement_type}, not a SELECT or CREATE TABLE AS")
            made = str(job.ddl_target_table or statement.config.get("destination") or "")
            if not made:
                raise NotCached("its rows go to no table: give it a destination")
            tables = sorted({str(table) for table in job.referenced_tables})
            if made.partition("$")[0] in tables:
                raise NotCached("it reads the table that it writes")
            if len(tables) >= _MOST_TABLES:
                raise NotCached(f"it reads {len(tables)} tables or more")
            if job._properties["statistics"]["query"].get("referencedRoutines"):  # noqa: SLF001
                raise NotCached("it calls functions of a dataset")
            client = client_of(context, self.handle(context))
            for name in check_sources(statement.sql, tables):
                default = statement.config.get("default_dataset")
                if default and table_version(context, client, f"{default}.{name}"):
                    raise NotCached(f"{name} is a table, too, beside being a name of WITH")
            reads = read_tables(context, client, tables)
        return Inputs(self.about(context, sql=statement.sql), reads, [made])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """The destination."""
        with answers.explained("what the query wrote"):
            client = client_of(context, self.handle(context))
            return written_tables(context, client, names)

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """How many rows are wanted, too."""
        rows = self._wanted_rows(context)
        return super().params_of_polls(context) | ({"rows": rows} if rows else {})

    def _wanted_rows(self, context: TaskContext) -> int | None:
        # The params of scripts are the author's own, whatever they are called.
        rows: int | None = context.params.get("rows")
        return rows if self.params_model is BigQueryQuery else None

    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:
        """Statistics of the query; of a script, of its statements, too."""
        budget.settle(context, job.total_bytes_billed or 0)
        facts = {
            "statement_type": job.statement_type,
            "rows": _rows(context, job),
            "bytes_processed": job.total_bytes_processed,
            "bytes_billed": job.total_bytes_billed,
            "cache_hit": job.cache_hit,
            "slot_ms": job.slot_millis,
        }
        if counts := job.dml_stats:
            facts["inserted"] = counts.inserted_row_count
            facts["updated"] = counts.updated_row_count
            facts["deleted"] = counts.deleted_row_count
        jobs = [job]
        if job.num_child_jobs:
            jobs = _children(context, client, job)
            facts["statements"] = [_statement(child) for child in jobs]
        if wanted := self._wanted_rows(context):
            facts["first_rows"] = _first_rows(context, job, wanted)
        return facts | _tables(jobs)


def will_bill(job: bigquery.QueryJob) -> int:
    """The bytes that a dry-run query would be billed: https://cloud.google.com/bigquery/pricing."""
    tables = len(job.referenced_tables or ())
    whole = -(-(job.total_bytes_processed or 0) // _MB) * _MB
    return max(whole, _LEAST_A_TABLE * tables)


def query_parameters(values: Mapping[str, Any] | list[Any]) -> list[Parameter]:
    """Query parameters of JSON values: of @name by name, of ? by position.

    A value is a boolean, number, text, a list of these, or ``{"type", "value"}`` where JSON has
    no such type: ``{"type": "DATE", "value": "2026-01-31"}``; null, empty lists and objects need
    that.
    """
    named = values.items() if isinstance(values, Mapping) else ((None, value) for value in values)
    return [_parameter(name, value) for name, value in named]


def _parameter(name: str | None, value: Any) -> Parameter:
    if isinstance(value, dict) and set(value) == {"type", "value"}:
        return _typed_parameter(name, str(value["type"]), value["value"])
    sample = value[0] if isinstance(value, list) and value else value
    kind = _TYPES.get(type(sample))
    if kind is None:
        shown = f"@{name}" if name else "?"
        raise TaskFailed(
            f"query parameter {shown}: no type for {value!r}: write "
            '{"type": "STRING", "value": …} with the BigQuery type',
            final=True,
        )
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, kind, value)
    return bigquery.ScalarQueryParameter(name, kind, value)


def _typed_parameter(name: str | None, kind: str, value: Any) -> Parameter:
    try:
        of, given = typed_value(kind, value)
    except ValueError as error:
        shown = f"@{name}" if name else "?"
        raise TaskFailed(f"query parameter {shown}: {error}", final=True) from None
    return TypedParameter({"name": name, "parameterType": of, "parameterValue": given})


def _rows(context: TaskContext, job: bigquery.QueryJob) -> int | None:
    """Rows that a query returned or that a DML statement changed; None for anything else."""
    if job.statement_type != "SELECT":
        return job.num_dml_affected_rows
    options: dict[str, Any] = {"max_results": 0, "retry": None, "job_retry": None}
    rows = _if_allowed(context, job.result, **options)
    return None if rows is None else int(rows.total_rows)


def _first_rows(context: TaskContext, job: bigquery.QueryJob, wanted: int) -> list[Any]:
    """The first rows of a SELECT, or of the last one of a script, as objects by column."""
    if job.statement_type not in ("SELECT", "SCRIPT"):
        raise TaskFailed(f"a {job.statement_type} has no rows", final=True)

    def read(timeout: float) -> list[bigquery.Row]:
        options: dict[str, Any] = {"retry": None, "job_retry": None}
        return list(job.result(max_results=wanted, timeout=timeout, **options))

    with answers.asking("reading the rows of the query"):
        rows: list[bigquery.Row] = clients.call(context.log, read)
    found = [as_json(dict(row.items())) for row in rows]
    if (size := len(json.dumps(found))) > _LONGEST_ROWS:
        # Another try would bill the query again, for the same.
        raise TaskFailed(
            f"{len(found)} rows have {size:,} bytes, {_LONGEST_ROWS:,} at most can be in a result: "
            'ask for fewer "rows" or columns',
            final=True,
        )
    return found


def as_json(value: Any) -> Any:
    """A value of a row as JSON, as BigQuery's own JSON has it."""
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    is_plain = value is None or isinstance(value, str | int | float)
    return value if is_plain and not _is_infinite(value) else str(value)


def _is_infinite(value: Any) -> bool:
    """Whether JSON has no such number."""
    return isinstance(value, float) and not isfinite(value)


def _if_allowed(context: TaskContext, function: Callable[..., Any], **options: Any) -> Any:
    """What is good to know of a job that succeeded: nothing must fail for want of it."""
    try:
        return clients.call(context.log, function, **options)
    except GoogleAPICallError as error:
        context.log.warning("the result is not complete: %s", errors.explain(error))
        return None
    except GoogleAuthError as error:
        context.log.warning("the result is not complete: %s", errors.explain_credentials(error))
        return None


def _children(
    context: TaskContext, client: bigquery.Client, job: bigquery.QueryJob
) -> list[bigquery.QueryJob]:
    """The first statements of a script, in their order."""

    def listed(**options: Any) -> list[bigquery.QueryJob]:
        return list(client.list_jobs(job.project, parent_job=job.job_id, **options))

    oldest_first = reversed(_if_allowed(context, listed, retry=None) or [])
    return list(islice(oldest_first, _STATEMENTS))


def _statement(job: bigquery.QueryJob) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "statement_type": job.statement_type,
        "rows": job.num_dml_affected_rows,
        "bytes_processed": job.total_bytes_processed,
        "slot_ms": job.slot_millis,
    }


def _tables(jobs: Iterable[bigquery.QueryJob]) -> dict[str, list[str]]:
    """The tables that the jobs read and wrote."""
    reads: set[str] = set()
    writes: set[str] = set()
    for job in jobs:
        reads.update(map(str, job.referenced_tables or ()))
        made = job.ddl_target_table or job.destination
        # The rows of a SELECT without a destination go to a table that nobody names.
        if made is not None and not made.dataset_id.startswith("_"):
            writes.add(str(made))
    return lineage(sorted(reads), sorted(writes))
