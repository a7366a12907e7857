"""The options that several commands have, and what their values may be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from pydag_dist.cli import redis_time
from pydag_dist.client.naming import local_day

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAYS: Final = {"today": 0, "yesterday": 1}

DAG_FILE: Final = click.Path(path_type=Path, dir_okay=False)


def names_file(name: str) -> bool:
    """Whether that is the name of a file, and not that of a run or a published DAG."""
    path = Path(name)
    return path.suffix == ".json" or path.name != name or path.exists()


WAIT: Final = click.option("--wait", is_flag=True, help="Show the run's progress until it ends.")
TIMEOUT: Final = click.option(
    "--timeout", type=click.FloatRange(0), metavar="S", help="Stop waiting after S seconds."
)
JSON: Final = click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
DAGS: Final = click.option(
    "--dags",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Publish the DAG files of this folder.",
)
IMPORT: Final = click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="A module whose functions `python.call` may call; repeatable.",
)


def params_option(meaning: str) -> Callable[..., Any]:
    """The option `--param K=V`, repeatable, which the command gets as the dict `params`."""
    return click.option(
        "--param",
        "params",
        multiple=True,
        callback=named_values,
        metavar="K=V",
        help=f"{meaning}; repeatable.",
    )


def named_values(
    context: click.Context, parameter: click.Parameter, values: Iterable[str]
) -> dict[str, Any]:
    """Values that are JSON are taken as JSON, others as text."""
    params: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", context, parameter)
        try:
            params[name] = json.loads(text)
        except ValueError:
            params[name] = text
    return params


PARAM: Final = params_option("A param of the run, over the DAG's own")


class Moment(click.ParamType[float]):
    """A time as people type it: a day, a time, or how long ago; in epoch seconds."""

    name = "time"

    def __init__(self, now: Callable[[], float] = redis_time.now) -> None:
        self._now = now

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a day or a time without a zone is by the clock of this host."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        try:
            return moment(text, self._now)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is no time: give a day or a time such as 2026-01-31 or "
                "2026-01-31T06:00, today, yesterday, or how long ago: 90s, 30m, 2h, 7d",
                param,
                ctx,
            )


def moment(text: str, now: Callable[[], float]) -> float:
    """That time in epoch seconds; `ValueError` if it is none."""
    if ago := _AGO.fullmatch(text):
        return now() - float(ago[1]) * _UNITS[ago[2]]
    if text in _DAYS:
        today = datetime.fromtimestamp(now(), UTC).astimezone().date()
        return local_day(today - timedelta(days=_DAYS[text]))[0]
    try:
        return local_day(date.fromisoformat(text))[0]
    except ValueError:
        return datetime.fromisoformat(text.upper()).astimezone().timestamp()


LOGICAL_DATE: Final = click.option(
    "--logical-date",
    metavar="DATE",
    help="The time that the run is for, ISO 8601; default: now.",
)
