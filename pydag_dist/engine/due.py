"""When a published DAG is due next, and what that goes past; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pydag_dist.engine.published import Move, PublishedDag


class Late(Protocol):
    """The `newest` due time that has come, and how many are `older` that have come, too."""

    newest: datetime
    older: int


class Times(Protocol):
    """A schedule; see `pydag_dist.dag.schedule.Schedule`."""

    catchup: bool

    def first(self, now: datetime) -> datetime | None:
        """For what a DAG waits that is published now."""
        ...

    def after(self, moment: datetime) -> datetime | None:
        """The next due time, strictly later."""
        ...

    def before(self, moment: datetime) -> datetime | None:
        """The due time strictly before."""
        ...

    def late(self, due: datetime, now: datetime) -> Late:
        """What has come of the due times from `due` on."""
        ...


def fired(times: Times, seen: PublishedDag, now: datetime) -> tuple[datetime, Move]:
    """The due time that gets its run now, and how the DAG moves on; it must be due.

    That is the oldest one with `catchup`, else the newest.
    """
    due = _due(seen)
    if times.catchup:
        return due, Move(_after(times, due, seen.settled))
    late = times.late(due, now)
    at = late.newest
    move = Move(_after(times, at, seen.settled))
    if late.older:
        move = replace(move, missed=late.older, first=due, last=times.before(at))
    return at, move


def published(
    times: Times | None, before: Times | None, seen: PublishedDag, now: datetime, *, unchanged: bool
) -> Move:
    """How the DAG moves on that gets a schedule, in the place of what it had before, if any.

    A schedule that is due when it was is not moved; what another one has left undone is missed.
    """
    if unchanged and seen.is_published:
        return Move(seen.due)
    left = unpublished(before, seen, now)
    settled = max(filter(None, (seen.settled, left.last)), default=None)
    due = times.first(now) if times else None
    if times and due and settled and due <= settled:
        due = times.after(settled)
    return Move(due, left.missed, left.first, left.last)


def unpaused(times: Times | None, seen: PublishedDag, now: datetime) -> Move:
    """How the DAG moves on that was paused: with `catchup` what was due then is still to come."""
    if times is None or times.catchup or not seen.due or seen.due > now:
        return Move(seen.due)
    late = times.late(seen.due, now)
    due = _after(times, late.newest, seen.settled)
    return Move(due, late.older + 1, seen.due, late.newest)


def unpublished(times: Times | None, seen: PublishedDag, now: datetime) -> Move:
    """What is missed when the DAG's schedule goes: all that was due and has no run."""
    if times is None or not seen.is_published or not seen.due or seen.due > now:
        return Move(None)
    late = times.late(seen.due, now)
    return Move(None, late.older + 1, seen.due, late.newest)


def _after(times: Times, at: datetime, settled: datetime | None) -> datetime | None:
    return times.after(max(at, settled or at))


def _due(seen: PublishedDag) -> datetime:
    assert seen.due is not None  # noqa: S101  else it is never fired
    return seen.due
