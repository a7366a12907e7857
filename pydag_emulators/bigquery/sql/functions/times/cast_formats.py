"""`CAST(x AS STRING FORMAT 'YYYY-MM')` of dates and times, and back.

Elements: https://cloud.google.com/bigquery/docs/reference/standard-sql/format-elements
"""

from __future__ import annotations

import re
from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import Node, call, macro, number, text
from pydag_emulators.bigquery.sql.typing.types import Type

_ELEMENT = re.compile(
    r"YYYY|YYY|YY|Y|RRRR|RR|MONTH|MON|MM|MI|DDD|DD|DAY|DY|D|HH24|HH12|HH|SSSSS|SS|FF[1-9]|"
    r'AM|PM|A\.M\.|P\.M\.|TZH|TZM|[-./,\';: ]|"[^"\\]*"',
    re.IGNORECASE,
)
_DAYS = {
    "YYYY": "%Y", "YY": "%y", "RRRR": "%Y", "RR": "%y", "MM": "%m", "MON": "%b", "MONTH": "%B",
    "DD": "%d", "DDD": "%j", "DY": "%a", "DAY": "%A",
}  # fmt: skip
_CLOCKS = {
    "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S", "AM": "%p", "PM": "%p",
    "A.M.": "%p", "P.M.": "%p",
}  # fmt: skip
_NAMES = ("MON", "MONTH", "DY", "DAY", "AM", "PM", "A.M.", "P.M.")
_DIGITS = {"YYY": 3, "Y": 1}


def _elements(format_: Node) -> list[str]:
    if not isinstance(format_, exp.Literal):
        raise unimplemented("formats of CAST that are not literals")
    elements: list[str] = []
    end = 0
    while match := _ELEMENT.match(format_.name, end):
        elements.append(match[0])
        end = match.end()
    if not elements or end < len(format_.name):
        raise unimplemented(f"the elements of a FORMAT that begin at {format_.name[end:]!r}")
    return elements


def _zoned(format_: Node) -> tuple[Node, Node | None]:
    """The format and its time zone, of `'…' AT TIME ZONE zone`, which has been lowered already."""
    if isinstance(format_, exp.Anonymous) and format_.name == "bq_at_zone":
        return format_.expressions[0], format_.expressions[1]
    return format_, None


def shown(given: Node, value: Node, type_: Type | None) -> Node:
    """The text of a date or time.

    Raises:
        ApiError: `invalidQuery` if the type has no such element, `notImplemented`.
    """
    format_, zone = _zoned(given)
    kind = "" if type_ is None else type_.kind
    if kind not in ("DATE", "TIME", "DATETIME", "TIMESTAMP"):
        raise unimplemented(f"CAST of {kind or 'this'} with such a FORMAT")
    moment = macro("civil", value) if zone is None else macro("at_zone", value, zone)
    offset = macro("offset_text", value, zone, text(":")) if zone is not None else text("+00:00")
    parts = [_part(element, moment, kind, offset) for element in _elements(format_)]
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _part(element: str, moment: Node, kind: str, offset: Node) -> Node:
    name = element.upper()
    if not element[0].isalpha():
        return text(element.strip('"') if element[0] == '"' else element)
    is_day = name in _DAYS or name in _DIGITS or name == "D"
    has_day, has_clock = kind != "TIME", kind != "DATE"
    if not (has_day if is_day else kind == "TIMESTAMP" if name.startswith("TZ") else has_clock):
        raise invalid_query(f"Format element {element} is not allowed for a {kind}")
    computed = _computed(name, moment, offset)
    if computed is not None:
        return computed
    written = call("strftime", moment, text({**_DAYS, **_CLOCKS}[name]))
    if "." in name:
        written = call("regexp_replace", written, text("(.)M"), text(r"\1.M."))
    if name in _NAMES:
        style = "upper" if element == name else "lower" if element.islower() else ""
        return call(style, written) if style else written
    return written


def _computed(name: str, moment: Node, offset: Node) -> Node | None:
    """What strftime can't show."""
    if name in ("TZH", "TZM"):
        return (
            call("left", offset, number(3)) if name == "TZH" else call("right", offset, number(2))
        )
    if name in _DIGITS:
        return call("right", call("strftime", moment, text("%Y")), number(_DIGITS[name]))
    if name == "D":
        return macro("weekday_text", moment)
    if name == "SSSSS":
        return macro("seconds_of_day_text", moment)
    if name.startswith("FF"):
        return call("left", call("strftime", moment, text("%f000")), number(int(name[2])))
    return None


_PARSED = {k: v for k, v in {**_DAYS, **_CLOCKS}.items() if k not in ("DAY", "DY", "A.M.", "P.M.")}
_TYPES = {"DATE": "date", "TIME": "time", "TIMESTAMP": "datetime", "TIMESTAMPTZ": "timestamp"}


def parsed(given: Node, value: Node, type_: str, *, safe: bool) -> Node:
    """The date or time of a text; `type_` is that of DuckDB.

    Raises:
        ApiError: `notImplemented`.
    """
    format_, zone = _zoned(given)
    elements = [element.upper() for element in _elements(format_)]
    names = {name for name in elements if name[0].isalpha()}
    if type_ != "TIME" and not (
        names & {"YYYY", "YY", "RRRR", "RR"} and names & {"MM", "MON", "MONTH", "DDD"}
    ):
        raise unimplemented("CAST with a FORMAT without a year and a month")  # the current ones
    moment: Node = call("try_strptime" if safe else "strptime", value, text(_pattern(elements)))
    if "YY" in names:
        moment = macro("this_century", moment)
    if zone is not None and "TZH" not in names:
        return macro("at_zone", macro("datetime", moment), zone)
    return macro(_TYPES[type_], moment)


def _pattern(elements: list[str]) -> str:
    pattern = ""
    for element in elements:
        if element in _PARSED:
            pattern += _PARSED[element]
        elif element.startswith("FF"):
            pattern += "%f"
        elif element == "TZH":
            pattern += "%z"  # with the minutes, if they are there
        elif element == "TZM":
            pattern = pattern.removesuffix(":")
        elif element[0].isalpha():
            raise unimplemented(f"the element {element} in CAST from STRING")
        else:
            pattern += element.strip('"') if element[0] == '"' else element
    return pattern
