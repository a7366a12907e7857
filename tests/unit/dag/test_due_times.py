"""Due times of ten years against those of Debian's cron, minute by minute.

A sample of what `make due-times` compares: all zones, a thousand expressions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

from pydag_dist.dag.schedules.cron import Cron, problem_of
from tests.model.debian_cron import DAY, MINUTE, expression
from tests.model.due_times import differences, zones

EXAMPLES = 24
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


def test_due_times_are_those_of_debians_cron():
    names = list(zones(SOME))
    assert len(names) == len(SOME)
    compared = 0
    for number in range(EXAMPLES):
        one = expression(Random(number))
        if problem_of(one.text) is None:
            compared += 1
            for name in Random(number).sample(names, 2):
                assert differences(one, name) == []
    assert compared > EXAMPLES * 0.9


def test_a_due_time_that_is_not_debians_is_found(monkeypatch):
    """Else the comparison would say nothing."""
    fixed = (one for one in map(expression, map(Random, range(99))) if not one.is_wildcard)
    nightly = next(one for one in fixed if 120 <= min(one.times) <= max(one.times) < 180)
    assert differences(nightly, "Europe/Berlin") == []
    monkeypatch.setattr(Cron, "_change", lambda _cron, before, _after: before)
    assert differences(nightly, "Europe/Berlin")


def test_due_times_of_ten_years_are_those_of_debians_cron_where_no_clock_changes():
    utc = ZoneInfo("UTC")
    for number in range(EXAMPLES):
        random = Random(number)
        one = expression(random)
        if problem_of(one.text):
            continue
        first = datetime(2016, 1, 1, tzinfo=UTC) + random.randrange(365) * DAY
        cron, at = Cron(one.text, utc), first - MINUTE
        for expected in islice(one.due_of_days(first, 3650), 50):
            found, at = cron.after(at), expected
            assert found == expected, one.text
            assert cron.before(cron.after(expected)) == expected, one.text
