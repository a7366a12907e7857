"""A transaction of several statements of a script, from BEGIN to COMMIT or ROLLBACK.

It is one transaction of DuckDB on the script's cursor. The child jobs in it are recorded in it, so
after a crash all of them run again. Until its end it holds the locks of all tables that it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from pydag_emulators.bigquery.errors import ApiError, invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import Job, Outcome, insert_end, insert_job
from pydag_emulators.bigquery.names import TableRef, quote
from pydag_emulators.bigquery.schema import duck_type
from pydag_emulators.bigquery.storage.catalog import create_table, get_table
from pydag_emulators.bigquery.storage.store import Cursor, Store, is_conflict, roll_back


@dataclass(frozen=True)
class _Rows:
    """The rows of a query in the transaction, which outlive it."""

    job: Job
    rows: pa.Table
    expires: str


@dataclass
class OpenTransaction:
    """What has been done since BEGIN. `ended` is told of each child job, when its end is sure."""

    cursor: Cursor
    store: Store
    ended: Callable[[Job], None]
    failed: bool = False
    """Whether a failed statement has undone it already."""
    _held: ExitStack = field(default_factory=ExitStack)
    _jobs: list[Job] = field(default_factory=list)
    _results: list[_Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cursor.execute("BEGIN TRANSACTION")

    def do(self, job: Job, work: Callable[[Cursor], Outcome], lock: ExitStack) -> None:
        """Carry out one statement, which holds its lock until the end of the transaction."""
        self._held.push(lock.pop_all())
        try:
            outcome = work(self.cursor)
            if outcome.result is not None:
                self._results.append(self._rows_of(job, outcome.result))
        except BaseException as error:
            self._check_alive()
            if isinstance(error, duckdb.Error) and is_conflict(error):
                raise aborted() from error
            raise
        self._jobs.append(job)

    def _rows_of(self, job: Job, ref: TableRef) -> _Rows:
        expires = get_table(self.cursor, ref)["expirationTime"]
        return _Rows(job, self.cursor.sql(f"FROM {ref.sql}").to_arrow_table(), expires)

    def _check_alive(self) -> None:
        """DuckDB undoes a whole transaction after most errors."""
        try:
            self.cursor.execute("SELECT 1").fetchall()
        except duckdb.Error:
            self.failed = True
            roll_back(self.cursor)

    def commit(self, enter_commit: Callable[[], None]) -> None:
        """Make it all visible at once.

        Raises:
            ApiError: `invalidQuery` if another job has changed the same rows.
        """
        if self.failed:
            raise unimplemented("COMMIT of a transaction in which a statement has failed")
        enter_commit()
        try:
            self.cursor.execute("COMMIT")
        except duckdb.Error as error:
            self.failed = True
            if is_conflict(error):
                raise aborted() from error
            raise
        self._end()

    def roll_back(self) -> None:
        """Undo it, and record the child jobs, which have run nevertheless."""
        if not self.failed:
            roll_back(self.cursor)

        def record(cursor: Cursor) -> None:
            for result in self._results:
                self._keep(cursor, result)
            for job in self._jobs:
                job.outcome.wrote = None
                insert_job(cursor, job)
                insert_end(cursor, job)

        self.store.transact(record)
        self._end()

    def _keep(self, cursor: Cursor, result: _Rows) -> None:
        outcome = result.job.outcome
        if outcome.result is None or outcome.schema is None:
            return
        cursor.register(_KEPT, result.rows)
        columns = ", ".join(
            f"CAST({quote(f['name'])} AS {duck_type(f)}) AS {quote(f['name'])}"
            for f in outcome.schema
        )
        given = {"schema": {"fields": outcome.schema}, "expirationTime": result.expires}
        create_table(
            cursor, outcome.result, given, filled_by=f"SELECT {columns} FROM {quote(_KEPT)}"
        )
        cursor.unregister(_KEPT)

    def abandon(self) -> None:
        """Undo it without a trace, as the script will run again."""
        self._jobs.clear()
        roll_back(self.cursor)
        self._end()

    def _end(self) -> None:
        self._held.close()
        for job in self._jobs:
            self.ended(job)


_KEPT = "\N{MIDDLE DOT}kept"


def aborted(table: str | None = None) -> ApiError:
    """The error of a transaction that meets another one."""
    against = f" against table {table}" if table else ""
    return invalid_query(f"Transaction is aborted due to concurrent update{against}.")
