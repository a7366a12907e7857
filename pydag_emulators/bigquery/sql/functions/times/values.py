"""Making dates, times and timestamps, and their parts."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lower,
    Lowering,
    Node,
    macro,
    number,
    only,
    refused,
    text,
    unary,
)
from pydag_emulators.bigquery.sql.functions.times.arithmetic import WEEKDAYS, coerced

KEEP: Kinds = (exp.CurrentTimestamp,)

_EXTRACT_DATE = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "DAY": "day",
    "DAYOFYEAR": "doy",
    "ISOWEEK": "week",
    "ISOYEAR": "isoyear",
}
_EXTRACT_TIME = {
    "HOUR": 24,
    "MINUTE": 60,
    "SECOND": 60,
    "MILLISECOND": 1000,
    "MICROSECOND": 1_000_000,
}
_WHOLE = {"DATE": "date", "TIME": "time", "DATETIME": "datetime"}


def _extract(node: exp.Extract) -> Node:
    part, value = node.this, node.expression
    if isinstance(part, exp.WeekStart):
        return _week(value, part.this.name.upper())
    name = part.name.upper()
    if name == "WEEK":
        return _week(value, "SUNDAY")
    if name == "DAYOFWEEK":
        monday0 = macro("extract_date", value, text("dow"))
        return exp.Paren(this=exp.Add(this=monday0, expression=exp.Literal.number(1)))
    if name in _EXTRACT_DATE:
        return macro("extract_date", value, text(_EXTRACT_DATE[name]))
    if name in _EXTRACT_TIME:
        return macro("extract_time", value, text(name.lower()), number(_EXTRACT_TIME[name]))
    if name in _WHOLE:
        return macro(_WHOLE[name], value)
    raise unimplemented(f"EXTRACT({name})")


def _week(value: Node, first_day: str) -> Node:
    return macro("week_of", macro("civil", value), number((WEEKDAYS.index(first_day) + 1) % 7))


def _at_zone(node: exp.AtTimeZone) -> Node:
    return macro("at_zone", node.this, node.args["zone"])


def _date(node: exp.Date) -> Node:
    only(node, "this", "zone", "expressions")
    zone = node.args.get("zone")
    if node.args.get("expressions"):
        raise refused(node)
    return macro("date", node.this if zone is None else macro("at_zone", node.this, zone))


def _datetime(node: exp.Datetime) -> Node:
    more = node.expression
    if more is None:
        return macro("datetime", node.this)
    if isinstance(more, exp.Literal):
        return macro("at_zone", node.this, more)
    return macro("datetime_of", node.this, more)


def _timestamp(node: exp.Timestamp) -> Node:
    only(node, "this", "zone", "with_tz")
    zone = node.args.get("zone")
    if zone is None:
        return macro("timestamp", node.this)
    return macro("at_zone", macro("datetime", node.this), zone)


def _from_parts(name: str, *parts: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, *parts)
        return macro(name, *[node.args[part] for part in parts])

    return lower


def _current_date(node: exp.CurrentDate) -> Node:
    now: Node = exp.CurrentTimestamp()
    return macro("date", now if node.this is None else macro("at_zone", now, node.this))


def _current_datetime(node: exp.CurrentDatetime) -> Node:
    zone = node.this if node.this is not None else text("UTC")
    return macro("at_zone", exp.CurrentTimestamp(), zone)


def _to_unix(micros: int) -> Lower:
    return lambda node: macro("unix_micros", coerced(node.this, "timestamp"), number(micros))


def _from_unix(node: exp.UnixToTime) -> Node:
    scale = node.args.get("scale")
    places = 0 if scale is None else int(scale.find(exp.Literal).name)
    return macro("from_micros", node.this, number(10 ** (6 - places)))


def _time(node: exp.Time) -> Node:
    only(node, "this", "zone")
    return macro("time", macro("at_zone", node.this, node.args["zone"]))


LOWER: Lowering = {
    exp.AtTimeZone: _at_zone,
    exp.CurrentDate: _current_date,
    exp.CurrentDatetime: _current_datetime,
    exp.Date: _date,
    exp.DateFromParts: _from_parts("make_date", "year", "month", "day"),
    exp.DateFromUnixDate: unary("date_from_unix_date"),
    exp.Datetime: _datetime,
    exp.Extract: _extract,
    exp.Time: _time,
    exp.TimeFromParts: _from_parts("make_time", "hour", "min", "sec"),
    exp.Timestamp: _timestamp,
    exp.TimestampFromParts: _from_parts(
        "make_datetime", "year", "month", "day", "hour", "min", "sec"
    ),
    exp.TsOrDsToDate: unary("date"),
    exp.TsOrDsToDatetime: unary("datetime"),
    exp.TsOrDsToTime: unary("time"),
    exp.TsOrDsToTimestamp: unary("timestamp"),
    exp.UnixDate: unary("unix_date"),
    exp.UnixMicros: _to_unix(1),
    exp.UnixMillis: _to_unix(1000),
    exp.UnixSeconds: _to_unix(1_000_000),
    exp.UnixToTime: _from_unix,
}
