"""Functions that a file calls and that only compute: their values are known without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydag_dist.dag.airflow.things import Date, Named, Span, Unknown

_SECONDS: Final = {
    "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604800,
    "milliseconds": 0.001, "microseconds": 0.000001,
}  # fmt: skip


def span_of(positional: Sequence[Any], given: Mapping[str, Any]) -> Span:
    """A `timedelta` of these arguments."""
    parts = dict(zip(("days", "seconds", "microseconds"), positional, strict=False)) | {**given}
    return Span(float(sum(_SECONDS[name] * value for name, value in parts.items())))


def date_of(positional: Sequence[Any], given: Mapping[str, Any]) -> Date:
    """A `datetime` of these arguments."""
    zone = given.get("tzinfo", given.get("tz", given.get("timezone", "")))
    zone = zone.last if isinstance(zone, Named) else zone
    parts = {k: v for k, v in given.items() if k not in {"tzinfo", "tz", "timezone"}}
    date = datetime(*positional[:7], **parts)  # noqa: DTZ001  the zone is told beside it
    day = date.date().isoformat()
    text = day if date == datetime.fromisoformat(day) else date.isoformat()
    return Date(text, "UTC" if zone in {"utc", "UTC"} else zone if isinstance(zone, str) else "")


class NotPure:
    """Stands for what is no call of a function that only computes."""


def _zipped(positional: Sequence[Any]) -> list[Any]:
    return [list(each) for each in zip(*positional, strict=False)]


_PURE: Final[Mapping[str, Callable[[list[Any], dict[str, Any]], Any]]] = {
    "timedelta": span_of,
    "datetime": date_of,
    "date": date_of,
    "days_ago": lambda *_: Unknown("start_date"),
    "today": lambda *_: Unknown("start_date"),
    "dict": lambda _, given: given,
    "list": lambda positional, _: list(positional[0]),
    "tuple": lambda positional, _: list(positional[0]),
    "range": lambda positional, _: list(range(*(min(each, 10_000) for each in positional))),
    "len": lambda positional, _: len(positional[0]),
    "enumerate": lambda positional, _: _zipped([range(len(positional[0])), positional[0]]),
    "zip": lambda positional, _: _zipped(positional),
    "Param": lambda positional, given: given.get("default", (positional or [None])[0]),
}


def pure(function: Named, positional: list[Any], given: dict[str, Any]) -> Any:
    """The value of a call of a function that only computes; `NotPure` for any other."""
    compute = _PURE.get(function.last)
    is_date = function.last in {"datetime", "date"}
    if compute is None or (is_date and not function.name.startswith(("datetime", "pendulum"))):
        return NotPure
    return compute(positional, given)
