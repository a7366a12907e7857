"""The DuckDB file: the data of all datasets, and the service's own tables beside them.

```
pydag.datasets   one row per dataset: its REST resource
pydag.tables     one row per table or view: its REST resource
pydag.routines   one row per function or procedure of a dataset: its REST resource
pydag.jobs       one row per job, written before jobs.insert is answered; never changed
pydag.job_ends   one row per ended job, written in the transaction of the job's effect
pydag.macros     one row: the version of the macros that are in the file
```

So a job without a row in `job_ends` has had no effect, whatever killed the process. Rows of both
job tables are only inserted, never changed, so that transactions can't conflict on them.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from pydag_emulators.bigquery.sql.macros import MACROS

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection

_LOG = logging.getLogger(__name__)
_CONFLICT_TRIES = 50
_TABLES = """
CREATE SCHEMA IF NOT EXISTS pydag;
CREATE TABLE IF NOT EXISTS pydag.datasets(
    project VARCHAR, dataset VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS pydag.tables(
    project VARCHAR, dataset VARCHAR, table_id VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS pydag.routines(
    project VARCHAR, dataset VARCHAR, routine VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS pydag.jobs(
    project VARCHAR, location VARCHAR, job_id VARCHAR, created BIGINT, parent VARCHAR,
    configuration VARCHAR, upload VARCHAR, PRIMARY KEY (project, location, job_id));
CREATE TABLE IF NOT EXISTS pydag.job_ends(
    project VARCHAR, location VARCHAR, job_id VARCHAR, ended BIGINT, wrote VARCHAR,
    record VARCHAR, PRIMARY KEY (project, location, job_id));
CREATE TABLE IF NOT EXISTS pydag.macros(version VARCHAR);
"""
MACROS_VERSION = hashlib.sha256("\n".join([duckdb.__version__, *MACROS]).encode()).hexdigest()


class Store:
    """One open DuckDB file. `cursor()` gives each job or request a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = duckdb.connect(str(path))
        self._lock = threading.Lock()
        self._idle: deque[Cursor] = deque()
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # Of what this machine, or its container, has: Spark runs beside it. More goes to the disk.
        self._connection.execute("SET GLOBAL memory_limit = '50%'")
        self._connection.execute(_TABLES)
        if fetch_one(self._connection, "SELECT version FROM pydag.macros", []) != (MACROS_VERSION,):
            transaction(self._connection, _define_macros)

    def cursor(self) -> Cursor:
        """A new connection to the file; the caller closes it."""
        with self._lock:
            return self._connection.cursor()

    def transact(self, body: Callable[[Cursor], T], *, undo: bool = False) -> T:
        """Do `body` in one transaction on a cursor of its own; with `undo` it is rolled back."""
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self.cursor()
        try:
            result = transaction(cursor, body, undo=undo)
        except BaseException:
            cursor.close()
            raise
        self._idle.append(cursor)
        return result

    def close(self) -> None:
        """Write everything to the file and close it."""
        with self._lock:
            for cursor in self._idle:
                cursor.close()
            self._connection.execute("CHECKPOINT")
            self._connection.close()


def _define_macros(cursor: Cursor) -> None:
    """Half a second of CPU time, in which DuckDB reads them."""
    for macro in MACROS:
        cursor.execute(macro)
    cursor.execute("DELETE FROM pydag.macros")
    cursor.execute("INSERT INTO pydag.macros VALUES (?)", [MACROS_VERSION])


def transaction(
    cursor: Cursor,
    body: Callable[[Cursor], T],
    before_commit: Callable[[], None] | None = None,
    *,
    undo: bool = False,
) -> T:
    """`body` in one transaction, tried again when DuckDB finds a conflict with another one.

    If two transactions change the same thing, DuckDB lets the later one fail, at a statement or at
    its commit. Nothing of it remains then, so it is run again on a new snapshot, and the user never
    sees the conflict. `before_commit` may raise to give the transaction up.
    """
    for left in reversed(range(_CONFLICT_TRIES)):
        cursor.execute("BEGIN TRANSACTION")
        try:
            result = body(cursor)
            if before_commit is not None:
                before_commit()
            cursor.execute("ROLLBACK" if undo else "COMMIT")
        except duckdb.Error as error:
            roll_back(cursor)
            if not (left and is_conflict(error)):
                raise
            _LOG.debug("transaction conflict, tried again: %s", error)
            time.sleep(random.uniform(0.001, 0.03))  # noqa: S311
        except BaseException:
            roll_back(cursor)
            raise
        else:
            return result
    raise AssertionError("unreachable")


def roll_back(cursor: Cursor) -> None:
    """Undo the cursor's transaction, if it has one."""
    try:
        cursor.execute("ROLLBACK")
    except duckdb.Error as error:
        # A failed COMMIT has ended the transaction already.
        _LOG.debug("nothing to roll back: %s", error)


def is_conflict(error: duckdb.Error) -> bool:
    """Whether another transaction has changed the same thing."""
    return isinstance(error, duckdb.TransactionException) or "onflict" in str(error)


def fetch_one(cursor: Cursor, sql: str, parameters: list[Any]) -> tuple[Any, ...] | None:
    """The only row of a query, or None."""
    # fetchone() would leave the result open, and the cursor unusable until it is closed.
    rows: list[tuple[Any, ...]] = cursor.execute(sql, parameters).fetchall()
    return rows[0] if rows else None
