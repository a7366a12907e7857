"""Moving, truncating, subtracting and listing dates, times and timestamps."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lower,
    Lowering,
    Node,
    call,
    cast,
    macro,
    number,
    only,
    refused,
    text,
)
from pydag_emulators.bigquery.sql.functions.times.intervals import interval, whole

KEEP: Kinds = (exp.WeekStart,)

WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_PARTS = frozenset(
    {
        "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "QUARTER",
        "YEAR", "ISOYEAR",
    }
)  # fmt: skip
_MICROS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}


def _part(unit: Node) -> tuple[Node, Node]:
    """DuckDB's date part, and how many days before a Monday the week begins."""
    if isinstance(unit, exp.WeekStart):
        day = unit.this.name.upper()
        return text("week"), number((7 - WEEKDAYS.index(day)) % 7)
    name = unit.name.upper()
    if name == "WEEK":
        return text("week"), number(1)
    if name == "ISOWEEK":
        return text("week"), number(0)
    if name not in _PARTS:
        raise unimplemented(f"the date part {name}")
    return text(name.lower()), number(0)


def coerced(value: Node, type_: str) -> Node:
    """A string literal as the date or time that GoogleSQL takes it for."""
    return macro(type_, value) if isinstance(value, exp.Literal) and value.is_string else value


_CLOCK_UNITS = frozenset({"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR"})

_CALENDAR_UNITS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_MOVES = {
    "date": _CLOCK_UNITS | _CALENDAR_UNITS,  # it may be a DATETIME, too
    "datetime": _CLOCK_UNITS | _CALENDAR_UNITS,
    "timestamp": _CLOCK_UNITS | {"DAY"},
    "time": _CLOCK_UNITS,
}


def _moved(name: str, type_: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, "this", "expression", "unit")
        amount = node.expression
        if isinstance(amount, exp.Literal) and amount.is_string:
            amount = whole(amount)
        unit = node.args["unit"].name.upper()
        if unit not in _MOVES[type_]:
            raise invalid_query(f"{node.key.upper()} does not support the {unit} date part")
        by = interval(amount, unit)
        return macro(name, coerced(node.this, type_), by)

    return lower


def _diff(type_: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, "this", "expression", "unit", "date_part_boundary")
        part, shift = _part(node.args["unit"])
        first, second = coerced(node.this, type_), coerced(node.expression, type_)
        return macro("diff", first, second, part, shift)

    return lower


def _timestamp_diff(node: exp.TimestampDiff) -> Node:
    unit = node.args["unit"].name.upper()
    if unit not in _MICROS:
        raise invalid_query(f"TIMESTAMP_DIFF does not support the {unit} date part")
    first, second = coerced(node.this, "timestamp"), coerced(node.expression, "timestamp")
    return macro("timestamp_diff", first, second, number(_MICROS[unit]))


def _time_diff(node: exp.TimeDiff) -> Node:
    part, _ = _part(node.args["unit"])
    return macro("time_diff", coerced(node.this, "time"), coerced(node.expression, "time"), part)


def _trunc(type_: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, "this", "unit", "zone")
        part, shift = _part(node.args["unit"])
        value, zone = coerced(node.this, type_), node.args.get("zone")
        if zone is None:
            return macro("trunc_time", value, part, shift)
        # It is converted to that time zone, truncated, and converted back.
        civil = macro("trunc_time", macro("at_zone", value, zone), part, shift)
        return macro("at_zone", civil, zone)

    return lower


def _last_day(node: exp.LastDay) -> Node:
    value, unit = coerced(node.this, "date"), node.args.get("unit")
    if unit is None or unit.name.upper() == "MONTH":
        return macro("last_day", value)
    part, shift = _part(unit)
    if part.name not in _MONTHS and part.name != "week":
        raise refused(node)
    months = number(_MONTHS.get(part.name, 0))
    return macro("last_day_of", macro("date", value), part, shift, months)


_MONTHS = {"quarter": 3, "year": 12}


def _time_trunc(node: exp.TimeTrunc) -> Node:
    only(node, "this", "unit")
    part, _ = _part(node.args["unit"])
    return macro("time_trunc", coerced(node.this, "time"), part)


def _date_array(node: exp.GenerateDateArray) -> Node:
    bounds = [coerced(node.args[name], "date") for name in ("start", "end")]
    step = node.args["step"]  # `n * INTERVAL '1' unit`, lowered already
    if isinstance(step, exp.Interval):
        count: Node = number(1)
        one: Node = step
    else:
        count, one = step.this, step.expression
    days = _DAYS_OF.get(one.args["unit"].name.upper())
    if days is None:
        raise refused(node)
    return cast(macro("steps", *bounds, count, one, number(days)), "DATE[]")


_DAYS_OF = {"DAY": 1, "WEEK": 7, "MONTH": 28, "QUARTER": 90, "YEAR": 365}


def _timestamp_array(node: exp.GenerateTimestampArray) -> Node:
    bounds = [coerced(node.args[name], "timestamp") for name in ("start", "end")]
    return call("generate_series", *bounds, node.args["step"])


LOWER: Lowering = {
    exp.DateAdd: _moved("date_add", "date"),
    exp.DateDiff: _diff("date"),
    exp.DateSub: _moved("date_sub", "date"),
    exp.DateTrunc: _trunc("date"),
    exp.DatetimeAdd: _moved("datetime_add", "datetime"),
    exp.DatetimeDiff: _diff("datetime"),
    exp.DatetimeSub: _moved("datetime_sub", "datetime"),
    exp.DatetimeTrunc: _trunc("datetime"),
    exp.GenerateDateArray: _date_array,
    exp.GenerateTimestampArray: _timestamp_array,
    exp.LastDay: _last_day,
    exp.TimeAdd: _moved("time_add", "time"),
    exp.TimeDiff: _time_diff,
    exp.TimeSub: _moved("time_sub", "time"),
    exp.TimeTrunc: _time_trunc,
    exp.TimestampAdd: _moved("timestamp_add", "timestamp"),
    exp.TimestampDiff: _timestamp_diff,
    exp.TimestampSub: _moved("timestamp_sub", "timestamp"),
    exp.TimestampTrunc: _trunc("timestamp"),
}
