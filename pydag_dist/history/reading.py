"""Reading the history: runs that Redis has forgotten, and those that it has lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Self

import sqlalchemy as sa

from pydag_dist.engine import (
    Listing,
    RunFilter,
    RunSnapshot,
    RunSummary,
)
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.history import database
from pydag_dist.history.backfills import (
    PastBackfill,
    ended_backfills,
    open_backfills,
    states_at,
)
from pydag_dist.history.copying import back_up
from pydag_dist.history.pruning import old_runs
from pydag_dist.history.published import DagChange, PastDag, dag_changes, past_dags
from pydag_dist.history.queries.listing import PAGE, past_runs, submitted
from pydag_dist.history.queries.past_run import PastRun, Row, past_run, past_snapshot, run_row
from pydag_dist.history.queries.stats import By, RunStats, TaskStats, run_stats, task_stats
from pydag_dist.history.tables import (
    backfill_events,
    dag_events,
    dags,
    meta,
    run_acts,
    runs,
    tries,
)

_RECENT = 5  # runs whose tasks may have got slower
_ENDED = 100  # backfills that are listed


class HistoryReader:
    """Runs and tries in a database, by its URL (`PYDAG_DATABASE_URL`), for those who only read.

    Nothing is opened before the first call. Methods raise `LOST` errors while the database can't
    do what they ask; calling again later is safe.
    """

    def __init__(self, url: str) -> None:
        self._db = database.connect(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._db.dispose()

    @property
    def where(self) -> str:
        """Where the database is, without its password."""
        return database.where(self._db)

    def check(self) -> None:
        """`HistoryError` if this version can't read what is there."""
        database.check(self._db)

    def epoch(self) -> str | None:
        """The marker of the Redis whose runs are here; None if there was none yet."""
        with self._db.connect() as connection:
            return connection.scalar(sa.select(meta.c.epoch))

    def beats(self) -> int:
        """A number that grows while any coordinator writes here."""
        with self._db.connect() as connection:
            return int(connection.scalar(sa.select(meta.c.beat)) or 0)

    def last_event(self) -> int:
        """The number of the newest event that is written; 0 if there is none."""
        with self._db.connect() as connection:
            tables = (runs, tries, dag_events, backfill_events, run_acts)
            newest = [connection.scalar(sa.select(sa.func.max(t.c.event))) for t in tables]
        return max(int(number or 0) for number in newest)

    def unfinished(self) -> list[str]:
        """The runs that have not ended, oldest first."""
        query = sa.select(runs.c.run_id).where(runs.c.ended_at.is_(None))
        with self._db.connect() as connection:
            return list(connection.scalars(query.order_by(runs.c.submitted_at)))

    def durations(self, dag_id: str, newest: int = 3) -> dict[str, float]:
        """Task -> the median of the seconds that it took in the DAG's newest runs.

        Only successful tries count; of an expanded task the time until its last child had ended.
        """
        ended = sa.select(runs.c.run_id).where(
            runs.c.dag_id == dag_id, runs.c.ended_at.is_not(None)
        )
        latest = ended.order_by(runs.c.submitted_at.desc()).limit(newest).subquery()
        began = sa.func.coalesce(tries.c.started_at, tries.c.ready_at)
        query = sa.select(tries.c.task_id, tries.c.ended_at - began).where(
            tries.c.run_id.in_(sa.select(latest)),
            tries.c.state == "success",
            began.is_not(None),
            tries.c.ended_at.is_not(None),
        )
        found = defaultdict(list)
        with self._db.connect() as connection:
            for task, seconds in connection.execute(query):
                found[task].append(max(0.0, seconds))  # the server's clock may have gone back
        return {task: median(seconds) for task, seconds in found.items()}

    def knows(self, run_id: str) -> bool:
        """Whether more is known of a run than that it was submitted."""
        ended = sa.select(runs.c.run_id).where(
            runs.c.run_id == run_id, runs.c.ended_at.is_not(None)
        )
        tried = sa.select(tries.c.run_id).where(tries.c.run_id == run_id)
        with self._db.connect() as connection:
            return bool(connection.scalar(sa.select(ended.exists() | tried.exists())))

    def past(self, run_id: str) -> PastRun | None:
        """All that is known of a run; None if it isn't here."""
        with self._db.connect() as connection:
            return past_run(connection, run_id)

    def snapshot(self, run_id: str) -> RunSnapshot | None:
        """The run as the engine would show it if it still had it; None if it isn't here.

        What has not ended, as far as the history knows, is as it was before the run was planned.
        """
        with self._db.connect() as connection:
            return past_snapshot(connection, run_id)

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs, newest first."""
        return self.listing(limit, RunFilter()).runs

    def listing(
        self,
        limit: int,
        wanted: RunFilter,
        excluded: Callable[[Sequence[str]], Collection[str]] | None = None,
        known: Collection[str] = (),
    ) -> Listing:
        """The newest runs of those that are wanted, without those of a page that `excluded` names.

        Nor those that are `known`. At most `MAX_SCANNED`, or `limit`, are looked at, newest first.
        """
        with self._db.connect() as connection:
            return past_runs(connection, limit, wanted, excluded, known)

    def run_for(self, dag_id: str, logical_date: str) -> tuple[str, str] | None:
        """The run of a DAG for a logical date (ISO 8601, UTC), and its state.

        One that has succeeded, else the one that was submitted last.
        """
        mine = (runs.c.dag_id == dag_id) & (runs.c.logical_date == logical_date)
        order = ((runs.c.state == "success").desc(), runs.c.submitted_at.desc())
        query = sa.select(runs.c.run_id, runs.c.state).where(mine).order_by(*order).limit(1)
        with self._db.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (row[0], row[1]) if row else None

    def published_names(self) -> list[str]:
        """The DAGs that were ever published, in lexical order."""
        query = sa.select(dag_events.c.dag_id).distinct().order_by(dag_events.c.dag_id)
        with self._db.connect() as connection:
            return list(connection.scalars(query))

    def published(self, dag_id: str | None = None) -> list[PastDag]:
        """What is known of all DAGs that were ever published, or of one."""
        with self._db.connect() as connection:
            return past_dags(connection, dag_id)

    def dag_changes(self, dag_id: str, limit: int) -> list[DagChange]:
        """Who published, paused and unpublished a DAG, and what it missed, the newest first."""
        with self._db.connect() as connection:
            return dag_changes(connection, dag_id, limit)

    def open_backfills(self) -> list[PastBackfill]:
        """The backfills that have not ended."""
        with self._db.connect() as connection:
            return open_backfills(connection)

    def ended_backfills(self, dag_id: str = "", limit: int = _ENDED) -> list[Backfill]:
        """The backfills that ended last, as they ended, the newest first; of a DAG or of all."""
        with self._db.connect() as connection:
            return ended_backfills(connection, dag_id, limit)

    def states_at(self, dag_id: str, dates: Sequence[str]) -> dict[str, dict[str, str]]:
        """Logical date -> the states of the DAG's runs of that date, by run; ISO 8601 in UTC."""
        with self._db.connect() as connection:
            return states_at(connection, dag_id, dates)

    def run_stats(
        self, by: By, dag_id: str, since: float, until: float, *, limit: int = 1_000
    ) -> list[RunStats]:
        """Stats of the runs submitted then: those that cost most first. See `stats`."""
        with self._db.connect() as connection:
            return run_stats(connection, by, dag_id, (since, until), limit=limit)

    def task_stats(self, dag_id: str, since: float, until: float) -> list[TaskStats]:
        """Stats of the tasks of a DAG, in its runs submitted then."""
        recent = self.durations(dag_id, _RECENT)
        with self._db.connect() as connection:
            found = task_stats(connection, dag_id, since, until)
        for stats in found:
            stats.recent = recent.get(stats.name)
        return found

    def rows(self, table: str, since: float, until: float) -> Iterator[dict[str, Any]]:
        """The rows of `runs` or `tries` of the runs submitted then, the oldest runs first."""
        of = {"runs": runs, "tries": tries}[table]
        columns = [column for column in of.c if column.name not in {"event", "planned"}]
        query = sa.select(*columns).where(runs.c.submitted_at >= since, runs.c.submitted_at < until)
        if of is tries:
            query = query.join_from(tries, runs, tries.c.run_id == runs.c.run_id)
        query = query.order_by(runs.c.submitted_at, of.c.run_id)
        with self._db.connect().execution_options(yield_per=PAGE) as connection:
            for row in connection.execute(query).mappings():
                yield {**row}

    def old_runs(self, before: float) -> int:
        """How many runs ended before then, and would be pruned."""
        with self._db.connect() as connection:
            return old_runs(connection, before)

    def back_up(self, file: Path) -> int:
        """Write all that is here now into a new SQLite file; how many runs."""
        return back_up(self._db, file)

    def tries(self, run_id: str, task: str) -> list[Row]:
        """All tries of a task that are written, the first one first."""
        query = sa.select(tries).where(tries.c.run_id == run_id, tries.c.task_id == task)
        with self._db.connect() as connection:
            return list(connection.execute(query.order_by(tries.c.try_number)))

    def all_tries(self, run_id: str) -> list[Row]:
        """All tries of a run that are written, in the order of their events.

        Without results, and of each error the beginning: there may be very many.
        """
        left_out = {"result", "skips", "error"}
        told = (column for column in tries.c if column.name not in left_out)
        error = sa.func.substr(tries.c.error, 1, 1_000).label("error")
        query = sa.select(*told, error).where(tries.c.run_id == run_id).order_by(tries.c.event)
        with self._db.connect() as connection:
            return list(connection.execute(query))

    def submitted_dag(self, run_id: str) -> str | None:
        """The DAG of a run, as JSON; None if the run isn't here."""
        of_run = runs.c.dag_hash == dags.c.hash
        query = sa.select(dags.c.dag).join(runs, of_run).where(runs.c.run_id == run_id)
        with self._db.connect() as connection:
            return connection.scalar(query)

    def head(self, run_id: str) -> Row | None:
        """A run's row; None if it isn't here."""
        with self._db.connect() as connection:
            return run_row(connection, run_id)

    # What `find_run` asks of whatever knows runs

    def has(self, run_id: str) -> bool:
        """Whether the run is here."""
        return self.with_prefix(run_id, 1) == [run_id]

    def with_prefix(self, prefix: str, limit: int) -> list[str]:
        """At most so many runs whose ids begin so, in lexical order."""
        begins = runs.c.run_id.startswith(prefix, autoescape=True)
        if self._db.dialect.name == "sqlite":  # whose LIKE takes capitals for small letters
            begins = runs.c.run_id.between(prefix, f"{prefix}~")
        query = sa.select(runs.c.run_id).where(begins).order_by(runs.c.run_id).limit(limit)
        with self._db.connect() as connection:
            return list(connection.scalars(query))

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time."""
        query = submitted(RunFilter(dag_id, since=since, until=until)).with_only_columns(
            runs.c.run_id
        )
        with self._db.connect() as connection:
            return connection.scalar(query.order_by(runs.c.submitted_at.desc()).limit(1))
