"""Forgetting: runs that ended long ago, and what only they had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

PAGE: Final = 500  # runs of one transaction: the history's writer waits for it


@dataclass(frozen=True)
class Pruned:
    """What was deleted."""

    runs: int
    tries: int


def old_runs(connection: sa.Connection, before: float) -> int:
    """How many runs ended before then, and may be forgotten."""
    return int(connection.scalar(sa.select(sa.func.count()).where(*_old(before))) or 0)


def prune(db: sa.Engine, before: float, also: Callable[[Sequence[str]], object]) -> Pruned:
    """Delete the runs that ended before then, with their tries, a page at a time.

    `also` is called with the runs of a page before they are deleted. The newest scheduled run of
    each DAG stays: it says up to which due time all is settled.
    """
    deleted = deleted_tries = 0
    page = sa.select(runs.c.run_id).where(*_old(before)).order_by(runs.c.ended_at).limit(PAGE)
    while True:
        with db.connect() as connection:
            found = list(connection.scalars(page))
        if not found:
            break
        also(found)
        with db.begin() as connection:
            for table in (tries, rounds, run_acts, runs):
                gone = connection.execute(sa.delete(table).where(table.c.run_id.in_(found)))
                if table is tries:
                    deleted_tries += gone.rowcount
        deleted += len(found)
    with db.begin() as connection:
        _delete_backfills(connection, before)
        if deleted:
            _delete_texts(connection)
    return Pruned(deleted, deleted_tries)


def _old(before: float) -> list[sa.ColumnElement[bool]]:
    scheduled = runs.alias()
    newest = (
        sa.select(scheduled.c.dag_id, sa.func.max(scheduled.c.logical_date).label("logical_date"))
        .where(scheduled.c.run_type == "scheduled")
        .group_by(scheduled.c.dag_id)
        .subquery()
    )
    is_newest = (
        sa.select(newest.c.dag_id)
        .where(newest.c.dag_id == runs.c.dag_id, newest.c.logical_date == runs.c.logical_date)
        .exists()
    )
    is_kept = sa.and_(runs.c.run_type.is_not(None), runs.c.run_type == "scheduled", is_newest)
    return [runs.c.ended_at < before, ~is_kept]


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
