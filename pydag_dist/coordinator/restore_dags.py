"""Gives a Redis that has lost published DAGs what the history knows of them."""

from __future__ import annotations

import json

from pydag_dist.engine.due import schedule_of
from pydag_dist.engine.published import to_micro
from pydag_dist.engine.roles.publishing import Publishing
from pydag_dist.engine.snapshot import microseconds
from pydag_dist.history import History
from pydag_dist.history.published import PastDag


def restore_dags(publishing: Publishing, history: History) -> list[str]:
    """Give back all DAGs that are lost; which these are."""
    lost = publishing.not_known(history.published_names())
    return [
        dag_id
        for dag_id in lost
        for past in history.published(dag_id)
        if restore_dag(publishing, past)
    ]


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
