"""When a published DAG is due next, and which due times get no run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydag_dist.engine.published import Move, PublishedDag

if TYPE_CHECKING:
    from pydag_dist.dag.fields import DagFields
    from pydag_dist.dag.schedules.schedule import Schedule

# Of a DAG's fields those that its schedule is made of; a DAG is due at other times if one of the
# first four is another one.
_TIMES: Final = ("schedule_interval", "timezone", "start_date", "end_date")
_FIELDS: Final = (*_TIMES, "catchup", "max_active_runs")


def schedule_fields(dag: DagFields) -> dict[str, Any] | None:
    """What is kept of a DAG's schedule; None if it has none."""
    if dag.schedule_interval == "":
        return None
    return {name: getattr(dag, name) for name in _FIELDS}


def schedule_of(fields: Mapping[str, Any] | None) -> Schedule | None:
    """The schedule of what was kept."""
    return _schedule(json.dumps(fields)) if fields else None


@lru_cache(maxsize=20_000)
def _schedule(fields: str) -> Schedule | None:
    from pydag_dist.dag.fields import DagFields

    return DagFields("dag", **json.loads(fields)).schedule


def fired(schedule: Schedule, seen: PublishedDag, now: datetime) -> tuple[datetime, Move]:
    """The due time that gets its run now, and how the DAG moves on; it must be due.

    That is the oldest one with `catchup`, else the newest.
    """
    due = seen.due
    assert due is not None  # noqa: S101  else nobody finds it among those that are due
    late = None if schedule.catchup else schedule.late(due, now)
    at = late.newest if late else due
    move = Move(schedule.after(max(at, seen.settled or at)))
    if late and late.older:
        move = replace(move, missed=late.older, first=due, last=schedule.before(at))
    return at, move


def published(fields: Mapping[str, Any] | None, seen: PublishedDag, now: datetime) -> Move:
    """How the DAG moves on that gets a schedule of these fields.

    If it is due at the same times as before, nothing changes; else what the schedule before it has
    left undone is missed.
    """
    if seen.is_published and have_same_times(fields, seen.schedule):
        return Move(seen.due)
    left = unpublished(seen, now)
    settled = max(filter(None, (seen.settled, left.last)), default=None)
    schedule = schedule_of(fields)
    due = schedule.first(now) if schedule else None
    if schedule and due and settled and due <= settled:
        due = schedule.after(settled)
    return replace(left, due=due)


def unpaused(seen: PublishedDag, now: datetime) -> Move:
    """How the DAG moves on that was paused: with `catchup` what was due then is still to come."""
    schedule = schedule_of(seen.schedule)
    if schedule is None or schedule.catchup:
        return Move(seen.due)
    left = unpublished(seen, now)
    return replace(left, due=schedule.after(left.last)) if left.last else Move(seen.due)


def unpublished(seen: PublishedDag, now: datetime) -> Move:
    """What is missed when the DAG's schedule goes: all that was due and has no run."""
    schedule = schedule_of(seen.schedule)
    late = schedule.late(seen.due, now) if schedule and seen.due else None
    return Move(None, late.older + 1, seen.due, late.newest) if late else Move(None)


def have_same_times(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two schedules are due at the same times."""
    return _times(one) == _times(other)


def _times(fields: Mapping[str, Any] | None) -> list[Any] | None:
    return [fields.get(name) for name in _TIMES] if fields else None
