"""Query jobs: a statement, or a script of statements with a child job each.

A statement goes through these stages. `parse` makes its text a `Statement`. `target_of` finds the
`Target` that it writes to, which is locked. `execute` plans and executes it in a transaction. The
`Outcome` is recorded with the job's end in the same transaction.
"""

from __future__ import annotations

from copy import deepcopy

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.jobs.job import Job, Outcome
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.params import Parameters
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.scripts.steps import Body, statements_in
from pydag_emulators.bigquery.statements.context import NO_NAMES, Context
from pydag_emulators.bigquery.statements.execute import dry_run
from pydag_emulators.bigquery.statements.target import target_of
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.work.scripts.run import planned_script, run_script
from pydag_emulators.bigquery.work.statement import run_statement, with_system

_SUPPORTED = frozenset(
    {
        "query", "useLegacySql", "defaultDataset", "destinationTable", "writeDisposition",
        "createDisposition", "queryParameters", "parameterMode", "maximumBytesBilled", "priority",
        "useQueryCache", "timePartitioning", "rangePartitioning", "clustering",
        "allowLargeResults", "flattenResults", "maximumBillingTier", "continuous",
        "schemaUpdateOptions",
    }
)  # fmt: skip


def run_query(service: Service, run: Run) -> None:
    """The work of a query job."""
    body = _parse(run.job)
    if len(body) == 1 and isinstance(body[0], Statement):
        run_statement(service, run, body[0])
    else:
        run_script(service, run, body)


def check_query(configuration: dict[str, object]) -> None:
    """Refuse a configuration that is wrong, or that can't be carried out here.

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
    body = _parse(job)
    statements = [step for step in body if isinstance(step, Statement)]
    if len(statements) != len(body):
        return planned_script([])  # what it reads depends on variables

    def plan(cursor: Cursor) -> Outcome:
        # Later statements of a script may need what earlier ones define: all in one transaction.
        outcomes = [_dry_run(service, cursor, job, statement) for statement in statements]
        return outcomes[0] if len(outcomes) == 1 else planned_script(outcomes)

    return service.store.transact(plan, undo=True)


def _dry_run(service: Service, cursor: Cursor, job: Job, statement: Statement) -> Outcome:
    context = Context.of(cursor, service.sizes, job, with_system(NO_NAMES, statement, job))
    return dry_run(context, statement, target_of(statement, job.key, context.config))


def _parse(job: Job) -> Body:
    """The job's steps, in which the values of parameters have been put in."""
    config = job.configuration["query"]
    parameters = Parameters.of(config.get("queryParameters") or [], config.get("parameterMode"))
    body = deepcopy(parse_steps(str(config["query"])))
    for statement in statements_in(body):
        parameters.bind(statement.tree)
    return body
