"""What is known of a backfill: which due times it has, and how far it is."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydag_dist.engine.protocol import ENDED_BACKFILL_STATES
from pydag_dist.engine.published import from_micro, scheduled_run_id


@dataclass(frozen=True)
class Backfill:
    """A backfill as it is now.

    It has `total` due times, from `first` to `last`; `next` is decided on next, None if all are.
    `left_out` of them were left out; of the others `made` have their run, of which so many are
    `success`, `failed` or `cancelled`, and `active` go on. `again` says which due times get one:
    see `protocol.Again`. The weight of its runs is that of the DAG's, multiplied by `weight`.
    `why` it has paused by itself, "" if it has not. `spent` is the seconds that its ended runs took
    together.
    """

    backfill_id: str
    dag_id: str
    state: str
    schedule: Mapping[str, Any]
    first: datetime
    last: datetime
    next: datetime | None
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
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    why: str
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state not in ENDED_BACKFILL_STATES

    @property
    def decided(self) -> int:
        """How many due times have their run or were left out."""
        return self.made + self.left_out

    @property
    def ended(self) -> int:
        """How many of its runs have ended."""
        return self.success + self.failed + self.cancelled

    def expected_end(self, now: datetime) -> datetime | None:
        """When it may be done, by what its runs took in the mean.

        None while no run of it has ended, and while it does not go on.
        """
        if self.state != "running" or not self.ended:
            return None
        to_come = max(0, self.total - self.decided) + self.active
        return now + timedelta(
            seconds=math.ceil(to_come / self.max_active) * self.spent / self.ended
        )

    def run_id(self, at: datetime) -> str:
        """The id of its run of a due time: it has but one, and no other run has that id."""
        return f"{scheduled_run_id(self.dag_id, at)}-{self.backfill_id.rpartition('-')[2]}"


def new_backfill_id(dag_id: str, number: str = "") -> str:
    """A backfill's id: readable, and without a number never made twice by two installations."""
    return f"{dag_id[:80]}-backfill-{number or secrets.token_hex(6)}"


_NUMBERS: Final = ("max_active", "total", "left_out", "made", "success", "failed", "cancelled")
_TEXTS: Final = ("dag_id", "state", "again", "created_by", "changed_by", "why")
_TIMES: Final = ("first", "last", "next", "created_at", "changed_at", "ended_at")


def parse_backfill(backfill_id: str, head: Mapping[str, str], active: int) -> Backfill:
    """The backfill by its hash in Redis and the size of its set of active runs.

    `ValueError` or `KeyError` for a hash that is damaged.
    """
    return Backfill(
        backfill_id,
        schedule=json.loads(head["schedule"]),
        newest_first=head["newest_first"] == "1",
        weight=float(head["weight"]),
        spent=int(head.get("spent") or 0) / 1e6,
        active=active,
        **{name: head.get(name, "") for name in _TEXTS},  # type: ignore[arg-type]
        **{name: int(head.get(name) or 0) for name in _NUMBERS},  # type: ignore[arg-type]
        **{name: from_micro(head.get(name)) for name in _TIMES},  # type: ignore[arg-type]
    )
