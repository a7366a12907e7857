"""When Debian's cron runs a job, minute by minute; and random expressions, with what they mean.

Written from cron(8), crontab(5) and the main loop of cron.c, not from our code or cronsim's. A job
is a wildcard job if its minute or hour begins with `*`. cron wakes each minute and compares the
local time with its virtual time, the local time up to which all jobs have run:

- one minute further: it runs all jobs of that minute;
- set forward by less than three hours: wildcard jobs of the new minute, and other jobs of each
  minute that was skipped, one after the other;
- set back by up to three hours: only wildcard jobs, until the virtual time is reached again;
- else the clock was corrected: it goes on with the new time.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property, lru_cache
from random import Random
from zoneinfo import ZoneInfo

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
THREE_HOURS = 180
MINUTES_OF_A_DAY = 1440


@dataclass(frozen=True)
class Plan:
    """What cron looks at in some years, in minutes since their begin in UTC.

    Each of `wildcard` and `fixed` is a minute, the local minute that is looked at then (since the
    same date, local), and for how many minutes both go on side by side.
    """

    first: date
    days: int
    wildcard: list[tuple[int, int, int]]
    fixed: list[tuple[int, int, int]]


def plan(zone: ZoneInfo, first: int, last: int) -> Plan:
    """Of those years, for a cron that is up to date before."""
    begin, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    made = Plan(begin.date(), (end - begin) // DAY, [], [])

    def local(minute: int) -> int:
        clock = (begin + minute * MINUTE).astimezone(zone)
        return (clock.replace(tzinfo=UTC) - begin) // MINUTE

    virtual, at = local(-1), 0
    changed = [(one - begin) // MINUTE for one in changes(zone, first, last)]
    for until in [*changed, made.days * MINUTES_OF_A_DAY]:
        while at < until:
            clock, length = local(at), 1
            ahead = clock - virtual
            if ahead == 1:  # and it is so in each minute until the clock is changed
                length = until - at
                made.fixed.append((at, clock, length))
                virtual = clock + length - 1
            elif 0 < ahead <= THREE_HOURS:
                made.fixed.extend((at, minute, 1) for minute in range(virtual + 1, clock + 1))
                virtual = clock
            elif not -THREE_HOURS <= ahead <= 0:
                made.fixed.append((at, clock, 1))
                virtual = clock
            made.wildcard.append((at, clock, length))
            at += length
    return made


@dataclass(frozen=True)
class Expression:
    """A cron expression, and what it means."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int | str]
    months: frozenset[int]
    weekdays: frozenset[int | tuple[int, int]]

    @property
    def is_wildcard(self) -> bool:
        minute, hour = self.text.split()[:2]
        return minute[0] == "*" or hour[0] == "*"

    @cached_property
    def times(self) -> frozenset[int]:
        """Minutes of a day."""
        return frozenset(60 * hour + minute for hour in self.hours for minute in self.minutes)

    def matches_day(self, day: date) -> bool:
        """crontab(5): if both fields are restricted, either; one that begins with `*` is not."""
        by_number, by_name = self._by_number(day), self._by_name(day)
        _, _, days, _, weekdays = self.text.split()
        either = days[0] != "*" and weekdays[0] != "*"
        fits = by_number or by_name if either else by_number and by_name
        return day.month in self.months and fits

    def due(self, plan: Plan) -> bytearray:
        """For each minute of those years in UTC whether it runs: 0 or 1."""
        matching, margin = _local(self, plan.first, plan.days)
        local = memoryview(matching)
        found = bytearray(plan.days * MINUTES_OF_A_DAY)
        for at, minute, length in plan.wildcard if self.is_wildcard else plan.fixed:
            place = minute + margin
            if length > 1:
                found[at : at + length] = local[place : place + length]
            else:
                found[at] |= local[place]
        return found

    def due_of_days(self, first: datetime, days: int) -> Iterator[datetime]:
        """Likewise, of so many days from the midnight `first` on, where no clock changes."""
        for day in (first + number * DAY for number in range(days)):
            if self.matches_day(day.date()):
                yield from (day + minute * MINUTE for minute in sorted(self.times))

    def _by_number(self, day: date) -> bool:
        last, last_work_day = _ends_of_month(day.year, day.month)
        return (
            day.day in self.days
            or ("L" in self.days and day.day == last)
            or ("LW" in self.days and day.day == last_work_day)
        )

    def _by_name(self, day: date) -> bool:
        last, _ = _ends_of_month(day.year, day.month)
        weekday = day.isoweekday() % 7
        same = [n for n in range(1, last + 1) if (n - day.day) % 7 == 0]
        nth, from_end = same.index(day.day) + 1, same.index(day.day) - len(same)
        return any(one in self.weekdays for one in (weekday, (weekday, nth), (weekday, from_end)))


@cache
def _ends_of_month(year: int, month: int) -> tuple[int, int]:
    """Its last day, and its last day from Monday to Friday."""
    days = range(1, calendar.monthrange(year, month)[1] + 1)
    return days[-1], [n for n in days if date(year, month, n).weekday() < 5][-1]


@lru_cache(maxsize=2)
def _local(one: Expression, first: date, days: int) -> tuple[bytes, int]:
    """For each local minute of these days whether it matches; it begins earlier by that margin."""
    day = bytes(minute in one.times for minute in range(MINUTES_OF_A_DAY))
    none = bytes(MINUTES_OF_A_DAY)
    dates = (first + number * DAY for number in range(-2, days + 2))
    local = b"".join(day if one.matches_day(date) else none for date in dates)
    return local, 2 * MINUTES_OF_A_DAY


MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def expression(random: Random) -> Expression:
    """A random one, often at night, when clocks change."""
    minute = _field(random, 0, 59, [0, 0, 1, 15, 30, 59])
    hour = _field(random, 0, 23, [0, 0, 1, 1, 2, 2, 3, 4, 23])
    days = _some(random, [(6, "*"), (2, ""), (1, "L"), (1, "LW")])
    weekdays = _some(random, [(5, "*"), (2, ""), (1, "#"), (1, "L")])
    day = _field(random, 1, 31, [1, 8, 25, 29, 31]) if days == "" else (days, {days})
    if days == "*":
        day = ("*", set(range(1, 32)))
    name = ("*", set(range(7)))
    if weekdays == "":
        name = _weekdays(random)
    elif weekdays != "*":
        number, nth = random.randrange(7), random.randint(1, 5)
        said = random.choice([str(number), WEEKDAYS[number]])
        # With a name cronsim does not take an L.
        name = (
            (f"{said}#{nth}", {(number, nth)})
            if weekdays == "#"
            else (f"{number}L", {(number, -1)})
        )
    month = random.choice([("*", set(range(1, 13))), _months(random)])
    fields = (minute, hour, day, month, name)
    text = " ".join(field[0] for field in fields)
    return Expression(text, *(frozenset(field[1]) for field in fields))


def _some(random: Random, chances: list[tuple[int, str]]) -> str:
    return random.choices([what for _, what in chances], [weight for weight, _ in chances])[0]


def _field(random: Random, least: int, most: int, often: list[int]) -> tuple[str, set]:
    """A field of numbers as text, and the numbers."""
    everything = range(least, most + 1)
    number = random.choice(often) if random.random() < 0.7 else random.choice(everything)
    step = random.choice([1, 2, 3, 5, 7, 10, 15, 20])
    end = random.randint(number, most)
    kind = _some(random, [(4, "one"), (2, "*"), (2, "*/"), (2, "-"), (1, "-/"), (1, "/"), (3, ",")])
    if kind == ",":
        parts = [_field(random, least, most, often) for _ in range(random.randint(2, 3))]
        return ",".join(text for text, _ in parts), set().union(*(found for _, found in parts))
    if kind == "-/" and end == number:  # which cronsim reads as a number and a step
        kind = "one"
    return {
        "one": (str(number), {number}),
        "*": ("*", set(everything)),
        "*/": (f"*/{step}", set(everything[::step])),
        "-": (f"{number}-{end}", set(range(number, end + 1))),
        "-/": (f"{number}-{end}/{step}", set(range(number, end + 1, step))),
        "/": (f"{number}/{step}", set(range(number, most + 1, step))),
    }[kind]


def _weekdays(random: Random) -> tuple[str, set]:
    """0 and 7 are Sunday."""
    begin = random.randint(0, 7)
    end = random.randint(begin, 7)
    return random.choice(
        [
            (str(begin), {begin % 7}),
            (f"{begin}-{end}", {day % 7 for day in range(begin, end + 1)}),
            ("*/2", {0, 2, 4, 6}),
            (random.choice([WEEKDAYS[begin % 7], WEEKDAYS[begin % 7].lower()]), {begin % 7}),
            ("MON-FRI", {1, 2, 3, 4, 5}),
            (f"SUN,{begin}", {0, begin % 7}),
        ]
    )


def _months(random: Random) -> tuple[str, set]:
    begin = random.choice([3, 10, 3, 11, *range(1, 13)])
    end = random.randint(begin, 12)
    return random.choice(
        [
            (str(begin), {begin}),
            (MONTHS[begin - 1], {begin}),
            (f"{begin}-{end}", set(range(begin, end + 1))),
            ("*/2", {1, 3, 5, 7, 9, 11}),
            ("3,10", {3, 10}),
        ]
    )


@cache
def changes(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """The moments of those years at which the zone's offset changes."""
    found, at = [], datetime(first, 1, 1, tzinfo=UTC)
    while at.year <= last:
        later = at + DAY
        if at.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            change = at
            while change.astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset():
                change += MINUTE
            found.append(change)
        at = later
    return found
