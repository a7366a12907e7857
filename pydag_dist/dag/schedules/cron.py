"""When a cron expression is due, in a time zone, as Debian's cron does it.

`cronsim` reads the expression and finds the local times that it matches, without a zone. Which
moments these are is decided here: with a zone, cronsim goes wrong where a search begins in an hour
that comes twice, and where clocks change by half an hour or at midnight.

Debian's rules are from cron(8) and the main loop of cron.c. If the field of minutes or hours begins
with ``*``, the job follows the local time: it runs in both passes of an hour that comes twice, and
not at all in an hour that is skipped. Any other job has a fixed time: it runs in the first pass
only, and right after an hour that is skipped, unless the clock was set forward by three hours or
more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.quote import quote

NAMED: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST: Final = 200  # characters of an expression
_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}
_HORIZON: Final = 50  # years; the rarest due time, a Monday that is 29 February, comes within 40
_ANY_YEAR: Final = datetime(2020, 1, 1)  # noqa: DTZ001  of local time
_CORRECTION: Final = timedelta(hours=3)  # a larger change of the clock is not daylight saving
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)


def problem_of(text: str) -> str | None:
    """What is wrong with a cron expression, if anything is."""
    if text in NAMED:
        return None
    fields = text.split()
    if text.startswith("@") or len(fields) != len(_FIELDS) or len(text) > LONGEST:
        return (
            f"must be five cron fields, such as 0 3 * * *, one of {', '.join(NAMED)}, "
            f"or a number of seconds, not {quote(text)}{did_you_mean(text, NAMED)}"
        )
    wrong = []
    for place, (name, values) in enumerate(_FIELDS.items()):
        alone = ["*"] * len(_FIELDS)
        alone[place] = fields[place]
        try:
            CronSim(" ".join(alone), _ANY_YEAR)
        except CronSimError:
            wrong.append(f"its {name} can't be {quote(fields[place])} (values are {values})")
    if wrong:
        return f"{quote(text)}: {'; '.join(wrong)}"
    if not _is_ever_due(text):
        return f"{quote(text)} is never due: no month that it names has such a day"
    return None


def _is_ever_due(text: str) -> bool:
    try:
        return next(CronSim(text, _ANY_YEAR), None) is not None
    except CronSimError:
        return False


def _midnight(naive: datetime) -> datetime:
    return naive.replace(hour=0, minute=0, second=0, microsecond=0)


class Cron:
    """The moments at which an expression without problems is due; all are in UTC."""

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self._text = NAMED.get(text, text)
        self._zone = zone
        minute, hour = self._text.split()[:2]
        self._is_fixed = not (minute.startswith("*") or hour.startswith("*"))

    def after(self, moment: datetime) -> datetime | None:
        """The first one later than `moment`; None if there is none within 50 years."""
        # In the first pass of an hour that comes twice, earlier local times come again.
        begin, repeated = self._local(moment)
        best: datetime | None = None
        for naive in self._matches(begin - repeated, reverse=False):
            moments = self._moments(naive)
            later = [one for one in moments if one > moment]
            best = min([*later, best] if best else later, default=None)
            if best and moments and moments[0] >= best:
                break
        return best

    def count(self, first: datetime, last: datetime, most: int) -> int:
        """How many there are from `first` to `last`: at most `most`.

        Whole days are counted by their number of times. Only of a day at whose clock something
        changes each time is looked at, and its moments count once: two may be the same one.
        """
        found, one_by_one = 0, set[datetime]()
        day = _midnight(self._local(first)[0]) - _DAY
        end = _midnight(self._local(last)[0]) + _DAY
        while day <= end and found + len(one_by_one) < most:
            if day.month in self._read.months and self._read.match_day(day):
                offset = self._offset_of_day(day)
                if offset is None:
                    moments = (one for at in self._times for one in self._moments(day + at))
                    one_by_one.update(one for one in moments if first <= one <= last)
                else:
                    begin = (day - offset).replace(tzinfo=UTC)
                    found += bisect_right(self._times, last - begin)
                    found -= bisect_left(self._times, first - begin)
            day += _DAY
        return min(found + len(one_by_one), most)

    @cached_property
    def _read(self) -> CronSim:
        return CronSim(self._text, _ANY_YEAR)

    @cached_property
    def _times(self) -> list[timedelta]:
        """Those of a day, in order."""
        hours, minutes = sorted(self._read.hours), sorted(self._read.minutes)
        return [timedelta(hours=hour, minutes=minute) for hour in hours for minute in minutes]

    def _offset_of_day(self, day: datetime) -> timedelta | None:
        """The offset from the minute before that midnight up to the next; None if it changes."""
        ends = day - _MINUTE, day + _DAY
        offsets = {self._offset(naive, fold) for naive in ends for fold in (0, 1)}
        return offsets.pop() if len(offsets) == 1 else None

    def before(self, moment: datetime) -> datetime | None:
        """The last one earlier than `moment`; None if there is none within 50 years."""
        # In the second pass of an hour that comes twice, later local times were there before.
        begin, repeated = self._local(moment)
        best: datetime | None = None
        for naive in self._matches(begin + repeated, reverse=True):
            moments = self._moments(naive)
            earlier = [one for one in moments if one < moment]
            best = max([*earlier, best] if best else earlier, default=None)
            if best and moments and moments[-1] <= best:
                break
        return best

    def _local(self, moment: datetime) -> tuple[datetime, timedelta]:
        """The local time, and how much of it comes twice: 0 nearly always."""
        local = moment.astimezone(self._zone).replace(tzinfo=None)
        return local, max(self._offset(local, 0) - self._offset(local, 1), timedelta(0))

    def _matches(self, begin: datetime, *, reverse: bool) -> Iterator[datetime]:
        """The local times that the expression matches, from `begin` on or back, without it."""
        for naive in CronSim(self._text, begin, reverse=reverse):
            if abs(naive.year - begin.year) > _HORIZON:
                return
            yield naive

    def _moments(self, naive: datetime) -> list[datetime]:
        """When a job of that local time runs, in order: never, once or twice."""
        offset, other = self._offset(naive, 0), self._offset(naive, 1)
        first = (naive - offset).replace(tzinfo=UTC)
        if offset == other:
            return [first]
        second = (naive - other).replace(tzinfo=UTC)
        if first < second:
            once = self._is_fixed and second - first <= _CORRECTION
            return [first] if once else [first, second]
        caught_up = self._is_fixed and first - second < _CORRECTION
        return [self._change(second, first)] if caught_up else []

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The moment between these two at which the zone's offset changes."""
        new = after.astimezone(self._zone).utcoffset()
        seconds = range((after - before) // _SECOND)
        place = bisect_left(
            seconds,
            True,
            key=lambda second: (
                (before + second * _SECOND).astimezone(self._zone).utcoffset() == new
            ),
        )
        return before + place * _SECOND

    def _offset(self, naive: datetime, fold: int) -> timedelta:
        offset = self._zone.utcoffset(naive.replace(tzinfo=self._zone, fold=fold))
        assert offset is not None  # noqa: S101  zones of zoneinfo have one for every time
        return offset
