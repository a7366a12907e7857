"""`Schedule`: the due times of a DAG, one after the other.

All moments that go in and come out are aware datetimes; those that come out are in UTC, since
datetimes of one zone compare by their local times in Python, also in an hour that comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pydag_dist.dag.schedules.cron import Cron

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Every:
    """Moments at equal distances, counted from `origin` both ways."""

    origin: datetime
    step: timedelta

    def after(self, moment: datetime) -> datetime:
        """The first one later than `moment`."""
        return self.origin + ((moment - self.origin) // self.step + 1) * self.step

    def count(self, first: datetime, last: datetime, most: int) -> int:
        """How many there are from `first`, which is one, to `last`: at most `most`."""
        return min((last - first) // self.step + 1, most) if first <= last else 0

    def before(self, moment: datetime) -> datetime:
        """The last one earlier than `moment`."""
        return self.origin - ((self.origin - moment) // self.step + 1) * self.step


class Late(NamedTuple):
    """What was due and has not run: the newest due time, and how many older ones there are."""

    newest: datetime
    older: int  # `Schedule.COUNTED` stands for as many or more


@dataclass(frozen=True)
class Schedule:
    """When a DAG is due: from `start` on, up to `end`, both included."""

    COUNTED = 1_000

    when: Cron | Every
    zone: ZoneInfo
    start: datetime | None = None
    end: datetime | None = None
    catchup: bool = False

    def first(self, now: datetime) -> datetime | None:
        """The due time that a DAG which is published `now` waits for, None if there is none.

        With `catchup` it is the first one since `start_date`, which may be long ago; else the first
        one after `now`.
        """
        return self.after(self.start - _TICK if self.catchup and self.start else now)

    def after(self, moment: datetime) -> datetime | None:
        """The next due time: the first one later than `moment`."""
        if self.start and moment < self.start:
            moment = self.start - _TICK
        try:
            found = self.when.after(moment)
        except OverflowError:  # it would be after the year 9999
            return None
        return None if found is None or (self.end and found > self.end) else found

    def before(self, moment: datetime) -> datetime | None:
        """The due time before that, also where it is before `start` or after `end`.

        A run's data interval begins with it: the first run after `start_date` has one that is as
        long as any other.
        """
        try:
            return self.when.before(moment)
        except OverflowError:  # it would be before the year 1
            return None

    def latest(self, now: datetime) -> datetime | None:
        """The last due time up to `now`, itself included; None if nothing was due yet."""
        found = self.before((min(now, self.end) if self.end else now) + _TICK)
        return None if found is None or (self.start and found < self.start) else found

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The due times from `first` to `last`, both included, one by one as they are asked for."""
        due = self.after(first - _TICK)
        while due and due <= last:
            yield due
            due = self.after(due)

    def late(self, due: datetime, now: datetime) -> Late | None:
        """What a DAG that waits for `due` has missed; None if nothing is due up to `now`."""
        newest = self.latest(now)
        if newest is None or newest < due:
            return None
        return Late(newest, self.when.count(due, newest - _TICK, self.COUNTED))

    def text(self, moment: datetime) -> str:
        """The moment for people, in the DAG's zone: ``2026-03-28T02:30:00+01:00``."""
        return moment.astimezone(self.zone).isoformat()
