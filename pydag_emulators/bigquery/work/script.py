"""Scripts of several statements, each of which is a child job."""

from __future__ import annotations

import hashlib
from functools import partial

from pydag_emulators.bigquery.errors import error_of, invalid
from pydag_emulators.bigquery.jobs.job import Job, JobKey, Outcome, find_job
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.work.statement import run_statement

_FORBIDDEN = (
    "destinationTable", "writeDisposition", "createDisposition", "clustering",
    "schemaUpdateOptions",
)  # fmt: skip


def run_script(service: Service, run: Run, statements: list[Statement]) -> None:
    """Run one child job after the other, each with a transaction of its own.

    After a crash the script runs again, and leaves out the child jobs that have ended.
    """
    job = run.job
    config = job.configuration["query"]
    for name in _FORBIDDEN:
        if config.get(name):
            raise invalid(f"configuration.query.{name} cannot be set for scripts")
    last = Outcome()
    for index, statement in enumerate(statements):
        key = _child_key(job.key, index)
        child = service.store.transact(partial(find_job, key=key))
        if child is None:
            configuration = {**job.configuration, "query": {**config, "query": statement.text}}
            child = Job(key, configuration, parent=job.key.job_id)
            child_run = run.child(child)
            try:
                run_statement(service, child_run, statement)
            except Exception as error:
                failure = child_run.end_with(error)
                raise failure or error from error
        if child.error:
            raise error_of(child.error)
        last = child.outcome
    run.finish(lambda _cursor: _script_outcome(last, len(statements)), writes=None)


def _script_outcome(last: Outcome, children: int) -> Outcome:
    query = {**last.statistics.get("query", {}), "statementType": "SCRIPT"}
    statistics = {**last.statistics, "query": query, "numChildJobs": str(children)}
    return Outcome(statistics=statistics, result=last.result, schema=last.schema, rows=last.rows)


def _child_key(parent: JobKey, index: int) -> JobKey:
    digest = hashlib.md5(str(parent).encode()).hexdigest()  # noqa: S324
    return parent._replace(job_id=f"script_job_{digest}_{index}")


def planned_script(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a dry run: the sum of what the statements read."""
    told = [outcome.statistics["query"] for outcome in outcomes]
    tables = {str(ref): ref for query in told for ref in query["referencedTables"]}
    processed = str(sum(int(query["totalBytesProcessed"]) for query in told))
    query = {
        "statementType": "SCRIPT",
        "totalBytesProcessed": processed,
        "totalBytesProcessedAccuracy": "LOWER_BOUND",
        "totalBytesBilled": str(sum(int(query["totalBytesBilled"]) for query in told)),
        "referencedTables": list(tables.values()),
    }
    return Outcome(statistics={"totalBytesProcessed": processed, "query": query})
