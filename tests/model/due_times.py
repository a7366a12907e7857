"""Compares due times of ten years with Debian's cron, in every zone whose clocks change.

``make due-times`` compares 1,000 random expressions in all of them, at low priority, and says how
far it is; ``--from N`` goes on with expression N. Of zones that change alike one is compared: a
schedule asks a zone for nothing but its offsets.

The brute force has each minute of the ten years of each expression in each zone. These are compared
with it:

- around each change of the clock: from moments within four hours of it the due time before and
  after each; and how many due times three days before and after it have, of an expression with more
  than 100 times a day around three changes only, since each time of such days is looked at;
- of the months in between, where the offset is always the same, a tenth in each zone: how many due
  times each has. Which months these are differs from zone to zone, so that of each expression every
  month is compared in several zones;
- from some moments anywhere the due time before and after.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Never
from zoneinfo import ZoneInfo, available_timezones

from pydag_dist.dag.schedules.cron import Cron, problem_of
from tests.model.debian_cron import (
    MINUTE,
    MINUTES_OF_A_DAY,
    Expression,
    Plan,
    changes,
    expression,
    plan,
)

YEARS = 2016, 2025
BEGIN = datetime(YEARS[0], 1, 1, tzinfo=UTC)
AROUND = 240  # minutes before and after a change within which moments are chosen
MOST = 2  # due times of them
DAYS_AROUND = 3 * MINUTES_OF_A_DAY  # before and after a change, of which due times are counted
OFTEN, FEW = 100, 3  # times a day of which due times are counted around so many changes only
MONTH = 31 * MINUTES_OF_A_DAY
SHARE = 10  # of so many other months one is counted in each zone
ANYWHERE = 5  # moments of the ten years from which the next and the last due time are compared


def zones(names: list[str] | None = None) -> dict[str, list[str]]:
    """Zones whose offset changes: the first of those that change alike -> all of them."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for name in sorted(names or available_timezones()):
        zone = ZoneInfo(name)
        if found := changes(zone, *YEARS):
            begin = (BEGIN.astimezone(zone).utcoffset(),)
            offsets = (at.astimezone(zone).utcoffset() for at in found)
            alike.setdefault((*begin, *found, *offsets), []).append(name)
    return {group[0]: group for group in alike.values()}


@cache
def _of_zone(name: str) -> tuple[Plan, list[int]]:
    zone = ZoneInfo(name)
    return plan(zone, *YEARS), [(at - BEGIN) // MINUTE for at in changes(zone, *YEARS)]


def differences(one: Expression, name: str) -> list[str]:
    """Where the due times of an expression in a zone are others than Debian's."""
    planned, changed = _of_zone(name)
    due, cron, random = one.due(planned), Cron(one.text, ZoneInfo(name)), Random(one.text + name)
    wrong = []
    is_often = len(one.times) > OFTEN and len(changed) > FEW
    counted = random.sample(changed, FEW) if is_often else changed
    for begin, end in _stretches(len(due), counted, random):
        expected = due.count(1, begin, end)
        count = cron.count(BEGIN + begin * MINUTE, BEGIN + (end - 1) * MINUTE, end - begin)
        if count != expected:
            days = f"{BEGIN + begin * MINUTE} to {BEGIN + (end - 1) * MINUTE}"
            wrong.append(f"{one.text!r} in {name}, {days}: {count} due times, not {expected}")
    for moment in _moments(due, changed, random):
        seconds = timedelta(seconds=random.choice([0, 0, 0, 1, 59]))
        start = BEGIN + moment * MINUTE + seconds
        later, earlier = due.find(1, moment + 1), due.rfind(1, 0, moment + bool(seconds))
        for found, place in (cron.after(start), later), (cron.before(start), earlier):
            right = BEGIN + place * MINUTE
            is_beyond = found is None or not 0 <= (found - BEGIN) // MINUTE < len(due)
            if not is_beyond if place < 0 else found != right:
                wrong.append(f"{one.text!r} in {name} from {start}: {found}, not {right}")
    return wrong


def _stretches(end: int, changed: list[int], random: Random) -> list[tuple[int, int]]:
    """Of which due times are counted: all around the changes, and some months."""
    around = [(max(at - DAYS_AROUND, 0), min(at + DAYS_AROUND, end)) for at in changed]
    months = range(0, end, MONTH)
    return around + [
        (at, min(at + MONTH, end)) for at in random.sample(months, len(months) // SHARE)
    ]


def _moments(due: bytearray, changed: list[int], random: Random) -> list[int]:
    """From which the next and the last due time are compared."""
    moments = [random.randrange(len(due)) for _ in range(ANYWHERE)]
    for change in changed:
        moments += [change - 1, change, change + random.randint(-AROUND, AROUND)]
        near = range(max(change - AROUND, 0), min(change + AROUND, len(due)))
        found = [at for at in near if due[at]]
        moments += found if len(found) <= MOST else random.sample(found, MOST)
    return moments


def _compare(number: int) -> tuple[int, int, list[str]]:
    one = expression(Random(number))
    if problem_of(one.text):
        return number, 0, []
    found = [(name, differences(one, name)) for name in zones_alike()]
    return number, len(found), [line for _, lines in found for line in lines]


@cache
def zones_alike() -> dict[str, list[str]]:
    """All of them, found once in each process."""
    return zones()


def tell(line: str) -> None:
    """A line of progress."""
    print(line, flush=True)  # noqa: T201


def _ended(number: int, _frame: object) -> Never:
    """So that the processes of the pool end, too."""
    sys.exit(128 + number)


def _begin() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> int:
    """Compare and tell how far it is; 1 if anything differs."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--expressions", type=int, default=1_000)
    options.add_argument("--from", type=int, default=0, dest="first", help="the first one's number")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    given = options.parse_args()
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, _ended)
    os.nice(19)
    alike, begun, pairs, wrong = zones_alike(), time.monotonic(), 0, 0
    total = sum(len(group) for group in alike.values())
    tell(f"{total} zones, of {len(alike)} kinds")
    end = given.first + given.expressions
    with multiprocessing.Pool(given.processes, _begin) as pool:
        for number, compared, lines in pool.imap(_compare, range(given.first, end)):
            pairs, wrong = pairs + compared, wrong + len(lines)
            for line in lines:
                tell(f"{number}: {line}")
            if (number + 1) % 10 == 0 or number + 1 == end:
                took = time.monotonic() - begun
                tell(
                    f"{number + 1} of {end} expressions, {pairs:,} pairs of a zone and an "
                    f"expression that stand for {pairs // len(alike) * total:,}, {wrong} "
                    f"differences, {took:.0f} s"
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
