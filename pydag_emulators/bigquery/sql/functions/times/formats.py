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
_CLOCK = ("c", "f", "H", "I", "M", "p", "S", "s", "R", "T", "E*S", "E3S", "E6S", *_UTC)
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
    known = _known(node.this, format_.name, zone)
    computed = {**_COMPUTED, "s": "epoch_text"} if zone is None else _COMPUTED
    parts: list[Node] = []
    end = 0
    offsets = {} if zone is None else {"z": _offset(node, zone, ""), "Ez": _offset(node, zone, ":")}
    apart = {*computed, *offsets} - {name for name, shown in known.items() if shown == f"%%{name}"}
    for match in [m for m in _ELEMENT.finditer(format_.name) if m[1] in apart]:
        parts += _shown(node, moment, format_.name[end : match.start()], known)
        parts.append(offsets.get(match[1]) or macro(computed[match[1]], moment))
        end = match.end()
    parts += _shown(node, moment, format_.name[end:], known)
    if not parts:
        return text("")
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _known(value: Node, format_: str, zone: Node | None) -> dict[str, str]:
    """The elements for strftime; those that the value has nothing for stand for themselves."""
    name = value.name if isinstance(value, exp.Anonymous) else ""
    if zone is not None:
        return _FORMAT
    if name == "bq_date":
        if re.search("%H:%M:%S|%S.%f", format_):  # sqlglot has written %T or %E6S so
            raise unimplemented(f"FORMAT_DATE with elements of a time ({format_})")
        return {**_FORMAT, **{element: f"%%{element}" for element in _CLOCK}}
    if name == "bq_datetime":
        return _FORMAT | {k: f"%%{k}" for k in _UTC}
    return _FORMAT | _UTC


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
        given = node.args["format"].name
        if re.search("%[GgVuw]" if type_ == "timestamp" else "%(?:[GgVuw]|E?z)", given):
            raise invalid_query(f"Invalid format: elements of {given!r} are not supported here")
        if type_ != "time" and not _YEAR.search(given):
            raise unimplemented("PARSE_… with a format without a year")
        parsed = call("strptime", node.this, _translated(node, _PARSE))
        zone = node.args.get("zone")
        if zone is not None and not re.search("%E?z", given):
            return macro("at_zone", macro("datetime", parsed), zone)
        value = macro(type_, parsed)
        # TRY doesn't see errors in the branches of a CASE.
        is_safe = isinstance(node.parent, exp.SafeFunc)
        return value if type_ == "time" or is_safe else macro("range", value)

    return lower


LOWER: Lowering = {
    exp.ParseDatetime: _parse("datetime"),
    exp.ParseTime: _parse("time"),
    exp.StrToDate: _parse("date"),
    exp.StrToTime: _parse("timestamp"),
    exp.TimeToStr: _format,
}
