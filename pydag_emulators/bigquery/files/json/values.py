"""JSON values as values of columns, by BigQuery's rules.

https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#data_types
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydag_emulators.bigquery.schema import Field

_MOST_SHOWN = 1000  # characters of a wrong value in a message
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_EXACT = Context(prec=76)
_NUMERIC_DIGITS = Decimal("1e29")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?")
_EPOCH = re.compile(r"[-+]?[0-9]{1,12}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?")
_SLASHES = re.compile(r"^([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})")
_DATETIME = re.compile(r"(\S+?)(?:[ Tt](\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d{1,6})?))?")
_ZONED = re.compile(
    r"(\d{4}-\d{1,2}-\d{1,2}(?:[ Tt]\S+?)?)"
    r"(?: ?([Zz]|[+-]\d{1,2}(?::?\d{2})?)| (UTC|[A-Za-z_]+(?:/[A-Za-z_]+)+))?"
)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET = re.compile(r"[+-](\d{1,2}):?(\d{2})?")

_BAD = (
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    InvalidOperation,
    ZoneInfoNotFoundError,
)


class Written(float):
    """A number of a JSON text, with its digits."""

    def __new__(cls, text: str) -> Self:
        """The number that is written so."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


class BadValue(ValueError):
    """A value that its column cannot hold; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message.encode(errors="backslashreplace").decode())


class NoSuchField(BadValue):
    """A field that the schema lacks."""


Ignored = Callable[[Any], bool]
"""Whether a value is passed over if its field is unknown."""


def anything(_value: Any) -> bool:
    """Pass over all values of unknown fields."""
    return True


def nothing(_value: Any) -> bool:
    """Pass over no value."""
    return False


def record(given: dict[str, Any], fields: list[Field], *, ignored: Ignored) -> dict[str, Any]:
    """The members of a JSON object as values of the columns.

    Raises:
        BadValue: for the first one that is wrong, missing or unknown.
    """
    by_name = {name.lower(): value for name, value in given.items()}
    result = {}
    for field in fields:
        value = by_name.pop(field["name"].lower(), None)
        result[field["name"]] = _value(value, field, ignored)
    for name, value in by_name.items():
        if not ignored(value):
            raise NoSuchField(f"No such field: {name}.")
    return result


def _value(value: Any, field: Field, ignored: Ignored) -> Any:
    name = field["name"]
    if field["mode"] == "REPEATED":
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadValue(f"Value for repeated field {name} is not an array")
        item = {**field, "mode": "NULLABLE"}
        if any(element is None for element in value):
            raise BadValue(f"Only optional fields can be set to NULL. Field: {name}; Value: NULL")
        return [_value(element, item, ignored) for element in value]
    if value is None:
        if field["mode"] == "REQUIRED":
            raise BadValue(f"Missing required field: {name}.")
        return None
    if field["type"] == "RECORD":
        if not isinstance(value, dict):
            raise BadValue(f"Could not convert value to a record. Field: {name}")
        return record(value, field["fields"], ignored=ignored)
    try:
        return _CONVERT[field["type"]](value)
    except _BAD as error:
        shown = value if isinstance(value, str) else json.dumps(value)
        message = f"Could not convert value to {field['type'].lower()}"
        raise BadValue(f"{message}. Field: {name}; Value: {shown[:_MOST_SHOWN]}") from error


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise TypeError
    number = int(_without_underscore(value))
    if (isinstance(value, float) and number != value) or not _SMALLEST <= number <= _LARGEST:
        raise ValueError
    return number


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(_without_underscore(value))


def _json(value: Any) -> str:
    return _string(json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True))


def _without_underscore(value: float | str) -> float | str:
    """The value; Python would read `1_000` as a number."""
    if "_" in str(value):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError


def _string(value: Any) -> str:
    if isinstance(value, str):
        value.encode()  # half of a pair of UTF-16 is no character
        return value
    if isinstance(value, dict | list):
        raise TypeError
    return json.dumps(value)


def _numeric(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    text = value.text if isinstance(value, Written) else str(_without_underscore(value))
    number = Decimal(text).quantize(Decimal("1e-9"), ROUND_HALF_UP, _EXACT)
    if number.copy_abs() >= _NUMERIC_DIGITS:  # abs() would round it
        raise ValueError
    return number


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _date(value: Any) -> date:
    match = _DATE.fullmatch(_text(value))
    if match is None:
        raise ValueError
    return date(*(int(part) for part in match.groups()))


def _time(value: Any) -> time:
    match = _TIME.fullmatch(_text(value))
    if match is None:
        raise ValueError
    hour, minute, second, fraction = match.groups()
    return time(int(hour), int(minute), int(second), int((fraction or "0").ljust(6, "0")))


def _datetime(value: Any) -> datetime:
    match = _DATETIME.fullmatch(_text(value))
    if match is None:
        raise ValueError
    return datetime.combine(_date(match[1]), _time(match[2]) if match[2] else time())


def _timestamp(value: Any) -> datetime:
    """A moment; a number, also in quotes, counts the seconds since 1970."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(getattr(value, "text", value)) if is_number else _text(value)
    if _EPOCH.fullmatch(text):
        micros = Decimal(text).scaleb(6).to_integral_value(ROUND_HALF_UP)
        return _START + timedelta(microseconds=int(micros))
    match = _ZONED.fullmatch(_SLASHES.sub(r"\1-\2-\3", text, count=1))
    if match is None:
        raise ValueError
    civil, offset, zone = match.groups()
    at = _datetime(civil)
    if zone:
        return at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if offset and offset not in "Zz":
        hours, minutes = _OFFSET.fullmatch(offset).groups("0")  # type: ignore[union-attr]
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        return (at - shift if offset[0] == "+" else at + shift).replace(tzinfo=UTC)
    return at.replace(tzinfo=UTC)


JSON_TEXT = "JSON text"
"""The type of a column of JSON whose values are given as texts of JSON."""

_CONVERT: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "STRING": _string,
    "NUMERIC": _numeric,
    "BYTES": _bytes,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "JSON": _json,
    JSON_TEXT: lambda value: _json(json.loads(value)),
}
