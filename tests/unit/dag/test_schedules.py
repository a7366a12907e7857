"""The fields of a schedule, and what `Schedule` says of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.fields import DagFields
from pydag_dist.dag.schedules import cron, dates
from pydag_dist.dag.schedules.cron import Cron
from pydag_dist.dag.schedules.schedule import EPOCH, Every, Schedule

BERLIN = "Europe/Berlin"
TASK = {"task_id": "a", "operator": "python.call", "params": {"callable": "steps:run"}}


def schedule(interval, timezone="UTC", **fields):
    raw = {"dag_id": "x", "schedule_interval": interval, "timezone": timezone, **fields}
    return Dag.parse(raw | {"tasks": [TASK]}).schedule


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def due(made, first, count=3):
    last = at("2199-01-01T00:00Z")
    return [made.text(one) for one in islice(made.between(at(first), last), count)]


def test_without_an_interval_there_is_no_schedule():
    assert schedule("", start_date="2026-01-31") is None


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("30 2 * * *", ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"]),
        ("0,30 2 * * *", ["2026-03-28T02:00:00+01:00", "2026-03-28T02:30:00+01:00"]),
        ("@daily", ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"]),
        ("@midnight", ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"]),
        ("@weekly", ["2026-03-29T00:00:00+01:00", "2026-04-05T00:00:00+02:00"]),
        ("@monthly", ["2026-04-01T00:00:00+02:00", "2026-05-01T00:00:00+02:00"]),
        ("@yearly", ["2027-01-01T00:00:00+01:00", "2028-01-01T00:00:00+01:00"]),
        ("0 6 LW * *", ["2026-03-31T06:00:00+02:00", "2026-04-30T06:00:00+02:00"]),
        ("0 0 29 FEB */7", ["2032-02-29T00:00:00+01:00", "2060-02-29T00:00:00+01:00"]),
        (86400, ["2026-03-28T01:00:00+01:00", "2026-03-29T01:00:00+01:00"]),
    ],
)
def test_due_times(interval, expected):
    assert due(schedule(interval, BERLIN), "2026-03-28T00:00+01:00", 2) == expected


@pytest.mark.parametrize(
    ("interval", "spring", "autumn"),
    [
        ("30 2 * * *", ["03:00+02:00"], ["02:30+02:00"]),
        ("0,30 2 * * *", ["03:00+02:00"], ["02:00+02:00", "02:30+02:00"]),
        (
            "30 1-3 * * *",
            ["01:30+01:00", "03:00+02:00", "03:30+02:00"],
            ["01:30+02:00", "02:30+02:00", "03:30+01:00"],
        ),
        (
            "30 * * * *",
            ["00:30+01:00", "01:30+01:00", "03:30+02:00"],
            ["01:30+02:00", "02:30+02:00", "02:30+01:00", "03:30+01:00"],
        ),
        ("*/30 2 * * *", [], ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
        (3600, ["00:00+01:00", "01:00+01:00", "03:00+02:00"], ["02:00+02:00", "02:00+01:00"]),
    ],
)
def test_due_times_where_clocks_change(interval, spring, autumn):
    found = on(interval, "2026-03-29")
    assert set(spring) <= set(found)
    assert [one for one in found if one[:2] in ("02", "03")] == [
        one for one in spring if one[:2] in ("02", "03")
    ]
    found = on(interval, "2026-10-25")
    assert [one for one in found if one[:2] == "02"] == [one for one in autumn if one[:2] == "02"]


def on(interval, day):
    """The due times of five hours at night, such as 02:30+01:00."""
    made, midnight = schedule(interval, BERLIN), at(f"{day}T00:00+02:00")
    found = made.between(midnight, midnight + timedelta(hours=5))
    return [f"{made.text(one)[11:16]}{made.text(one)[19:]}" for one in found]


def test_the_documented_table_of_both_changes_is_true():
    page = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text("utf-8")
    table = page.partition("| is due on 29 March | is due on 25 October |")[2].splitlines()[2:]
    rows = list(takewhile(lambda line: line.startswith("|"), table))
    assert len(rows) == 5
    for row in rows:
        interval, *cells = row.strip("|").split("|")
        text = [one for one in re.findall("`(.+?)`", interval) if len(one) > 3 and "@" not in one][
            -1
        ]
        for cell, day in zip(cells, ("2026-03-29", "2026-10-25"), strict=True):
            told = re.findall("`([^`]+)`", cell)
            found = on(int(text) if text.isdigit() else text, day)
            assert told == [one for one in found if one in told], row
            if told or "not at all" in cell or "four times" in cell:
                twice = [one for one in found if one[:2] == "02"]
                number = 4 if "four times" in cell else sum(one[:2] == "02" for one in told)
                assert len(twice) == number, row


def test_seconds_are_counted_from_the_start():
    made = schedule(5400.5, BERLIN, start_date="2026-03-29")
    assert due(made, "2000-01-01T00:00Z") == [
        "2026-03-29T00:00:00+01:00",
        "2026-03-29T01:30:00.500000+01:00",
        "2026-03-29T04:00:01+02:00",
    ]
    assert made.before(at("2026-03-29T00:00+01:00")) == at("2026-03-28T22:29:59.5+01:00")


def test_start_and_end_are_included():
    made = schedule("0 3 * * *", BERLIN, start_date="2026-01-30T03:00", end_date="2026-02-01")
    assert due(made, "2025-01-01T00:00Z", 9) == [
        "2026-01-30T03:00:00+01:00",
        "2026-01-31T03:00:00+01:00",
        "2026-02-01T03:00:00+01:00",
    ]
    assert made.after(at("2026-02-01T03:00+01:00")) is None
    # The first run has an interval as long as any other one.
    assert made.before(at("2026-01-30T03:00+01:00")) == at("2026-01-29T03:00+01:00")
    assert made.latest(at("2026-01-30T02:59:59+01:00")) is None
    assert made.latest(at("2026-01-30T03:00+01:00")) == at("2026-01-30T03:00+01:00")
    assert made.latest(at("2030-01-01T00:00Z")) == at("2026-02-01T03:00+01:00")


@pytest.mark.parametrize(
    ("text", "zone", "begin", "end"),
    [
        ("2026-01-31", "UTC", "2026-01-31T00:00Z", "2026-01-31T23:59:59.999999+00:00"),
        ("2026-03-29", BERLIN, "2026-03-29T00:00+01:00", "2026-03-29T23:59:59.999999+02:00"),
        # Midnight does not exist there: the day begins at 01:00.
        (
            "2026-04-24",
            "Africa/Cairo",
            "2026-04-24T01:00+03:00",
            "2026-04-24T23:59:59.999999+03:00",
        ),
        ("2026-01-31T06:00", BERLIN, "2026-01-31T06:00+01:00", "2026-01-31T06:00+01:00"),
        ("2026-01-31 06:00:01Z", BERLIN, "2026-01-31T06:00:01Z", "2026-01-31T06:00:01Z"),
        ("2026-01-31T06:00-05:00", BERLIN, "2026-01-31T11:00Z", "2026-01-31T11:00Z"),
    ],
)
def test_days_and_times(text, zone, begin, end):
    assert dates.begin_of(text, ZoneInfo(zone)) == at(begin)
    assert dates.end_of(text, ZoneInfo(zone)) == at(end)


@pytest.mark.parametrize(
    "name",
    ["", "Berlin", "Europe", "../UTC", "/etc/localtime", "localtime", "right/UTC", "a\0", "ü"],
)
def test_other_texts_are_no_zones(name):
    with pytest.raises(ValueError, match="must be the name of a time zone"):
        dates.zone_of(name)


@pytest.mark.parametrize(
    "text", ["", "today", "2026-1-31", "20260131", "2026-W05", "2026-01-31T25:00", "2026-01-31\n"]
)
def test_other_texts_are_no_dates(text):
    with pytest.raises(ValueError, match="must be a day or a time"):
        dates.begin_of(text, ZoneInfo("UTC"))


NOW = "2026-02-01T12:00Z"


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({}, "2026-02-02T03:00Z"),
        ({"catchup": True}, "2026-02-02T03:00Z"),
        ({"start_date": "2026-01-01"}, "2026-02-02T03:00Z"),
        ({"start_date": "2026-01-01", "catchup": True}, "2026-01-01T03:00Z"),
        ({"start_date": "2026-03-01"}, "2026-03-01T03:00Z"),
        ({"end_date": "2026-02-01"}, None),
    ],
)
def test_what_a_published_dag_waits_for(fields, first):
    assert schedule("0 3 * * *", **fields).first(at(NOW)) == (first and at(first))


def test_what_was_missed():
    made = schedule("0 3 * * *", end_date="2026-01-31")
    waits_for = at("2026-01-20T03:00Z")
    assert made.late(waits_for, at("2026-01-20T02:59Z")) is None
    assert made.late(waits_for, waits_for) == (waits_for, 0)
    assert made.late(waits_for, at("2026-01-22T12:00Z")) == (at("2026-01-22T03:00Z"), 2)
    assert made.late(waits_for, at("2027-01-01T00:00Z")) == (at("2026-01-31T03:00Z"), 11)
    many = schedule(1).late(waits_for, at(NOW))
    assert many == (at(NOW), Schedule.COUNTED)


@given(st.text() | st.from_regex(r"\A([0-9*/,#LW\-]{1,4} ){4}[0-9*/,#LW\-]{1,4}\Z"))
def test_of_any_text_the_problem_is_told_or_it_is_due(text):
    if cron.problem_of(text) is None:
        made, moment = cron.Cron(text, ZoneInfo(BERLIN)), at(NOW)
        later = made.after(moment)
        assert made.before(later) <= moment < later
        assert made.after(made.before(later)) == later


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
@pytest.mark.parametrize("interval", ["0 0 * * *", "@hourly", 86400])
def test_at_the_end_of_all_time_nothing_is_due(interval, moment):
    made = schedule(interval, "Asia/Tokyo")
    moment = at(moment)
    found = [made.after(moment), made.before(moment)]
    assert found.count(None) >= 1


def test_what_is_due_in_a_skipped_hour_only_is_never_due():
    # At 2 on the last Sunday of March: with a * it goes by the clock, which has no such hour.
    made = cron.Cron("* 2 * 3 0L", ZoneInfo(BERLIN))
    assert made.after(at(NOW)) is None
    assert made.before(at(NOW)) == at("1980-03-30T02:59+01:00")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        # Set back by three hours, from 4:00 to 1:00: a fixed time is due in the first pass only.
        ("30 2 11 3 *", ["2018-03-11T02:30:00+11:00"]),
        (
            "*/30 2 11 3 *",
            [f"2018-03-11T02:{m}:00+{h}:00" for h in ("11", "08") for m in ("00", "30")],
        ),
        # Set forward by three hours, from 4:00 to 7:00: corrected, so nothing is caught up.
        ("30 5 7 10 *", []),
        ("30 7 7 10 *", ["2018-10-07T07:30:00+11:00"]),
    ],
)
def test_where_a_clock_changes_by_three_hours(interval, expected):
    made = schedule(interval, "Antarctica/Casey")
    found = made.between(at("2018-01-01T00:00Z"), at("2019-01-01T00:00Z"))
    assert [made.text(one) for one in found] == expected


def test_a_day_that_a_zone_has_skipped_is_not_caught_up():
    made = schedule("0 6 * * *", "Pacific/Apia")
    assert due(made, "2011-12-29T06:00-10:00", 2) == [
        "2011-12-29T06:00:00-10:00",
        "2011-12-31T06:00:00+14:00",
    ]


def test_a_dag_that_is_built_has_a_schedule():
    dag = Dag("x", schedule_interval="@daily", timezone=BERLIN)
    assert due(dag.schedule, NOW, 1) == ["2026-02-02T00:00:00+01:00"]
    assert DagFields("x", schedule_interval=60).schedule.after(at(NOW)) == at("2026-02-01T12:01Z")


@pytest.mark.parametrize("interval", ["weekly, on Monday", "0 3 * *", "0 0 31 2 *"])
def test_a_stored_dag_runs_whatever_its_schedule_says_and_is_refused_anew(interval):
    task = {"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}
    text = json.dumps(
        {"dag_id": "d", "schedule_interval": interval, "start_date": "soon", "tasks": [task]}
    )
    told = []
    dag = Dag.stored(text, "run-1", told.append)
    assert (list(dag.tasks), dag.schedule) == (["a"], None)
    assert "run-1: schedule_interval" in told[0]
    assert told[0].endswith("its schedule is ignored, the run goes on")
    with pytest.raises(InvalidDag):
        Dag.parse(text)
    with pytest.raises(InvalidDag, match="timeout"):
        Dag.stored(text.replace('"dag_id"', '"timeout": -1, "dag_id"'), "run-1")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "UTC"])
@pytest.mark.parametrize(
    "text", ["30 2 * * *", "0,30 2 * * *", "30 * * * *", "*/30 2 * * *", "15 0-3 * * *"]
)
def test_due_times_are_counted_as_they_come_one_by_one(text, zone):
    when = Cron(text, ZoneInfo(zone))
    made = Schedule(when, ZoneInfo(zone))
    for month, day in ((3, 28), (4, 4), (4, 23), (10, 3), (10, 24), (10, 29), (7, 1)):
        first = made.after(datetime(2026, month, day, tzinfo=UTC))
        for hours in (1, 25, 49, 70):
            last = first + timedelta(hours=hours)
            times = list(made.between(first, last))
            assert when.count(first, last, 1_000) == len(times)
            assert when.count(first, last, 2) == min(2, len(times))
    assert Every(EPOCH, timedelta(hours=1)).count(EPOCH, EPOCH + timedelta(hours=3), 1_000) == 4
