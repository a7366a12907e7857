"""One statement as a job of its own: a query job, or a child job of a script."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydag_emulators.bigquery.jobs.job import Job, JobKey, Outcome, Stopping
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.typing.types import INT64
from pydag_emulators.bigquery.sql.values import null_value, text_variable
from pydag_emulators.bigquery.statements.context import NO_NAMES, Context, Names
from pydag_emulators.bigquery.statements.execute import execute
from pydag_emulators.bigquery.statements.target import create_hidden_dataset, target_of
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.work.files import WITH_FILES, forget_export


def system_variables(key: JobKey, config: dict[str, Any]) -> dict[str, Variable]:
    """What a statement can ask of the system; outside of a script some are NULL."""
    no_script = dict.fromkeys(("@@script.job_id", "@@last_job_id"), text_variable(None))
    dataset = (config.get("defaultDataset") or {}).get("datasetId")
    return {
        **no_script,
        "@@row_count": Variable(INT64, null_value(INT64)),
        "@@project_id": text_variable(key.project),
        "@@dataset_id": text_variable(dataset),
        "@@time_zone": text_variable("UTC"),
    }


def with_system(names: Names, statement: Statement, job: Job) -> Names:
    """The names, with system variables if the statement of that job asks for one."""
    if names is not NO_NAMES or "@@" not in statement.text:
        return names
    return Names(system_variables(job.key, job.configuration["query"]))


def run_statement(
    service: Service, run: Run, statement: Statement, names: Names = NO_NAMES
) -> None:
    """Execute the statement and record the end of its job, in one transaction."""
    job = run.job
    names = with_system(names, statement, job)
    target = target_of(statement, job.key, job.configuration["query"], names)
    # A failed job has it, too.
    job.outcome.statistics = {"query": {"statementType": statement.kind}}
    if target.hidden:
        dataset = target.table.in_dataset
        service.store.transact(
            partial(create_hidden_dataset, ref=dataset, location=job.key.location)
        )

    with_files = WITH_FILES.get(statement.kind)

    def body(cursor: Cursor) -> Outcome:
        context = Context.of(cursor, service.sizes, job, names)
        if with_files is not None:
            return with_files(service, job, context, statement, target)
        return execute(context, statement, target)

    is_again = False
    try:
        run.finish(body, writes=target.ref, exclusive=target.exclusive)
    except Stopping:
        is_again = True
        raise
    finally:
        if statement.kind == "EXPORT_DATA" and not is_again:
            forget_export(service, job)
