"""FORMAT_DATE, PARSE_TIMESTAMP and the like: their format elements as strftime's.

Elements: https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
"""

from __future__ import annotations

import re
from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lower,
    Lowering,
    Node,
    call,
    macro,
    number,
    only,
    text,
)
from pydag_emulators.bigquery.sql.typing.types import Type

KEEP: Kinds = ()

_ELEMENT = re.compile(r"%(E4Y|E\*S|E#S|E\d*S|Ez|-d|.)", re.DOTALL)
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
_PARSE = {**_BOTH, "z": "%z", "Ez": "%z", "-d": "%-d", "e": "%-d"}
_OF_DATES = re.compile(r"%[^HIMSfgpn%]")  # what strftime shows of a day
# What strftime can't show, as macros of the moment; `e` is `-d` for sqlglot.
_COMPUTED = {"-d": "day_padded", "e": "day_padded", "Q": "quarter_text", "E*S": "seconds_text"}
_YEAR = re.compile(r"%[YyDFG]|%E4Y")


def _translated(node: Node, known: dict[str, str]) -> Node:
    format_ = node.args["format"]
    if not isinstance(format_, exp.Literal):
        raise unimplemented("formats of dates and times that are not literals")

    # A fraction may be left out.
    formats = [format_.name.replace("%E*S", "%E6S"), format_.name.replace("%E*S", "%S")]
    one, *_ = texts = [text(_replaced(each, known)) for each in formats]
    return exp.Array(expressions=texts) if "%E*S" in format_.name else one


def _replaced(format_: str, known: dict[str, str]) -> str:
    def element(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise unimplemented(f"the format element %{match[1]}")
        return known[match[1]]

    return _ELEMENT.sub(element, format_)


def _format(node: exp.TimeToStr) -> Node:
    only(node, "this", "format", "zone")
    zone, format_ = node.args.get("zone"), node.args["format"]
    moment = macro("civil", node.this) if zone is None else macro("at_zone", node.this, zone)
    if not isinstance(format_, exp.Literal):
        raise unimplemented("formats of dates and times that are not literals")
    known = {**_FORMAT, **_UTC} if zone is None else _FORMAT
    computed = {**_COMPUTED, "s": "epoch_text"} if zone is None else _COMPUTED
    parts: list[Node] = []
    end = 0
    offsets = {} if zone is None else {"z": _offset(node, zone, ""), "Ez": _offset(node, zone, ":")}
    for match in [m for m in _ELEMENT.finditer(format_.name) if m[1] in (*computed, *offsets)]:
        parts += _shown(node, moment, format_.name[end : match.start()], known)
        parts.append(offsets.get(match[1]) or macro(computed[match[1]], moment))
        end = match.end()
    parts += _shown(node, moment, format_.name[end:], known)
    if not parts:
        return text("")
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _offset(node: exp.TimeToStr, zone: Node, between: str) -> Node:
    """How far the time zone is from UTC at that moment."""
    return macro("offset_text", node.this, zone, text(between))


def _shown(node: Node, moment: Node, format_: str, known: dict[str, str]) -> list[Node]:
    if not format_:
        return []
    translated = _replaced(format_, known)
    is_time = isinstance(node.this, exp.Anonymous) and node.this.name == "bq_time"
    if is_time and _OF_DATES.search(translated):
        raise unimplemented(f"FORMAT_TIME with elements of a date ({format_})")
    return [call("strftime", moment, text(translated))]


def _parse(type_: str) -> Lower:
    def lower(node: Node) -> Node:
        only(node, "this", "format", "zone", "default_year")
        if type_ == "timestamp" and node.args["format"].name == "%s":
            return macro("from_micros", macro("int64", node.this), number(1_000_000))
        if type_ != "time" and not _YEAR.search(node.args["format"].name):
            raise unimplemented("PARSE_… with a format without a year")
        parsed = call("strptime", node.this, _translated(node, _PARSE))
        zone = node.args.get("zone")
        if zone is not None:
            return macro("at_zone", macro("datetime", parsed), zone)
        value = macro(type_, parsed)
        # TRY doesn't see errors in the branches of a CASE.
        is_safe = isinstance(node.parent, exp.SafeFunc)
        return value if type_ == "time" or is_safe else macro("range", value)

    return lower


_CAST_ELEMENT = re.compile(
    r'YYYY|YY|MM|MON|DDD|DD|DY|HH24|HH12|HH|MI|SS|AM|PM|TZH|TZM|[-./,\';: ]|"[^"\\]*"',
    re.IGNORECASE,
)
_OF_DAYS = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d", "DDD": "%j"}
_OF_CLOCKS = {
    "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S", "AM": "%p", "PM": "%p",
}  # fmt: skip
_OF_ZONES = {"TZH": "+00", "TZM": "00"}
_NAMES = {"MON": "%b", "DY": "%a"}
_ELEMENTS_OF = {
    "DATE": {**_OF_DAYS, **_NAMES},
    "TIME": _OF_CLOCKS,
    "DATETIME": {**_OF_DAYS, **_NAMES, **_OF_CLOCKS},
    "TIMESTAMP": {**_OF_DAYS, **_NAMES, **_OF_CLOCKS, **_OF_ZONES},
}


def format_of_cast(format_: Node, value: Node, type_: Type | None) -> Node:
    """`CAST(x AS STRING FORMAT 'YYYY-MM')`, of a date or time."""
    kind = "" if type_ is None else type_.kind
    if kind not in _ELEMENTS_OF or not isinstance(format_, exp.Literal):
        raise unimplemented(f"CAST of {kind or 'this'} with such a FORMAT")
    parts: list[Node] = []
    end = 0
    while match := _CAST_ELEMENT.match(format_.name, end):
        parts.append(_cast_element(match[0], macro("civil", value), kind))
        end = match.end()
    if not parts or end < len(format_.name):
        raise unimplemented(f"the elements of a FORMAT that begin at {format_.name[end:]!r}")
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _cast_element(element: str, moment: Node, kind: str) -> Node:
    name = element.upper()
    if element[0] == '"' or not element[0].isalpha():
        return text(element.strip('"') if element[0] == '"' else element)
    if name not in _ELEMENTS_OF[kind]:
        raise invalid_query(f"Format element {element} is not allowed for a {kind}")
    known = _ELEMENTS_OF[kind][name]
    shown = call("strftime", moment, text(known)) if known.startswith("%") else text(known)
    if name in _NAMES or name in ("AM", "PM"):
        style = "upper" if element == name else "lower" if element.islower() else ""
        return call(style, shown) if style else shown
    return shown


LOWER: Lowering = {
    exp.ParseDatetime: _parse("datetime"),
    exp.ParseTime: _parse("time"),
    exp.StrToDate: _parse("date"),
    exp.StrToTime: _parse("timestamp"),
    exp.TimeToStr: _format,
}
