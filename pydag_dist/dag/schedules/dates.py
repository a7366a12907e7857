"""Days and times as texts, and the time zones that they are in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.patterns import DAY_OR_TIME
from pydag_dist.dag.text.quote import quote

_ALIKE: Final = 0.8  # so that Europe is no zone, and Europe/Rome is not suggested for it
# What some hosts have beside the zones: their own zone, and zones with leap seconds in `right`.
_OF_HOSTS: Final = {"localtime", "posix", "posixrules", "right"}
_YEARS: Final = range(1970, 2200)  # a double, as Redis has it, has all of their microseconds


def zone_of(name: str) -> ZoneInfo:
    """The zone of that IANA name; ValueError if there is none."""
    try:
        if name.partition("/")[0] not in _OF_HOSTS:
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    hint = did_you_mean(name, available_timezones(), _ALIKE)
    raise ValueError(
        f"must be the name of a time zone, such as Europe/Berlin or UTC, not {quote(name)}{hint}"
    )


def begin_of(text: str, zone: ZoneInfo) -> datetime:
    """The moment of a day or time, in UTC: of a day its begin.

    Without an offset it is in `zone`. ValueError if there is none.
    """
    given = _read(text)
    if given.tzinfo is None:
        given = given.replace(tzinfo=zone)
    return given.astimezone(UTC)


def end_of(text: str, zone: ZoneInfo) -> datetime:
    """The moment of a time, in UTC, or the last microsecond of a day; else as `begin_of`."""
    if len(text) > len("2026-01-31"):
        return begin_of(text, zone)
    next_day = _read(text) + timedelta(days=1)
    return next_day.replace(tzinfo=zone).astimezone(UTC) - timedelta(microseconds=1)


def _read(text: str) -> datetime:
    wrong = ValueError(
        "must be a day or a time of the years 1970 to 2199, such as 2026-01-31, "
        f"2026-01-31T06:00 or 2026-01-31T06:00:00+01:00, not {quote(text)}"
    )
    if not re.search(DAY_OR_TIME, text):
        raise wrong
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if given.year not in _YEARS:
        raise wrong
    return given
