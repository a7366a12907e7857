"""FORMAT_DATE, PARSE_TIMESTAMP and the like: their format elements as strftime's.

Elements: https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
"""

from __future__ import annotations

import re

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lower,
    Lowering,
    Node,
    call,
    macro,
    only,
    text,
)

KEEP: Kinds = ()

_ELEMENT = re.compile(r"%(E4Y|E\*S|E#S|E\d*S|Ez|.)", re.DOTALL)
# sqlglot has put %f for %E6S already, and written out %x, %D, %F and %T.
_SAME = "AaBbdfHIjMmpSYyUWwGVu%"
_BOTH = {
    **{letter: f"%{letter}" for letter in _SAME},
    "h": "%b",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "n": "\n",
    "t": "\t",
    "E4Y": "%Y",
    "E6S": "%S.%f",
}
_FORMAT = {**_BOTH, "E3S": "%S.%g"}
_UTC = {"Z": "UTC", "z": "+0000", "Ez": "+00:00"}
_PARSE = {**_BOTH, "z": "%z", "Ez": "%z"}
_YEAR = re.compile(r"%[YyDFG]|%E4Y")


def _translated(node: Node, known: dict[str, str]) -> Node:
    format_ = node.args["format"]
    if not isinstance(format_, exp.Literal):
        raise unimplemented("formats of dates and times that are not literals")

    def element(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise unimplemented(f"the format element %{match[1]}")
        return known[match[1]]

    return text(_ELEMENT.sub(element, format_.name))


def _format(node: exp.TimeToStr) -> Node:
    only(node, "this", "format", "zone")
    zone = node.args.get("zone")
    if zone is not None:
        return call("strftime", macro("at_zone", node.this, zone), _translated(node, _FORMAT))
    return call("strftime", macro("civil", node.this), _translated(node, {**_FORMAT, **_UTC}))


def _parse(type_: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, "this", "format", "zone", "default_year")
        if type_ != "time" and not _YEAR.search(node.args["format"].name):
            raise unimplemented("PARSE_… with a format without a year")
        parsed = call("strptime", node.this, _translated(node, _PARSE))
        zone = node.args.get("zone")
        if zone is not None:
            return macro("at_zone", macro("datetime", parsed), zone)
        return macro(type_, parsed)

    return lower


LOWER: Lowering = {
    exp.ParseDatetime: _parse("datetime"),
    exp.ParseTime: _parse("time"),
    exp.StrToDate: _parse("date"),
    exp.StrToTime: _parse("timestamp"),
    exp.TimeToStr: _format,
}
