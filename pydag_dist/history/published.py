"""What the history knows of published DAGs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine.published import Version, from_micro
from pydag_dist.history.tables import dag_events, dags, runs


@dataclass(frozen=True)
class PastVersion:
    """A version of a DAG; `text` is its JSON, `at` in epoch seconds."""

    number: int
    at: float
    by: str
    hash: str
    text: str


@dataclass(frozen=True)
class PastDag:
    """A DAG that was published, and as what, by the newest events of the history.

    `due` is when it was to run after it was published or unpaused last, `settled` the newest due
    time of which it is known that it has its run, or was missed. `head` has the fields of a run's
    hash with which its runs begin.
    """

    dag_id: str
    is_published: bool
    versions: Sequence[PastVersion]  # the newest first
    schedule: str
    max_active: str
    source: str
    head: Mapping[str, str]
    due: datetime | None
    settled: datetime | None
    paused_at: float | None
    paused_by: str
    missed: int
    missed_last: datetime | None
    last_run: str | None


@dataclass(frozen=True)
class DagChange:
    """What somebody did to a published DAG, or which of its due times were missed.

    `kind` is published, moved, paused, unpaused, unpublished or missed; `at` in epoch seconds.
    """

    at: float
    kind: str
    by: str
    version: int | None
    source: str
    missed: int


def dag_changes(connection: sa.Connection, dag_id: str, limit: int) -> list[DagChange]:
    """The newest changes of a DAG, the newest first."""
    mine = sa.select(dag_events).where(dag_events.c.dag_id == dag_id)
    rows = connection.execute(mine.order_by(dag_events.c.event.desc()).limit(limit))
    found = []
    for row in rows:
        detail = json.loads(row.detail)
        missed, source = int(detail.get("missed", 0)), detail.get("source", "")
        found.append(DagChange(row.at, row.kind, row.who or "", row.version, source, missed))
    return found


def past_dags(connection: sa.Connection, dag_id: str | None = None) -> list[PastDag]:
    """What is known of all DAGs that were ever published, or of one."""
    events = sa.select(dag_events, dags.c.dag).outerjoin(dags, dags.c.hash == dag_events.c.dag_hash)
    newest = sa.select(runs.c.dag_id, sa.func.max(runs.c.logical_date)).where(
        runs.c.run_type == "scheduled"
    )
    last = sa.select(runs.c.dag_id, runs.c.run_id).where(
        runs.c.version.is_not(None), runs.c.backfill.is_(None)
    )
    if dag_id is not None:
        events = events.where(dag_events.c.dag_id == dag_id)
        newest, last = newest.where(runs.c.dag_id == dag_id), last.where(runs.c.dag_id == dag_id)
    rows = connection.execute(events.order_by(dag_events.c.event)).mappings()
    dates = {row[0]: row[1] for row in connection.execute(newest.group_by(runs.c.dag_id))}
    last_runs = {row[0]: row[1] for row in connection.execute(last.order_by(runs.c.submitted_at))}
    return past_dags_of([{**row} for row in rows], dates, last_runs)


def all_versions(kept: Sequence[Version], past: Iterable[PastDag]) -> list[Version]:
    """The versions of a DAG, the newest first: those that Redis has, and older ones."""
    found = {version.number: version for version in kept}
    for old in (version for dag in past for version in dag.versions):
        at = datetime.fromtimestamp(old.at, UTC)
        found.setdefault(old.number, Version(old.number, at, old.by, old.hash, old.text))
    return [found[number] for number in sorted(found, reverse=True) if found[number].text]


def past_dags_of(
    rows: Iterable[Mapping[str, Any]], dates: Mapping[str, str], last_runs: Mapping[str, str]
) -> list[PastDag]:
    """What is known of DAGs by the rows of their events, in order, each with the `dag` published.

    `dates` are the newest logical dates of runs that schedules have started, ISO 8601.
    """
    by_dag = defaultdict(list)
    for row in rows:
        by_dag[row["dag_id"]].append({**row, **json.loads(row["detail"])})
    found = []
    for dag_id, mine in by_dag.items():
        date = dates.get(dag_id)
        settled = datetime.fromisoformat(date).astimezone(UTC) if date else None
        if past := _past_dag(dag_id, mine, settled, last_runs.get(dag_id)):
            found.append(past)
    return found


def _past_dag(
    dag_id: str, rows: Sequence[Mapping[str, Any]], settled: datetime | None, last_run: str | None
) -> PastDag | None:
    published = [row for row in rows if row["kind"] == "published"]
    if not published:
        return None
    newest = published[-1]
    missed = [row for row in rows if row["kind"] == "missed"]
    state = [row["kind"] for row in rows if row["kind"] in {"published", "unpublished"}]
    paused, due = None, newest["due"]
    for row in rows:
        if row["kind"] == "paused":
            paused = row
        elif row["kind"] in {"unpaused", "unpublished"}:
            paused = None
        if row["event"] > newest["event"] and row["kind"] == "unpaused":
            due = row["due"]
    ends = [from_micro(row["last"]) for row in missed]
    times = [settled, from_micro(newest["settled"]), *ends]
    flat = json.loads(newest["run_fields"])
    return PastDag(
        dag_id,
        state[-1] == "published",
        [
            PastVersion(row["version"], row["at"], row["who"] or "", row["dag_hash"], row["dag"])
            for row in reversed(published)
        ],
        schedule=newest["schedule"],
        max_active=newest["max_active"],
        source=[row for row in rows if row["kind"] in {"published", "moved"}][-1]["source"],
        head=dict(zip(flat[::2], flat[1::2], strict=True)),
        due=from_micro(due),
        settled=max(filter(None, times), default=None),
        paused_at=paused["at"] if paused else None,
        paused_by=(paused["who"] or "") if paused else "",
        missed=sum(int(row["missed"]) for row in missed),
        missed_last=max(filter(None, ends), default=None),
        last_run=last_run,
    )
