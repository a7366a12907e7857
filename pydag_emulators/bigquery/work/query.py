"""Query jobs: a statement, or a script of them with a child job each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

from pydag_emulators.bigquery.errors import error_of, invalid, unimplemented
from pydag_emulators.bigquery.jobs.job import Job, JobKey, Outcome, find_job
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.names import dataset_ref
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.params import Parameters
from pydag_emulators.bigquery.sql.parse import Statement, parse_script
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.select import anonymous_table, create_results_dataset
from pydag_emulators.bigquery.statements.statement import dry_run, execute, target_of
from pydag_emulators.bigquery.storage.store import Cursor

_SUPPORTED = frozenset(
    {
        "query", "useLegacySql", "defaultDataset", "destinationTable", "writeDisposition",
        "createDisposition", "queryParameters", "parameterMode", "maximumBytesBilled", "priority",
        "useQueryCache", "timePartitioning", "rangePartitioning", "clustering",
        "allowLargeResults", "flattenResults", "maximumBillingTier", "continuous",
        "schemaUpdateOptions",
    }
)  # fmt: skip
_SCRIPT_FORBIDS = (
    "destinationTable", "writeDisposition", "createDisposition", "clustering",
    "schemaUpdateOptions",
)  # fmt: skip


def run_query(service: Service, run: Run) -> None:
    """The work of a query job."""
    job = run.job
    statements = _statements(job)
    if len(statements) == 1:
        _run_statement(service, run, statements[0], job)
    else:
        _run_script(service, run, statements)


def check_query(configuration: dict[str, object]) -> None:
    """Refuse a configuration that would not do what it says.

    Raises:
        ApiError: `invalid`, `notImplemented`.
    """
    config = configuration["query"]
    if not isinstance(config, dict) or not config.get("query"):
        raise invalid("Required parameter is missing: query")
    if config.get("useLegacySql", False):
        raise unimplemented("legacy SQL")
    for name, value in config.items():
        if name not in _SUPPORTED and value not in (None, [], {}, False):
            raise unimplemented(f"configuration.query.{name}")


def plan_query(service: Service, job: Job) -> Outcome:
    """The outcome of a dry run: statistics and schema, without any effect."""
    statements = _statements(job)

    def plan(cursor: Cursor) -> Outcome:
        # Later statements of a script may need what earlier ones define: all in one transaction.
        outcomes = [dry_run(_context(service, cursor, job), each) for each in statements]
        return outcomes[0] if len(outcomes) == 1 else _planned_script(outcomes)

    return service.store.transact(plan, undo=True)


def _planned_script(outcomes: list[Outcome]) -> Outcome:
    """The sum of what the statements read."""
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


def _run_statement(service: Service, run: Run, statement: Statement, job: Job) -> None:
    context = _context(service, run.cursor, job)
    target, exclusive = target_of(context, statement)
    # A failed job has it, too.
    job.outcome.statistics = {"query": {"statementType": statement.kind}}

    def body(cursor: Cursor) -> Outcome:
        return execute(_context(service, cursor, job), statement)

    if target == anonymous_table(job.key):
        service.store.transact(partial(create_results_dataset, key=job.key))
    run.finish(body, writes=target, exclusive=exclusive)


def _run_script(service: Service, run: Run, statements: list[Statement]) -> None:
    """One child job after the other, each with a transaction of its own.

    After a crash the script runs again and passes over the children that have ended.
    """
    job = run.job
    config = job.configuration["query"]
    for name in _SCRIPT_FORBIDS:
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
                _run_statement(service, child_run, statement, child)
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


def _statements(job: Job) -> list[Statement]:
    """The job's statements, with values in place of parameters."""
    config = job.configuration["query"]
    parameters = Parameters(config.get("queryParameters") or [], config.get("parameterMode"))
    return [
        replace(statement, tree=parameters.bind(statement.tree.copy()))
        for statement in parse_script(str(config["query"]))
    ]


def _context(service: Service, cursor: Cursor, job: Job) -> Context:
    config = job.configuration["query"]
    default = config.get("defaultDataset")
    return Context(
        cursor=cursor,
        sizes=service.sizes,
        key=job.key,
        config=config,
        default=dataset_ref(default, job.key.project) if default else None,
        check=job.control.check,
    )
