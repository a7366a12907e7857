"""The history's API: write batches, and read runs, with one database behind it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

import sqlalchemy as sa

from pydag_dist.engine import (
    ENDED_RUN_STATES,
    LOOK,
    Listing,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
    Wanted,
    task_ids,
    unplanned,
)
from pydag_dist.engine.protocol import ENQUEUED, SOURCES, unpack_numbers
from pydag_dist.engine.snapshot import children_of, work_of
from pydag_dist.history import database
from pydag_dist.history.batch import Batch
from pydag_dist.history.published import PastDag, past_dags
from pydag_dist.history.tables import dag_events, dags, meta, rounds, runs, tries

_PAGE = 500  # runs that are read at once


@dataclass(frozen=True)
class PastTry:
    """The newest event of a task that history knows of; times are epoch seconds."""

    task: str
    try_number: int
    state: str
    ready_at: float | None
    queued_at: float | None
    started_at: float | None
    ended_at: float | None
    worker: str | None
    pushes: int | None  # messages of the try; None if a version wrote it that did not count them
    reason: str | None  # why it was cancelled or failed: cancel, timeout or poison
    result: str | None  # JSON
    error: str | None
    skips: str | None  # separated by spaces
    expansions: str | None  # "task number task number ..."
    event: int


@dataclass(frozen=True)
class PastRun:
    """What history knows of a run: its DAG as JSON, its hash in Redis, its tasks' newest tries.

    `planned` is False while the run, which is new or was just resumed, waits for a planner.
    """

    run_id: str
    state: str
    reason: str | None
    dag: str
    head: Mapping[str, str]
    planned: bool
    tries: list[PastTry]


class History:
    """Runs and tries in a database, by its URL (`PYDAG_DATABASE_URL`).

    Nothing is opened before the first call. Methods raise `LOST` errors while the database can't
    do what they ask; calling again later is safe.
    """

    def __init__(self, url: str) -> None:
        self._db = database.connect(url)
        self._upserts = {
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
            dags: database.insert(self._db, dags).on_conflict_do_nothing(),
            rounds: database.insert(self._db, rounds).on_conflict_do_nothing(),
            dag_events: database.insert(self._db, dag_events).on_conflict_do_nothing(),
        }

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

    def open(self) -> str:
        """Create the tables, or bring those of an older version up to date.

        The database's own random id. `HistoryError` if that can't be done.
        """
        database.create(self._db)
        with self._db.connect() as connection:
            return str(connection.scalar(sa.select(meta.c.id)))

    def check(self) -> None:
        """`HistoryError` if this version can't read what is there."""
        database.check(self._db)

    # Writing

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction. Older events change nothing, nor do the same again."""
        with self._db.begin() as connection:
            for table in (dags, dag_events, runs, rounds, tries):
                if rows := getattr(batch, table.name.removeprefix("pydag_")):
                    connection.execute(self._upserts[table], rows)

    def epoch(self) -> str | None:
        """The marker of the Redis whose runs are here; None if there was none yet."""
        with self._db.connect() as connection:
            return connection.scalar(sa.select(meta.c.epoch))

    def set_epoch(self, epoch: str) -> None:
        """Make this the history of the Redis with that marker."""
        with self._db.begin() as connection:
            connection.execute(sa.update(meta).values(epoch=epoch, beat=meta.c.beat + 1))

    def beat(self, epoch: str) -> bool:
        """Show that this Redis's history is being written; False if it's another one's now."""
        with self._db.begin() as connection:
            mine = sa.update(meta).where(meta.c.epoch == epoch).values(beat=meta.c.beat + 1)
            return connection.execute(mine).rowcount > 0

    def beats(self) -> int:
        """A number that grows while any coordinator writes here."""
        with self._db.connect() as connection:
            return int(connection.scalar(sa.select(meta.c.beat)) or 0)

    # Reading

    def last_event(self) -> int:
        """The number of the newest event that is written; 0 if there is none."""
        with self._db.connect() as connection:
            tables = (runs, tries, dag_events)
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
            found = self._run(connection, run_id)
            if found is None:
                return None
            text = connection.scalar(sa.select(dags.c.dag).where(dags.c.hash == found.dag_hash))
            return PastRun(
                run_id=run_id,
                state=found.state,
                reason=found.reason,
                dag=str(text),
                head=json.loads(found.head),
                planned=bool(found.planned),
                tries=self._newest_tries(connection, run_id),
            )

    def snapshot(self, run_id: str) -> RunSnapshot | None:
        """The run as the engine would show it if it still had it; None if it isn't here.

        What has not ended, as far as the history knows, is as it was before the run was planned.
        """
        with self._db.connect() as connection:
            found = self._run(connection, run_id)
            if found is None:
                return None
            newest = {t.task: t for t in self._newest_tries(connection, run_id)}
            if gone := self._gone(connection, found, newest):
                newest = {name: t for name, t in newest.items() if name not in gone}
            text = connection.scalar(sa.select(dags.c.dag).where(dags.c.hash == found.dag_hash))
        children: dict[str, int] = {}
        for each in newest.values():
            children.update(unpack_numbers(each.expansions))
        head = json.loads(found.head)
        return RunSnapshot(
            **_times(found),
            error=found.error,
            enqueued={source: int(head.get(f"{ENQUEUED}{source}", 0)) for source in SOURCES},
            tasks=dict.fromkeys(task_ids(text or '{"tasks": []}'), unplanned(found.state))
            | {name: _task(t, newest, children) for name, t in newest.items()},
            reason=found.reason,
        )

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs, newest first."""
        return self.listing(limit, Wanted()).runs

    def listing(
        self,
        limit: int,
        wanted: Wanted,
        but: Callable[[Sequence[str]], Collection[str]] | None = None,
    ) -> Listing:
        """The newest runs of those that are wanted, without those that `but` names of some.

        At most `LOOK`, or `limit`, are looked at, newest first.
        """
        look = max(LOOK, limit)
        newest = _submitted(wanted).order_by(runs.c.submitted_at.desc())
        some = newest.limit(look).subquery()
        query = sa.select(some).order_by(some.c.submitted_at.desc())
        if wanted.states:
            query = query.where(some.c.state.in_(wanted.states))
        found: list[RunSummary] = []
        with self._db.connect() as connection:
            streamed = connection.execution_options(yield_per=_PAGE)
            with streamed.execute(query) as rows:
                for page in rows.partitions():
                    fits = [row for row in page if wanted.has_details(json.loads(row.head))]
                    others = set(but([row.run_id for row in fits]) if but else ())
                    found += [_summary(row) for row in fits if row.run_id not in others]
                    if len(found) >= limit:
                        return Listing(found[:limit])
        last = newest.with_only_columns(runs.c.submitted_at).offset(look - 1).limit(1)
        with self._db.connect() as connection:
            return Listing(found, connection.scalar(last))

    def published(self, dag_id: str | None = None) -> list[PastDag]:
        """What is known of all DAGs that were ever published, or of one."""
        with self._db.connect() as connection:
            return past_dags(connection, dag_id)

    # As `naming.Runs` of the engine

    def has(self, run_id: str) -> bool:
        """Whether the run is here."""
        return self.beginning_with(run_id, 1) == [run_id]

    def beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most so many runs whose ids begin so, in lexical order."""
        begins = runs.c.run_id.startswith(prefix, autoescape=True)
        if self._db.dialect.name == "sqlite":  # whose LIKE takes capitals for small letters
            begins = runs.c.run_id.between(prefix, f"{prefix}~")
        query = sa.select(runs.c.run_id).where(begins).order_by(runs.c.run_id).limit(limit)
        with self._db.connect() as connection:
            return list(connection.scalars(query))

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time."""
        query = _submitted(Wanted(dag_id, since=since, until=until)).with_only_columns(
            runs.c.run_id
        )
        with self._db.connect() as connection:
            return connection.scalar(query.order_by(runs.c.submitted_at.desc()).limit(1))

    def _gone(self, connection: sa.Connection, run: Any, tasks: Collection[str]) -> set[str]:
        """The tasks of those that the run's DAG has no longer."""
        hashes = sa.select(rounds.c.dag_hash).where(rounds.c.run_id == run.run_id).distinct()
        if len(connection.scalars(hashes).all()) < 2:
            return set()
        text = connection.scalar(sa.select(dags.c.dag).where(dags.c.hash == run.dag_hash))
        known = {task["task_id"] for task in json.loads(str(text))["tasks"]}
        return {t for t in tasks if t not in known and t.rpartition(".")[0] not in known}

    def _run(self, connection: sa.Connection, run_id: str) -> Any:
        return connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).one_or_none()

    def _newest_tries(self, connection: sa.Connection, run_id: str) -> list[PastTry]:
        query = sa.select(tries).where(tries.c.run_id == run_id)
        newest = {
            row["task_id"]: row  # a newer one replaces an older one
            for row in connection.execute(query.order_by(tries.c.event)).mappings()
        }
        renamed = {"task_id", "run_id"}
        return [
            PastTry(task=task, **{name: row[name] for name in row if name not in renamed})
            for task, row in newest.items()
        ]


def _submitted(wanted: Wanted) -> sa.Select[Any]:
    """The runs of a DAG and of a time, which the indexes find."""
    query = sa.select(runs)
    if wanted.dag_id:
        query = query.where(runs.c.dag_id == wanted.dag_id)
    if wanted.since is not None:
        query = query.where(runs.c.submitted_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(runs.c.submitted_at < wanted.until)
    return query


def _times(row: Any) -> dict[str, Any]:
    names = ("run_id", "dag_id", "state", "submitted_at", "started_at", "ended_at")
    return {**{name: getattr(row, name) for name in names}, **work_of(json.loads(row.head))}


def _summary(row: Any) -> RunSummary:
    head = json.loads(row.head)
    total = int(head.get("total", 0))
    counts = {
        "total": total,
        "ended": total if row.state in ENDED_RUN_STATES else 0,
        "active": 0,
        "failed": int(head.get("failures", 0)),
    }
    return RunSummary(**_times(row), counts=counts)


def _result(task: str, newest: Mapping[str, PastTry], children: int | None = None) -> Any:
    """A task's result; an expanded task's is the list of its children's."""
    if children is not None:
        return [_result(f"{task}.{i}", newest) for i in range(children)]
    packed = newest[task].result if task in newest else None
    return None if packed is None else json.loads(packed)


def _task(
    found: PastTry, newest: Mapping[str, PastTry], expansions: Mapping[str, int]
) -> TaskSnapshot:
    children = children_of(found.ready_at, expansions.get(found.task))
    return TaskSnapshot(
        state=found.state,
        try_number=found.try_number,
        ready_at=found.ready_at,
        queued_at=found.queued_at,
        started_at=found.started_at,
        ended_at=found.ended_at,
        worker=found.worker,
        result=_result(found.task, newest, children),
        error=found.error,
        children=children,
    )
