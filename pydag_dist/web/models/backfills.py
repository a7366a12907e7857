"""Backfills: what is told of them, and what is asked for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.engine.protocol import Again
from pydag_dist.web.models.base import Missing, Model, Seconds


class NewBackfill(Model):
    """Which due times are to be run again: days or times, ISO 8601, in the DAG's zone."""

    first: Annotated[str, Field(max_length=64)]
    last: Annotated[str, Field(max_length=64)]
    max_active: Annotated[int, Field(ge=1, le=limits.ACTIVE_RUNS)] = 1
    newest_first: bool = False
    again: Again = "none"
    weight: Annotated[float, Field(ge=limits.WEIGHT[0], le=limits.WEIGHT[1])] = 0.5


class BackfillPreview(Model):
    """How many due times a backfill would have, and the oldest and the newest of them.

    Those wanted from `left_to_schedule` on are still to come, or the schedule runs them itself.
    `runs`, if they are asked for: logical date, ISO 8601 in UTC, to the states of its runs by id.
    """

    total: int
    first: Seconds
    last: Seconds
    left_to_schedule: Seconds | None
    runs: dict[str, dict[str, str]] | None
    missing: Missing


class Backfill(Model):
    """A backfill, as of `pydag backfills --json`."""

    backfill_id: str
    dag_id: str
    state: str
    schedule: dict[str, Any]
    first: Seconds
    last: Seconds
    next: Seconds | None
    newest_first: bool
    again: str
    weight: float
    max_active: int
    total: int
    left_out: int
    made: int
    success: int
    failed: int
    cancelled: int
    active: int
    spent: float
    created_at: Seconds
    created_by: str
    changed_at: Seconds
    changed_by: str
    why: str
    ended_at: Seconds | None


class ChangedBackfill(Backfill):
    """A backfill, and whether it was not so before."""

    changed: bool


class Backfills(Model):
    """The newest first."""

    items: list[Backfill]
    missing: Missing
