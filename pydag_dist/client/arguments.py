"""Arguments of the client's calls, checked before anything is sent."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pydag_dist.dag.text.quote import with_article
from pydag_dist.errors import PydagError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pydag_dist.dag import Dag


def check_dag(given: object) -> None:
    """`PydagError` for anything but a `Dag`."""
    from pydag_dist.dag import Dag

    if not isinstance(given, Dag):
        raise PydagError(
            f"a DAG must be a Dag, not {with_article(type(given).__name__)}: Dag.load(PATH) reads "
            "a file, and Dag.parse(TEXT) a text"
        )


def params_of(dag: Dag, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The params of a run of that DAG, which `checked_params` has checked."""
    from pydag_dist.dag.run_params import checked_params

    check_dag(dag)
    if not isinstance(params, Mapping | None):
        raise PydagError(
            "params of the run: must be names with their values, "
            f"not {with_article(type(params).__name__)}"
        )
    return checked_params(dag, params)


def utc(given: date | str | None, zone: ZoneInfo) -> str:
    """A logical date as the engine keeps it: in UTC, "" for none; without an offset, in `zone`."""
    if given is None:
        return ""
    found = None
    with suppress(ValueError, OverflowError):
        if isinstance(given, datetime):
            found = given
        elif isinstance(given, str | date):
            found = datetime.fromisoformat(str(given))
        if found:
            found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    if found is None or found.year in {MINYEAR, MAXYEAR}:  # other zones can't say all of these
        raise PydagError(
            f"logical date {given!r}: must be ISO 8601 of the years 2 to 9998, such as 2026-01-31 "
            "or 2026-01-31T06:00:00Z"
        )
    return found.isoformat()


def deadline_of(timeout: float | None) -> float | None:
    """When, by the monotonic clock, that many seconds are over; None for no timeout."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or math.isnan(timeout):
        raise PydagError(f"a timeout must be a number of seconds, or None, not {timeout!r}")
    return time.monotonic() + timeout


def check_limit(limit: object) -> None:
    """`PydagError` for what is no number of things to list."""
    if type(limit) is not int or limit < 0:
        raise PydagError(f"a limit must be a whole number from 0, not {limit!r}")
