"""Gives runs and published DAGs that Redis has lost back to it, as the history knows them."""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from typing import Final

from pydag_dist.engine import CHUNK, LostTask, Planning
from pydag_dist.engine.due import schedule_of
from pydag_dist.engine.head import microseconds
from pydag_dist.engine.published import to_micro
from pydag_dist.engine.roles.publishing import Publishing
from pydag_dist.errors import PydagError
from pydag_dist.history import HistoryReader, Row
from pydag_dist.history.published import PastDag
from pydag_dist.history.tables import tries

log = logging.getLogger(__name__)

# The fields of the run's hash that no plan can find out again.
_FIELDS: Final = frozenset(
    {
        "dag_id",
        "processors",
        "weight",
        "timeout",
        "retention",
        "params",
        "logical_date",
        "hooks",
        "total",
        "submitted_at",
        "started_at",
        "from",
        "dag_hash",
        "changed",
        "marked",
        "round_at",
        "spent",
        "submitted_by",
        "tags",
        "rounds",
        "version",
        "run_type",
        "backfill",
        "parent_run",
        "parent_task",
        "ancestors",
        "acts",
        "expected_within",
    }
)


def restore(planning: Planning, history: HistoryReader, run_id: str) -> bool:
    """Give a lost run back to the planners; False if it isn't lost. May be called again."""
    past = history.past(run_id)
    if past is None:
        return False
    for at in range(0, len(past.tries), CHUNK):
        tasks = [_lost(each, past.planned) for each in past.tries[at : at + CHUNK]]
        if not planning.restore(run_id, tasks):
            return False
    head = {name: value for name, value in past.head.items() if name in _FIELDS}
    if reason := past.reason or past.head.get("reason"):
        head["reason"] = reason  # it is cancelled as soon as it is planned
    return planning.restore_run(run_id, past.dag, head, planned=past.planned)


# What the engine is given of a try as the history has it.
_KEPT: Final = tuple(f.name for f in fields(LostTask) if f.name in tries.c)


def _lost(row: Row, planned: bool) -> LostTask:
    kept = {name: value for name in _KEPT if (value := getattr(row, name)) is not None}
    # The run had ended and was resumed, and its new plan was not complete: a task that it would
    # have run again counts as one that did not get to its end.
    if row.state == "none" and not planned:
        kept["state"] = "cancelled"
    return LostTask(row.task_id, **kept)


def restore_dags(publishing: Publishing, history: HistoryReader) -> list[str]:
    """Give back all DAGs that are lost; which these are.

    One that can't be given back keeps nothing else waiting: the log says so.
    """
    past_names = history.published_names()
    # Else the events of those that are published here for the first time would be taken for lost.
    publishing.set_known(publishing.not_known(sorted({*publishing.names()} - {*past_names})))
    found = []
    for dag_id in publishing.not_known(past_names):
        try:
            if any(restore_dag(publishing, past) for past in history.published(dag_id)):
                found.append(dag_id)
        except (PydagError, ValueError, TypeError, KeyError, OverflowError) as error:
            log.error("DAG %s: Redis can't take it back: %s", dag_id, error)  # noqa: TRY400
    return found


def restore_dag(publishing: Publishing, past: PastDag) -> bool:
    """Give back a DAG that is lost; False if it is there.

    It is due when it was, or after what is settled.
    """
    due = past.due
    if due and past.settled and due <= past.settled:
        schedule = schedule_of(json.loads(past.schedule or "null"))
        due = schedule.after(past.settled) if schedule else None
    newest = past.versions[0]
    row: dict[str, str | int] = {
        "version": newest.number,
        "settled": to_micro(past.settled),
        "missed": past.missed,
        "missed_last": to_micro(past.missed_last),
        "schedule": past.schedule,
        "max_active": past.max_active,
        "source": past.source,
        "due": to_micro(due),
        "published_at": microseconds(newest.at),
        "published_by": newest.by,
        "paused_at": microseconds(past.paused_at),
        "paused_by": past.paused_by,
        "last_run": past.last_run or "",
    }
    text = newest.text if past.is_published else ""
    return publishing.restore(past.dag_id, text, row, past.head)
