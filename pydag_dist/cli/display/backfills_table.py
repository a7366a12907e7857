"""Backfills for people: a line for each, with how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydag_dist.cli.display.states import coloured
from pydag_dist.cli.display.tables import Cell, Lines, clock, table
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.due import schedule_of


def backfills_screen(backfills: Sequence[Backfill], now: datetime, width: int) -> Lines:
    """The backfills; times are by the clock of this host, due times in the DAG's zone."""
    cells = {
        "backfill": [Cell(each.backfill_id) for each in backfills],
        "state": [coloured(each.state) for each in backfills],
        "due times": [Cell(f"{each.decided}/{each.total}") for each in backfills],
        "left out": [Cell(str(each.left_out or "")) for each in backfills],
        "active": [Cell(str(each.active or "")) for each in backfills],
        "failed": [Cell(str(each.failed + each.cancelled or "")) for each in backfills],
        "next": [Cell(_next(each)) for each in backfills],
        "end": [Cell(_end(each, now)) for each in backfills],
    }
    return table(cells, width, ("next", "left out", "active", "end", "failed"))


def _end(each: Backfill, now: datetime) -> str:
    end = each.ended_at or each.expected_end(now)
    return ("about " if end and not each.ended_at else "") + clock(end)


def _next(each: Backfill) -> str:
    schedule = schedule_of(each.schedule)
    if each.next is None or not each.is_open:
        return ""
    return schedule.text(each.next) if schedule else each.next.isoformat()
