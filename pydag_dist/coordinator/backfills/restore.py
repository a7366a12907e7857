"""Gives backfills that Redis has lost back to it, as the history knows them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydag_dist.engine import ENDED_RUN_STATES
from pydag_dist.engine.backfills.backfill import Backfill, parse_backfill
from pydag_dist.engine.backfills.backfilling import Backfilling
from pydag_dist.engine.backfills.changes import rest
from pydag_dist.engine.due import schedule_of
from pydag_dist.engine.published import to_micro
from pydag_dist.errors import PydagError
from pydag_dist.history import HistoryReader
from pydag_dist.history.backfills import PastBackfill

log = logging.getLogger(__name__)

_KEPT: Final = (
    *("state", "dag_id", "schedule", "first", "last", "newest_first", "again", "weight"),
    *("max_active", "total", "retention", "created_at", "created_by"),
    *("changed_at", "changed_by", "why"),
)


def restore_backfills(backfilling: Backfilling, history: HistoryReader) -> list[str]:
    """Give back all backfills that are lost, after their runs; which these are.

    One that can't be given back keeps no other waiting: the log says so.
    """
    found = []
    for past in history.open_backfills():
        try:
            if restore_backfill(backfilling, past):
                found.append(past.backfill_id)
        except (PydagError, ValueError, TypeError, KeyError, OverflowError) as error:
            log.error("backfill %s: Redis can't take it back: %s", past.backfill_id, error)  # noqa: TRY400
    return found


def restore_backfill(backfilling: Backfilling, past: PastBackfill) -> bool:
    """Give back a backfill that is lost; False if it is there.

    What it goes on with follows from its runs: all due times before the last of these are decided.
    """
    seen = parse_backfill(past.backfill_id, past.head, 0)
    ends = Counter(run["state"] for run in past.runs if run["state"] in ENDED_RUN_STATES)
    spent = sum(run["spent"] or 0 for run in past.runs if run["state"] in ENDED_RUN_STATES)
    next_, passed = _following(seen, past)
    row: dict[str, str | int] = {name: past.head.get(name, "") for name in _KEPT}
    row |= {
        "next": to_micro(next_),
        "made": len(past.runs),
        "left_out": max(0, seen.decided + passed - len(past.runs)),
        "spent": max(0, round(spent * 1e6)),
        **_counts(ends),
    }
    active = [run["run_id"] for run in past.runs if run["state"] not in ENDED_RUN_STATES]
    return backfilling.restore(past.backfill_id, row, active)


def _counts(ends: Mapping[str, int]) -> dict[str, int]:
    return {state: ends.get(state, 0) for state in sorted(ENDED_RUN_STATES)}


def _following(seen: Backfill, past: PastBackfill) -> tuple[datetime | None, int]:
    """The due time to go on with, and how many were decided since the event that was seen."""
    schedule = schedule_of(seen.schedule)
    dates = [datetime.fromisoformat(run["logical_date"]) for run in past.runs]
    if schedule is None or seen.next is None or not dates:
        return seen.next, 0
    newest = min(dates) if seen.newest_first else max(dates)
    passed = 0
    for at in rest(schedule, seen):
        if at < newest if seen.newest_first else at > newest:
            return at, passed
        passed += 1
    return None, passed
