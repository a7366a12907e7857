"""What the history says of many runs together: how they ended, what they took, what they cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa

from pydag_dist.history.tables import dags, runs, tries

By = Literal["dag", "owner", "label", "month", "run"]
MOST_TASKS: Final = 2_000  # of a DAG whose tasks are looked at one by one
NOBODY: Final = ""  # the owner, or the label, of what has none


@dataclass
class RunStats:
    """Runs that have something in common: a DAG, an owner, a label, a month, or a run by itself.

    Seconds are from a run's start to its end, of those that succeeded.
    """

    name: str
    runs: int = 0
    success: int = 0
    failed: int = 0
    cancelled: int = 0
    median: float | None = None
    most: float | None = None  # of 95 % of them
    bytes_billed: int = 0

    @property
    def success_rate(self) -> float | None:
        """The part of those that succeeded or failed that succeeded."""
        ended = self.success + self.failed
        return self.success / ended if ended else None


@dataclass
class TaskStats:
    """A task in all runs of its DAG: its tries, and the seconds of those that succeeded."""

    name: str
    tries: int = 0
    failed: int = 0
    median: float | None = None
    most: float | None = None  # of 95 % of them
    bytes_billed: int = 0
    recent: float | None = field(default=None)  # the median of its newest runs


def run_stats(
    connection: sa.Connection, by: By, dag_id: str, span: tuple[float, float], *, limit: int
) -> list[RunStats]:
    """Stats of the runs submitted in a span, of one DAG if it is named: those that cost most first.

    The newest months come first. Of runs by themselves these are the newest `limit`.
    """
    wanted = [runs.c.submitted_at >= span[0], runs.c.submitted_at < span[1]]
    wanted += [runs.c.dag_id == dag_id] if dag_id else []
    if by == "run":
        newest = sa.select(runs.c.run_id).where(*wanted).order_by(runs.c.submitted_at.desc())
        wanted = [runs.c.run_id.in_(newest.limit(limit))]
    key = {"dag": runs.c.dag_id, "run": runs.c.run_id, "month": _month(connection)}.get(
        by, runs.c.dag_hash
    )
    names = _names_of_hashes(connection, by)
    found: dict[str, RunStats] = {}

    def of(value: str) -> list[RunStats]:
        return [found.setdefault(name, RunStats(name)) for name in names.get(value, [value])]

    counted = sa.select(key, runs.c.state, sa.func.count()).where(*wanted)
    for value, state, count in connection.execute(counted.group_by(key, runs.c.state)):
        for stats in of(value):
            stats.runs += count
            if state in {"success", "failed", "cancelled"}:
                setattr(stats, state, getattr(stats, state) + count)
    billed = (
        sa.select(key, sa.func.sum(tries.c.bytes_billed))
        .select_from(runs.join(tries, tries.c.run_id == runs.c.run_id))
        .where(*wanted, tries.c.bytes_billed > 0)
        .group_by(key)
    )
    for value, total in connection.execute(billed):
        for stats in of(value):
            stats.bytes_billed += int(total)
    if by in {"dag", "month", "run"}:
        seconds = runs.c.ended_at - sa.func.coalesce(runs.c.started_at, runs.c.submitted_at)
        told = sa.select(key.label("name"), runs.c.state, seconds.label("seconds"))
        placed = _placed(told.where(*wanted, runs.c.state == "success"))
        for name, *spread in connection.execute(
            sa.select(placed.c.name, *_spread(placed)).group_by(placed.c.name)
        ):
            found[name].median, found[name].most = map(_forward, spread)
    return _in_order(found.values(), by)


def _in_order(found: Iterable[RunStats], by: By) -> list[RunStats]:
    if by == "month":
        return sorted(found, key=lambda stats: stats.name, reverse=True)
    return sorted(found, key=lambda stats: (-stats.bytes_billed, -stats.runs, stats.name))


def task_stats(
    connection: sa.Connection, dag_id: str, since: float, until: float
) -> list[TaskStats]:
    """Stats of the tasks of a DAG's newest run, in all its runs submitted then.

    Of an expanded task the seconds are those until its last child had ended, and the bytes those of
    all children.
    """
    newest = sa.select(dags.c.dag).join(runs, runs.c.dag_hash == dags.c.hash)
    text = connection.scalar(
        newest.where(runs.c.dag_id == dag_id).order_by(runs.c.submitted_at.desc()).limit(1)
    )
    names = [str(task["task_id"]) for task in json.loads(text or '{"tasks": []}')["tasks"]]
    found = {name: TaskStats(name) for name in names[:MOST_TASKS]}
    mine = (
        runs.c.dag_id == dag_id,
        runs.c.submitted_at >= since,
        runs.c.submitted_at < until,
    )
    of_runs = runs.join(tries, tries.c.run_id == runs.c.run_id)
    seconds = tries.c.ended_at - sa.func.coalesce(tries.c.started_at, tries.c.ready_at)
    told = sa.select(tries.c.task_id.label("name"), tries.c.state, seconds.label("seconds"))
    placed = _placed(told.select_from(of_runs).where(*mine, tries.c.task_id.in_(found)))
    failed = sa.func.sum(sa.case((placed.c.state.in_(("failed", "up_for_retry")), 1), else_=0))
    for name, count, bad, *spread in connection.execute(
        sa.select(placed.c.name, sa.func.count(), failed, *_spread(placed)).group_by(placed.c.name)
    ):
        found[name].tries, found[name].failed = count, bad
        found[name].median, found[name].most = map(_forward, spread)
    billed = (
        sa.select(tries.c.task_id, sa.func.sum(tries.c.bytes_billed))
        .select_from(of_runs)
        .where(*mine, tries.c.bytes_billed > 0)
        .group_by(tries.c.task_id)
    )
    for name, total in connection.execute(billed):
        stats = found.get(name) or found.get(name.rpartition(".")[0])
        if stats:
            stats.bytes_billed += int(total)
    return [stats for stats in found.values() if stats.tries]


def _placed(values: sa.Select[Any]) -> sa.Subquery:
    """The same rows of `name`, `state` and `seconds`, each with its `place`, from 0 to 1.

    That is the part of all rows of its name and state whose seconds are not greater than its own.
    So a percentile needs one window function; by ranks it would need two.
    """
    of = values.subquery()
    alike = (of.c.name, of.c.state, of.c.seconds.is_(None))
    place = sa.func.cume_dist().over(partition_by=alike, order_by=of.c.seconds)
    return sa.select(of.c.name, of.c.state, of.c.seconds, place.label("place")).subquery()


def _spread(placed: sa.Subquery) -> list[sa.ColumnElement[float | None]]:
    """The median and the 95th percentile of what succeeded: one of the values themselves."""
    success = placed.c.state == "success"
    return [
        sa.func.min(sa.case((sa.and_(success, placed.c.place >= share), placed.c.seconds)))
        for share in (0.5, 0.95)
    ]


def _forward(seconds: float | None) -> float | None:
    """The server's clock may have gone back meanwhile."""
    return None if seconds is None else max(0.0, seconds)


def _month(connection: sa.Connection) -> Any:
    """The month, in UTC, in which a run was submitted."""
    if connection.dialect.name == "sqlite":
        return sa.func.strftime("%Y-%m", runs.c.submitted_at, "unixepoch")
    at = sa.func.timezone("UTC", sa.func.to_timestamp(runs.c.submitted_at))
    return sa.func.to_char(at, "YYYY-MM")


def _names_of_hashes(connection: sa.Connection, by: By) -> dict[str, list[str]]:
    """Hash of a DAG's text -> its owner, or its tags."""
    if by not in {"owner", "label"}:
        return {}
    found = defaultdict(list)
    for hash_, text in connection.execute(sa.select(dags.c.hash, dags.c.dag)):
        dag = json.loads(text)
        owner, tags = dag.get("owner") or NOBODY, dag.get("tags") or [NOBODY]
        found[hash_] = [str(owner)] if by == "owner" else list(map(str, _unique(tags)))
    return found


def _unique(tags: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(tags))
