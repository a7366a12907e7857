"""Due times against those of Debian's cron, minute by minute, where and when clocks change.

`PYDAG_TEST_EXAMPLES=1000` compares as many random expressions in every zone whose offset changes in
ten years, each at two of its changes.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest

from pydag_dist.dag.schedules.cron import Cron, problem_of
from tests.model.debian_cron import MINUTE, changes, expression, plan

EXAMPLES = int(os.environ.get("PYDAG_TEST_EXAMPLES", "0"))
YEARS = 2016, 2025
AROUND = timedelta(hours=30)
STEPS = 2  # due times that are looked at from a moment on, and back
# By an hour at night; by half an hour; at midnight; by two and three hours; rules that ended.
SOME = [
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "America/Caracas",
    "Asia/Pyongyang",
]


def zones():
    """Those whose offset changes, of several that change alike one."""
    alike = {}
    for name in sorted(available_timezones() if EXAMPLES else SOME):
        zone = ZoneInfo(name)
        if found := changes(zone, *YEARS):
            offsets = (at.astimezone(zone).utcoffset() for at in found)
            alike.setdefault((*found, *offsets), name)
    return list(alike.values())


@pytest.mark.timeout(86400 if EXAMPLES else 60)
@pytest.mark.parametrize("name", zones())
def test_due_times_are_those_of_debians_cron_where_clocks_change(name):
    zone, random = ZoneInfo(name), Random(name)
    found = changes(zone, *YEARS)
    expressions = [expression(Random(number)) for number in range(EXAMPLES or 40)]
    expressions = [one for one in expressions if problem_of(one.text) is None]
    assert len(expressions) > (EXAMPLES or 40) * 0.9

    @cache
    def looked_at(change):
        return plan(zone, change - AROUND, change + AROUND)

    for one in expressions:
        cron = Cron(one.text, zone)
        for change in random.sample(found, min(len(found), 2)):
            due = one.due(looked_at(change))
            start = random.choice([change, change + random.randint(-300, 300) * MINUTE])
            told = f"{one.text!r} in {name} at {start}"
            later = due[bisect_right(due, start) :][:STEPS]
            assert forwards(cron, start, change + AROUND) == later, told
            earlier = due[: bisect_left(due, start)][-STEPS:]
            assert backwards(cron, start, change - AROUND) == earlier, told


def forwards(cron, moment, last):
    found = []
    while len(found) < STEPS and (moment := cron.after(moment)) and moment <= last:
        found.append(moment)
    return found


def backwards(cron, moment, first):
    found = []
    while len(found) < STEPS and (moment := cron.before(moment)) and moment >= first:
        found.insert(0, moment)
    return found


@pytest.mark.timeout(86400 if EXAMPLES else 60)
def test_due_times_of_ten_years_are_those_of_debians_cron_where_no_clock_changes():
    utc = ZoneInfo("UTC")
    for number in range(EXAMPLES or 20):
        random = Random(number)
        one = expression(random)
        if problem_of(one.text):
            continue
        first = datetime(2016, 1, 1, tzinfo=UTC) + random.randrange(365) * timedelta(days=1)
        cron, at = Cron(one.text, utc), first - MINUTE
        for expected in islice(one.due_of_days(first, 3650), 1_000 if EXAMPLES else 50):
            found, at = cron.after(at), expected
            assert found == expected, one.text
            assert cron.before(cron.after(expected)) == expected, one.text
