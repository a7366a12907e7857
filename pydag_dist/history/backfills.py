"""What the history knows of backfills, and of the runs of a logical date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine.backfills.backfill import Backfill, parse_backfill
from pydag_dist.engine.protocol import ENDED_BACKFILL_STATES
from pydag_dist.history.tables import backfill_events, runs


@dataclass(frozen=True)
class PastBackfill:
    """A backfill that has not ended: its hash in Redis at its newest event, and its runs."""

    backfill_id: str
    head: Mapping[str, str]
    runs: Sequence[Mapping[str, Any]]  # run_id, state, logical_date, and spent, its seconds


def open_backfills(connection: sa.Connection) -> list[PastBackfill]:
    """The backfills that have not ended, the oldest first."""
    newest = (
        sa.select(backfill_events.c.backfill, sa.func.max(backfill_events.c.event).label("event"))
        .group_by(backfill_events.c.backfill)
        .subquery()
    )
    is_newest = sa.and_(
        backfill_events.c.backfill == newest.c.backfill, backfill_events.c.event == newest.c.event
    )
    found = connection.execute(
        sa.select(backfill_events)
        .join(newest, is_newest)
        .where(backfill_events.c.kind.not_in(ENDED_BACKFILL_STATES))
        .order_by(backfill_events.c.event)
    )
    events = [{**row} for row in found.mappings()]
    names = (runs.c.run_id, runs.c.state, runs.c.logical_date, runs.c.backfill)
    spent = (runs.c.ended_at - runs.c.submitted_at).label("spent")
    mine = []
    for event in events:
        query = sa.select(*names, spent).where(runs.c.backfill == event["backfill"])
        mine += [{**row} for row in connection.execute(query).mappings()]
    return open_backfills_of(events, mine)


def ended_backfills(connection: sa.Connection, dag_id: str, limit: int) -> list[Backfill]:
    """The backfills that ended last, as they ended, the newest first; of a DAG, if one is given."""
    query = sa.select(backfill_events.c.backfill, backfill_events.c.detail).where(
        backfill_events.c.kind.in_(ENDED_BACKFILL_STATES)
    )
    if dag_id:
        query = query.where(backfill_events.c.dag_id == dag_id)
    newest = connection.execute(query.order_by(backfill_events.c.event.desc()).limit(limit))
    return [parse_backfill(name, json.loads(detail), 0) for name, detail in newest]


def open_backfills_of(
    events: Iterable[Mapping[str, Any]], mine: Iterable[Mapping[str, Any]]
) -> list[PastBackfill]:
    """The backfills that have not ended, by the rows of events in their order and of their runs."""
    newest = {event["backfill"]: event for event in events}
    by_backfill: dict[str, list[Mapping[str, Any]]] = {name: [] for name in newest}
    for run in mine:
        if run["backfill"] in by_backfill:
            by_backfill[run["backfill"]].append(run)
    return [
        PastBackfill(name, json.loads(event["detail"]), by_backfill[name])
        for name, event in newest.items()
        if event["kind"] not in ENDED_BACKFILL_STATES
    ]


def states_at(
    connection: sa.Connection, dag_id: str, dates: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Logical date -> the states of the DAG's runs of that date, by run."""
    query = sa.select(runs.c.logical_date, runs.c.run_id, runs.c.state).where(
        runs.c.dag_id == dag_id, runs.c.logical_date.in_(dates)
    )
    found: dict[str, dict[str, str]] = {date: {} for date in dates}
    for date, run_id, state in connection.execute(query):
        found[date][run_id] = state
    return found
