"""The newest runs of the history, and those that fit a filter."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine import ENDED_RUN_STATES, MAX_SCANNED, Listing, RunFilter, RunSummary
from pydag_dist.history.queries.past_run import Row, times_of
from pydag_dist.history.tables import runs

PAGE = 500  # runs that are read at once


def past_runs(
    connection: sa.Connection,
    limit: int,
    wanted: RunFilter,
    excluded: Callable[[Sequence[str]], Collection[str]] | None = None,
    known: Collection[str] = (),
) -> Listing:
    """The newest runs of those that are wanted, without those of a page that `excluded` names.

    Nor those that are `known`. At most `MAX_SCANNED`, or `limit`, are looked at, newest first.
    """
    look = max(MAX_SCANNED, limit)
    newest = submitted(wanted).order_by(
        runs.c.submitted_at.desc(), _in_order(connection, runs.c.run_id).desc()
    )
    scanned = newest.limit(look).subquery()
    query = sa.select(scanned).order_by(
        scanned.c.submitted_at.desc(), _in_order(connection, scanned.c.run_id).desc()
    )
    if known:
        query = query.where(scanned.c.run_id.not_in(known))
    if wanted.states:
        query = query.where(scanned.c.state.in_(wanted.states))
    if wanted.text:
        query = query.where(scanned.c.run_id.icontains(wanted.text, autoescape=True))
    if wanted.before:
        query = query.where(
            (scanned.c.submitted_at < wanted.before[0] / 1e6)
            | (_in_order(connection, scanned.c.run_id) < wanted.before[1])
        )
    found: list[RunSummary] = []
    streamed = query.execution_options(yield_per=min(PAGE, limit))
    with connection.execute(streamed) as rows:
        for page in rows.partitions():
            fits = [row for row in page if wanted.matches_details(json.loads(row.head))]
            others = set(excluded([row.run_id for row in fits]) if excluded else ())
            found += [_summary(row) for row in fits if row.run_id not in others]
            if len(found) >= limit:
                return Listing(found[:limit])
    last = newest.with_only_columns(runs.c.submitted_at).offset(look - 1).limit(1)
    return Listing(found, connection.scalar(last))


def submitted(wanted: RunFilter) -> sa.Select[Any]:
    """The runs of a DAG, of a backfill and of a time, which the indexes find."""
    query = sa.select(runs)
    if wanted.dag_id:
        query = query.where(runs.c.dag_id == wanted.dag_id)
    if wanted.backfill:
        query = query.where(runs.c.backfill == wanted.backfill)
    if wanted.since is not None:
        query = query.where(runs.c.submitted_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(runs.c.submitted_at < wanted.until)
    if wanted.before is not None:
        query = query.where(runs.c.submitted_at <= wanted.before[0] / 1e6)
    return query


def _in_order(connection: sa.Connection, text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """By code points, as Python and Redis compare texts."""
    return text if connection.dialect.name == "sqlite" else text.collate("C")


def _summary(row: Row) -> RunSummary:
    head = json.loads(row.head)
    total = int(head.get("total", 0))
    counts = {
        "total": total,
        "ended": total if row.state in ENDED_RUN_STATES else 0,
        "active": 0,
        "failed": int(head.get("failures", 0)),
    }
    return RunSummary(**times_of(row), counts=counts)
