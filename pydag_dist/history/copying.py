"""A history as a whole: copied into a file, or from one into a database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from pydag_dist.errors import HistoryError
from pydag_dist.history import database
from pydag_dist.history.tables import WRITTEN, meta, runs

_PAGE: Final = 1_000  # rows


def back_up(db: sa.Engine, file: Path) -> int:
    """Write all that is in a history now into a new SQLite file; how many runs.

    `HistoryError` if the file is there.
    """
    if file.exists():
        raise HistoryError(f"{file} is there already: name a new file")
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    made = database.connect(f"sqlite:///{quote(str(part.absolute()))}")
    try:
        if db.dialect.name == "sqlite":
            part.touch(mode=0o600)
            with db.connect() as connection:  # of one moment, and it holds up no writer
                connection.exec_driver_sql("VACUUM INTO ?", (str(part.absolute()),))
        else:
            database.create(made)
            _copy(db, made)
        with made.connect() as connection:
            count = connection.scalar(sa.select(sa.func.count()).select_from(runs))
        made.dispose()
        part.replace(file)
    except BaseException:
        made.dispose()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{part}{suffix}").unlink()
        raise
    return int(count or 0)


def restore(file: Path, db: sa.Engine) -> int:
    """Copy a backup into a database that has no runs; how many it has then.

    `HistoryError` if it has, or if the backup is another version's.
    """
    if not file.is_file():
        raise HistoryError(f"{file} is no file")
    made = database.connect(f"sqlite:///{quote(str(file.absolute()))}")
    try:
        try:
            database.check(made)
        except sa.exc.DatabaseError as error:
            raise HistoryError(f"{file} is no backup of a history: {error.orig}") from None
        database.create(db)
        with db.connect() as connection:
            if connection.scalar(sa.select(runs.c.run_id).limit(1)) is not None:
                raise HistoryError(
                    f"{database.where(db)} has runs already: restore into an empty database"
                )
        _copy(made, db)
        with db.begin() as connection:
            if db.dialect.name == "postgresql":  # else it looks at each row for a while
                connection.exec_driver_sql("ANALYZE")
            return int(connection.scalar(sa.select(sa.func.count()).select_from(runs)) or 0)
    finally:
        made.dispose()


def _copy(source: sa.Engine, target: sa.Engine) -> None:
    """All rows, as they are at one moment, in one transaction."""
    reading = source.connect().execution_options(yield_per=_PAGE)
    with reading, target.begin() as writing:
        if source.dialect.name == "postgresql":
            reading = reading.execution_options(isolation_level="REPEATABLE READ")
        for table in WRITTEN:
            with reading.execute(sa.select(table)) as rows:
                _insert(writing, table, rows.partitions())
        found = reading.execute(sa.select(meta.c.epoch, meta.c.beat)).one()
        writing.execute(sa.update(meta).values(epoch=found.epoch, beat=found.beat))


def _insert(
    connection: sa.Connection, table: sa.Table, pages: Iterable[Sequence[sa.Row[Any]]]
) -> None:
    """By the driver alone: there are millions of rows."""
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(table.c))
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608  ours
        for page in pages:
            connection.exec_driver_sql(statement, [tuple(row) for row in page])
        return
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for page in pages:
            for row in page:
                copy.write_row(row)
