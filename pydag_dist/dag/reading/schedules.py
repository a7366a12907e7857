"""Checks a DAG's schedule as a whole, after each of its fields was found right."""

from __future__ import annotations

from collections.abc import Collection

from pydag_dist.dag.fields import DagFields
from pydag_dist.dag.reading.report import Report
from pydag_dist.dag.schedules import dates
from pydag_dist.dag.schedules.schedule import EPOCH


def check_schedule(fields: DagFields, bad: Collection[str], report: Report) -> None:
    """Check the order of its dates, and that it is ever due; `bad` fields are wrong already."""
    if fields.on_late and fields.expected_within is None and "expected_within" not in bad:
        report.add('needs "expected_within", the seconds after which a run is late', "on_late")
    if {"timezone", "start_date", "end_date"}.intersection(bad):
        return
    if fields.start_date and fields.end_date:
        start = dates.begin_of(fields.start_date, fields.zone)
        if dates.end_of(fields.end_date, fields.zone) < start:
            report.add(f"must not be before the start_date, {fields.start_date}", "end_date")
            return
    schedule = fields.schedule
    if schedule and schedule.after(EPOCH) is None:
        first = f"{fields.start_date or '1970'} to {fields.end_date}"
        when = f"from {first}" if fields.end_date else f"in {fields.timezone}"
        report.add(f"is never due {when}", "schedule_interval")
