"""Forgetting: runs that ended long ago, and what only they had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from pydag_dist.engine.protocol import ENDED_BACKFILL_STATES
from pydag_dist.history.tables import (
    backfill_events,
    dag_events,
    dags,
    rounds,
    run_acts,
    runs,
    tries,
)

PAGE: Final = 500  # runs that are looked at together
TRIES: Final = 10_000  # of the runs of one transaction: the history's writer waits for it
PAUSE: Final = 0.02  # seconds between two of them, in which the writer may begin


@dataclass(frozen=True)
class Pruned:
    """What was deleted."""

    runs: int
    tries: int


def old_runs(connection: sa.Connection, before: float) -> int:
    """How many runs ended before then, and may be forgotten."""
    old = sa.select(sa.func.count()).where(runs.c.ended_at < before)
    return int(connection.scalar(old) or 0) - len(_kept(connection, before))


def prune(db: sa.Engine, before: float, also: Callable[[Sequence[str]], object]) -> Pruned:
    """Delete the runs that ended before then, with their tries, a page at a time.

    `also` is called with the runs of a page before they are deleted; what it raises ends it there.
    The newest scheduled run of each DAG stays: it says up to which due time all is settled.
    """
    deleted = deleted_tries = 0
    with db.connect() as connection:
        kept = _kept(connection, before)
    for page in _pages(db, before):
        if not (names := [name for name in page if name not in kept]):
            continue
        also(names)
        for some in _sliced(db, names):
            with db.begin() as connection:
                gone = _delete(connection, some, before)
            deleted, deleted_tries = deleted + gone.runs, deleted_tries + gone.tries
            time.sleep(PAUSE)
    with db.begin() as connection:
        _delete_backfills(connection, before)
        if deleted:
            _delete_texts(connection)
    return Pruned(deleted, deleted_tries)


def _kept(connection: sa.Connection, before: float) -> set[str]:
    """The runs that ended before then, and stay."""
    newest = (
        sa.select(runs.c.dag_id, sa.func.max(runs.c.logical_date).label("logical_date"))
        .where(runs.c.run_type == "scheduled")
        .group_by(runs.c.dag_id)
        .subquery()
    )
    is_newest = (runs.c.dag_id == newest.c.dag_id) & (runs.c.logical_date == newest.c.logical_date)
    found = sa.select(runs.c.run_id).join(newest, is_newest)
    return {
        *connection.scalars(found.where(runs.c.ended_at < before, runs.c.run_type == "scheduled"))
    }


def _pages(db: sa.Engine, before: float) -> Iterator[list[str]]:
    """The runs that ended before then, those that ended first come first."""
    place = sa.tuple_(runs.c.ended_at, runs.c.run_id)
    old = sa.select(runs.c.ended_at, runs.c.run_id).where(runs.c.ended_at < before)
    page = old.order_by(runs.c.ended_at, runs.c.run_id).limit(PAGE)
    rest = page
    while True:
        with db.connect() as connection:
            found = connection.execute(rest).all()
        if not found:
            return
        yield [row.run_id for row in found]
        last = found[-1]
        rest = page.where(runs.c.ended_at >= last.ended_at, place > tuple(last))


def _sliced(db: sa.Engine, names: Sequence[str]) -> Iterator[list[str]]:
    """The runs in lists of which each has few tries, or is one run."""
    counted = sa.select(tries.c.run_id, sa.func.count()).where(tries.c.run_id.in_(names))
    with db.connect() as connection:
        counts = dict(map(tuple, connection.execute(counted.group_by(tries.c.run_id))))
    some: list[str] = []
    total = 0
    for name in names:
        count = counts.get(name, 0)
        if some and total + count > TRIES:
            yield some
            some, total = [], 0
        some.append(name)
        total += count
    yield some


def _delete(connection: sa.Connection, names: Sequence[str], before: float) -> Pruned:
    """Delete these runs, but for such as were resumed meanwhile."""
    if connection.dialect.name == "sqlite":  # else it locks nothing before it writes
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    old = sa.select(runs.c.run_id).where(runs.c.run_id.in_(names), runs.c.ended_at < before)
    gone = connection.scalars(old.with_for_update()).all()
    counts = [
        connection.execute(sa.delete(table).where(table.c.run_id.in_(gone))).rowcount
        for table in (tries, rounds, run_acts, runs)
    ]
    return Pruned(len(gone), counts[0])


def _delete_backfills(connection: sa.Connection, before: float) -> None:
    ended = sa.select(backfill_events.c.backfill).where(
        backfill_events.c.kind.in_(ENDED_BACKFILL_STATES), backfill_events.c.at < before
    )
    connection.execute(sa.delete(backfill_events).where(backfill_events.c.backfill.in_(ended)))


def _delete_texts(connection: sa.Connection) -> None:
    """DAGs that no run and no version has."""
    used = [
        sa.select(column).where(column.is_not(None))
        for column in (runs.c.dag_hash, rounds.c.dag_hash, dag_events.c.dag_hash)
    ]
    connection.execute(sa.delete(dags).where(dags.c.hash.not_in(sa.union(*used))))
