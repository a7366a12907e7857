"""The history of one Redis, which a coordinator writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa

from pydag_dist.history import database
from pydag_dist.history.batch import Batch
from pydag_dist.history.copying import restore
from pydag_dist.history.pruning import Pruned, prune
from pydag_dist.history.reading import HistoryReader
from pydag_dist.history.tables import WRITTEN, meta, runs, tries


class History(HistoryReader):
    """The history for the one who writes it, and who reads what to go on from."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._file: tuple[int, int] | None = None  # that was opened
        self._upserts = {
            table: database.insert(self._db, table).on_conflict_do_nothing() for table in WRITTEN
        } | {
            tries: database.upsert(self._db, tries),
            # What is queued again after its end was resumed; else it is given back to planners.
            runs: database.upsert(
                self._db,
                runs,
                planned=lambda new: sa.case(
                    (runs.c.ended_at.is_not(None) | (new.planned == 1), new.planned),
                    else_=runs.c.planned,
                ),
            ),
        }

    def open(self) -> str:
        """Create the tables, or bring those of an older version up to date.

        The database's own random id. `HistoryError` if that can't be done.
        """
        self._db.dispose()  # those to a file that is gone have the same log beside it as a new one
        database.create(self._db)
        self._file = database.identity(self._db)
        with self._db.connect() as connection:
            return str(connection.scalar(sa.select(meta.c.id)))

    def is_gone(self) -> bool:
        """Whether the SQLite file that was opened has been deleted or replaced since.

        What is committed to it nobody finds: it must be opened again.
        """
        return database.identity(self._db) != self._file

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction. Older events change nothing, nor do the same again."""
        with self._db.begin() as connection:
            for table in WRITTEN:
                if rows := getattr(batch, table.name.removeprefix("pydag_")):
                    connection.execute(self._upserts[table], rows)

    def prune(self, before: float, also: Callable[[Sequence[str]], object]) -> Pruned:
        """Delete the runs that ended before then; `also` is called with each page of them first."""
        return prune(self._db, before, also)

    def restore(self, file: Path) -> int:
        """Fill this database, which must have no runs, from a backup; how many it has then."""
        return restore(file, self._db)

    def set_epoch(self, epoch: str) -> None:
        """Make this the history of the Redis with that marker."""
        with self._db.begin() as connection:
            connection.execute(sa.update(meta).values(epoch=epoch, beat=meta.c.beat + 1))

    def beat(self, epoch: str) -> bool:
        """Show that this Redis's history is being written; False if it's another one's now."""
        with self._db.begin() as connection:
            mine = sa.update(meta).where(meta.c.epoch == epoch).values(beat=meta.c.beat + 1)
            return connection.execute(mine).rowcount > 0
