"""A time as people type it: a day, a time, or how long ago."""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta
from typing import Any, Final

import click

from pydag_dist.engine import local_day

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAYS: Final = {"today": 0, "yesterday": 1}


class Moment(click.ParamType[float]):
    """An option's time, in epoch seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a day or a time without a zone is by the clock of this host."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        try:
            return moment(text)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is no time: give a day or a time such as 2026-01-31 or "
                "2026-01-31T06:00, today, yesterday, or how long ago: 90s, 30m, 2h, 7d",
                param,
                ctx,
            )


def moment(text: str) -> float:
    """That time in epoch seconds; `ValueError` if it is none."""
    if ago := _AGO.fullmatch(text):
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    if text in _DAYS:
        today = datetime.now().astimezone().date()
        return local_day(today - timedelta(days=_DAYS[text]))[0]
    try:
        return local_day(date.fromisoformat(text))[0]
    except ValueError:
        return datetime.fromisoformat(text.upper()).astimezone().timestamp()
