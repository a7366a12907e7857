"""Compares due times of ten years with Debian's cron, in every zone whose clocks change.

``make due-times`` compares 1,000 random expressions, as many at once as there are
processors, at low priority, and says how far it is. Of zones that change alike one is compared: a
schedule asks a zone for nothing but its offsets.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo, available_timezones

from pydag_dist.dag.schedules.cron import Cron, problem_of
from tests.model.debian_cron import MINUTE, Expression, Plan, changes, expression, plan

YEARS = 2016, 2025
BEGIN = datetime(YEARS[0], 1, 1, tzinfo=UTC)
AROUND = 240  # minutes before and after a change of which each due time is compared
MOST = 12  # of them
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
    """Where the due times of an expression in a zone are others than Debian's.

    How many there are in ten years; and the due time after and before each moment of a sample:
    around every change of the clock all due times (or `MOST`) and the change, and others anywhere.
    """
    planned, changed = _of_zone(name)
    due, cron, random = one.due(planned), Cron(one.text, ZoneInfo(name)), Random(one.text + name)
    wrong = []
    count = cron.count(BEGIN, BEGIN + (len(due) - 1) * MINUTE, len(due))
    if count != due.count(1):
        wrong.append(f"{one.text!r} in {name}: {count} due times, not {due.count(1)}")
    moments = [random.randrange(len(due)) for _ in range(ANYWHERE)]
    for change in changed:
        most = len(moments) + MOST + 2
        moments += [change, change + random.randint(-AROUND, AROUND)]
        at = due.find(1, change - AROUND)
        while 0 <= at < change + AROUND and len(moments) < most:
            moments.append(at)
            at = due.find(1, at + 1)
    for moment in moments:
        seconds = timedelta(seconds=random.choice([0, 0, 0, 1, 59]))
        start = BEGIN + moment * MINUTE + seconds
        later, earlier = due.find(1, moment + 1), due.rfind(1, 0, moment + bool(seconds))
        for found, expected in (cron.after(start), later), (cron.before(start), earlier):
            right = BEGIN + expected * MINUTE
            is_beyond = found is None or not 0 <= (found - BEGIN) // MINUTE < len(due)
            if not is_beyond if expected < 0 else found != right:
                wrong.append(f"{one.text!r} in {name} from {start}: {found}, not {right}")
    return wrong


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


def main() -> int:
    """Compare and tell how far it is; 1 if anything differs."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--expressions", type=int, default=1_000)
    options.add_argument("--first", type=int, default=0, help="the number of the first expression")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    given = options.parse_args()
    os.nice(19)
    alike, begun, done, pairs, wrong = zones_alike(), time.monotonic(), 0, 0, 0
    total = sum(len(group) for group in alike.values())
    tell(f"{total} zones, of {len(alike)} kinds")
    numbers = range(given.first, given.first + given.expressions)
    with multiprocessing.Pool(given.processes) as pool:
        for number, compared, lines in pool.imap_unordered(_compare, numbers):
            done, pairs, wrong = done + 1, pairs + compared, wrong + len(lines)
            for line in lines:
                tell(f"{number}: {line}")
            if done % 10 == 0 or done == given.expressions:
                took = time.monotonic() - begun
                tell(
                    f"{done}/{given.expressions} expressions, {pairs:,} pairs of a zone and an "
                    f"expression that stand for {pairs // len(alike) * total:,}, {wrong} "
                    f"differences, {took:.0f} s"
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
