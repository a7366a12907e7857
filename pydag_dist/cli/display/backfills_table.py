"""Backfills for people: a line for each, with how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from pydag_dist.cli.display.output import cell
from pydag_dist.cli.display.states import coloured
from pydag_dist.cli.display.tables import clock, plain_table
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.due import schedule_of


def backfills_screen(backfills: Sequence[Backfill], now: datetime, _width: int) -> Table:
    """The backfills; times are by the clock of this host, due times in the DAG's zone."""
    columns = ("backfill", "state", "due times", "left out", "active", "failed", "next", "end")
    table = plain_table(*columns)
    for each in backfills:
        end = each.ended_at or each.expected_end(now)
        expected = "about " if end and not each.ended_at else ""
        table.add_row(
            cell(each.backfill_id),
            coloured(each.state),
            f"{each.decided}/{each.total}",
            str(each.left_out or ""),
            str(each.active or ""),
            str(each.failed + each.cancelled or ""),
            _next(each),
            expected + clock(end.timestamp() if end else None),
        )
    return table


def _next(each: Backfill) -> str:
    schedule = schedule_of(each.schedule)
    if each.next is None or not each.is_open:
        return ""
    return schedule.text(each.next) if schedule else each.next.isoformat()
