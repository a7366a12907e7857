"""A run as the history knows it: for a Redis that has lost it, and as the engine would show it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine import RunSnapshot, TaskSnapshot, task_ids, unplanned
from pydag_dist.engine.head import work_of
from pydag_dist.engine.protocol import ENQUEUED, SOURCES, unpack_numbers
from pydag_dist.engine.snapshot import Act, children_of
from pydag_dist.history.tables import dags, rounds, run_acts, runs, tries

Row = sa.Row[Any]  # of a table: its columns are said there


@dataclass(frozen=True)
class PastRun:
    """What history knows of a run: its DAG as JSON, its hash in Redis, its tasks' newest tries.

    Each of `tries` is a row of that table: the one of a task whose event is the newest.

    `planned` is False while the run, which is new or was just resumed, waits for a planner.
    """

    run_id: str
    state: str
    reason: str | None
    dag: str
    head: Mapping[str, str]
    planned: bool
    tries: list[Row]


def run_row(connection: sa.Connection, run_id: str) -> Row | None:
    """A run's row; None if it isn't here."""
    return connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).one_or_none()


def past_run(connection: sa.Connection, run_id: str) -> PastRun | None:
    """All that is known of a run; None if it isn't here."""
    found = run_row(connection, run_id)
    if found is None:
        return None
    return PastRun(
        run_id=run_id,
        state=found.state,
        reason=found.reason,
        dag=str(_dag_of(connection, found)),
        head=json.loads(found.head),
        planned=bool(found.planned),
        tries=_newest_tries(connection, run_id),
    )


def past_snapshot(connection: sa.Connection, run_id: str) -> RunSnapshot | None:
    """The run as the engine would show it if it still had it; None if it isn't here.

    What has not ended, as far as the history knows, is as it was before the run was planned.
    """
    found = run_row(connection, run_id)
    if found is None:
        return None
    newest = {t.task_id: t for t in _newest_tries(connection, run_id)}
    if gone := _gone(connection, found, newest):
        newest = {name: t for name, t in newest.items() if name not in gone}
    text = _dag_of(connection, found)
    acts = connection.execute(_acts(run_id)).all()
    children: dict[str, int] = {}
    for each in newest.values():
        children.update(unpack_numbers(each.expansions))
    head = json.loads(found.head)
    return RunSnapshot(
        **times_of(found),
        error=found.error,
        enqueued={source: int(head.get(f"{ENQUEUED}{source}", 0)) for source in SOURCES},
        tasks=dict.fromkeys(task_ids(text or '{"tasks": []}'), unplanned(found.state))
        | {name: _task(t, newest, children) for name, t in newest.items()},
        reason=found.reason,
        acts=[Act(*row) for row in acts],
    )


def times_of(row: Row) -> dict[str, Any]:
    """What a snapshot and a summary have of a run's row."""
    names = ("run_id", "dag_id", "state", "submitted_at", "started_at", "ended_at")
    return {**{name: getattr(row, name) for name in names}, **work_of(json.loads(row.head))}


def _dag_of(connection: sa.Connection, run: Row) -> str | None:
    text: str | None = connection.scalar(sa.select(dags.c.dag).where(dags.c.hash == run.dag_hash))
    return text


def _gone(connection: sa.Connection, run: Row, tasks: Collection[str]) -> set[str]:
    """The tasks of those that the run's DAG has no longer."""
    hashes = sa.select(rounds.c.dag_hash).where(rounds.c.run_id == run.run_id).distinct()
    if len(connection.scalars(hashes).all()) < 2:
        return set()
    known = {task["task_id"] for task in json.loads(str(_dag_of(connection, run)))["tasks"]}
    return {t for t in tasks if t not in known and t.rpartition(".")[0] not in known}


def _newest_tries(connection: sa.Connection, run_id: str) -> list[Row]:
    query = sa.select(tries).where(tries.c.run_id == run_id).order_by(tries.c.event)
    # A newer one replaces an older one.
    return list({row.task_id: row for row in connection.execute(query)}.values())


def _acts(run_id: str) -> sa.Select[Any]:
    told = (run_acts.c.at, run_acts.c.act, run_acts.c.who, run_acts.c.task_id, run_acts.c.state)
    return sa.select(*told).where(run_acts.c.run_id == run_id).order_by(run_acts.c.event)


def _result(task: str, newest: Mapping[str, Row], children: int | None = None) -> Any:
    """A task's result; an expanded task's is the list of its children's."""
    if children is not None:
        return [_result(f"{task}.{i}", newest) for i in range(children)]
    packed = newest[task].result if task in newest else None
    return None if packed is None else json.loads(packed)


# What a task's snapshot has of its row as it is.
_SHOWN = [f.name for f in fields(TaskSnapshot) if f.name in tries.c and f.name != "result"]


def _task(found: Row, newest: Mapping[str, Row], expansions: Mapping[str, int]) -> TaskSnapshot:
    children = children_of(found.ready_at, expansions.get(found.task_id))
    return TaskSnapshot(
        **{name: getattr(found, name) for name in _SHOWN},
        result=_result(found.task_id, newest, children),
        children=children,
    )
