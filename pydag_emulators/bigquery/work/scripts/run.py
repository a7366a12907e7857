"""Scripts of several statements, each of which is a child job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import error_of, invalid, invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import Job, JobKey, Outcome, Stopping, find_job
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.jobs.transactions import OpenTransaction
from pydag_emulators.bigquery.names import DatasetRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.steps import Body
from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.values import text_variable
from pydag_emulators.bigquery.statements.context import Context, Names
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.statements.target import create_hidden_dataset, hidden_dataset
from pydag_emulators.bigquery.storage.catalog import create_dataset, find_dataset
from pydag_emulators.bigquery.storage.duck_errors import api_error
from pydag_emulators.bigquery.storage.pages import read_page
from pydag_emulators.bigquery.storage.rows import rows_json
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.work.scripts.interpreter import Interpreter
from pydag_emulators.bigquery.work.statement import run_statement, system_variables

_FORBIDDEN = (
    "destinationTable", "writeDisposition", "createDisposition", "clustering",
    "schemaUpdateOptions",
)  # fmt: skip
_TEMPORARY_MS = str(24 * 3600 * 1000)  # how long temporary tables live


def run_script(service: Service, run: Run, body: Body) -> None:
    """Run one child job after the other, each with a transaction of its own.

    After a crash the script runs again, and takes the results of child jobs that have ended.
    """
    job = run.job
    for name in _FORBIDDEN:
        if job.configuration["query"].get(name):
            raise invalid(f"configuration.query.{name} cannot be set for scripts")
    children = _Children(service, run)
    dataset = DatasetRef(job.key.project, f"_script_{job.key.location.replace('-', '_')}")
    service.store.transact(partial(_create_dataset, ref=dataset, location=job.key.location))
    interpreter = Interpreter(children, dataset, f"s{_digest(job.key)}")
    try:
        last = interpreter.run(body)
    except Stopping:
        children.abandon()
        raise
    finally:
        children.roll_back()
    run.finish(lambda _cursor: _script_outcome(last, children.count), writes=None)


class _Children:
    """Carries out the statements of a script as child jobs, numbered as they come."""

    def __init__(self, service: Service, run: Run) -> None:
        self._service, self._run = service, run
        self.count = 0

    def check(self) -> None:
        """Raise when the script is to stop."""
        self._run.job.control.check()

    def system_variables(self) -> dict[str, Variable]:
        """What the script can ask of itself."""
        key = self._run.job.key
        last = f"script_job_{_digest(key)}_{self.count - 1}" if self.count else None
        return {
            **system_variables(key, self._run.job.configuration["query"]),
            "@@script.job_id": text_variable(key.job_id),
            "@@last_job_id": text_variable(last),
        }

    @property
    def _open(self) -> OpenTransaction | None:
        return self._run.transaction

    def transaction(self, kind: str) -> None:
        """BEGIN, COMMIT or ROLLBACK."""
        if kind == "BEGIN":
            if self._open is not None:
                raise invalid_query("Transactions cannot be nested")
            key = self._run.job.key
            # Now, as the transaction won't see what others make later.
            make = partial(create_hidden_dataset, ref=hidden_dataset(key), location=key.location)
            self._service.store.transact(make)
            self._run.begin()
        elif self._open is None:
            raise invalid_query(f"Cannot {kind} TRANSACTION: no transaction is in progress")
        elif kind == "COMMIT":
            self._open.commit(self._run.job.control.enter_commit)
            self._run.transaction = None
        else:
            self.roll_back()

    def roll_back(self) -> None:
        """Undo the transaction that is open, if one is."""
        if self._open is not None:
            self._open.roll_back()
            self._run.transaction = None

    def abandon(self) -> None:
        """Undo the open transaction without a trace: the script will run again."""
        if self._open is not None:
            self._open.abandon()
            self._run.transaction = None

    def execute(self, statement: Statement, names: Names) -> Outcome:
        """Run a statement as the next child job, unless it has ended before a crash."""
        job = self._run.job
        outer = self._outer(statement, names)
        key = job.key._replace(job_id=f"script_job_{_digest(job.key)}_{self.count}")
        self.count += 1
        child = self._service.store.transact(partial(find_job, key=key))
        if child is None:
            query = {**job.configuration["query"], "query": statement.text}
            child = Job(key, {**job.configuration, "query": query}, parent=job.key.job_id)
            child_run = self._run.child(child, outer)
            try:
                run_statement(self._service, child_run, statement, names)
            except Exception as error:
                failure = child_run.end_with(error)
                raise failure or error from error
        if child.error:
            raise error_of(child.error)
        return child.outcome

    def _outer(self, statement: Statement, names: Names) -> OpenTransaction | None:
        """The open transaction, if the statement is to be in it.

        Raises:
            ApiError: `invalidQuery`, `notImplemented` if it can't be.
        """
        kind, tree = statement.kind, statement.tree
        if self._open is None:
            return None
        if self._open.failed:
            if kind == "SELECT" and tree.find(exp.Table) is None:
                return None
            raise unimplemented(f"{kind} in a transaction in which a statement has failed")
        if kind in ("EXPORT_DATA", "LOAD_DATA"):
            raise unimplemented(f"{kind} in a transaction")
        if kind.startswith(("CREATE_", "DROP_", "ALTER_")):
            table = tree.find(exp.Table)
            if kind.endswith("_SCHEMA") or table is None or not names.is_temporary(table):
                raise invalid_query(
                    "DDL statements are not supported in a transaction, except for those creating "
                    "or droping temporary tables or temporary functions."
                )
        return self._open

    def value(self, statement: Statement, names: Names) -> tuple[Field, Any]:
        """The column and the cell of the only row of a query.

        What gives the same value each time needs no child job to be remembered after a crash.
        """
        if statement.tree.find(*_VOLATILE) is None:
            try:
                return self._service.store.transact(
                    partial(self._computed, statement=statement, names=names)
                )
            except Exception as error:
                raise api_error(error) from error
        outcome = self.execute(statement, names)
        rows = list(self.rows(outcome))
        if len(rows) > 1:
            raise invalid_query("Scalar subquery produced more than one element")
        (field,) = outcome.schema or []
        return field, rows[0][0] if rows else None

    def _computed(self, cursor: Cursor, *, statement: Statement, names: Names) -> tuple[Field, Any]:
        context = Context.of(cursor, self._service.sizes, self._run.job, names)
        plan = plan_select(context, statement.tree.copy())
        (row,) = rows_json(
            cursor.sql(plan.sql).to_arrow_table(), plan.fields, int64_timestamps=True
        )
        return plan.fields[0], row["f"][0]["v"]

    def rows(self, outcome: Outcome) -> Iterator[list[Any]]:
        """The cells of each row of a query."""
        ref, fields = outcome.result, outcome.schema
        start: int | None = 0
        while ref is not None and fields is not None and start is not None:
            read = partial(
                read_page, ref=ref, fields=fields, start=start, size=None, int64_timestamps=True
            )
            if self._open is None or self._open.failed:
                page = self._service.store.transact(read)
            else:
                page = read(self._open.cursor)
            yield from ([cell["v"] for cell in row["f"]] for row in page.rows)
            start = page.next_row


_VOLATILE = (
    exp.From, exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand,
    exp.Uuid,
)  # fmt: skip


def _create_dataset(cursor: Cursor, ref: DatasetRef, location: str) -> None:
    if find_dataset(cursor, ref) is None:
        create_dataset(
            cursor, ref, {"location": location, "defaultTableExpirationMs": _TEMPORARY_MS}
        )


def _script_outcome(last: Outcome, children: int) -> Outcome:
    query = {**last.statistics.get("query", {}), "statementType": "SCRIPT"}
    statistics = {**last.statistics, "query": query, "numChildJobs": str(children)}
    return Outcome(statistics=statistics, result=last.result, schema=last.schema, rows=last.rows)


def _digest(key: JobKey) -> str:
    return hashlib.md5(str(key).encode()).hexdigest()  # noqa: S324


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
