"""How people name a run: by its id, by how the id begins, or by its DAG and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol

from pydag_dist.dag.ids import is_id
from pydag_dist.dag.text.quote import quote
from pydag_dist.errors import AmbiguousRun, PydagError, UnknownRun

CANDIDATES: Final = 8  # that an ambiguous name lists
LAST: Final = "last"
CUT: Final = "…"  # what an id that a list has shortened ends with


class Runs(Protocol):
    """What knows runs: the engine, and the history."""

    def has(self, run_id: str) -> bool:
        """Whether there is a run of that id."""
        ...

    def with_prefix(self, prefix: str, limit: int) -> list[str]:
        """At most so many ids that begin so, in lexical order."""
        ...

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time (epoch seconds)."""
        ...


def find_run(name: str, places: Sequence[Runs]) -> str:
    """The id of the run that `name` means, in the first of the places that has one.

    A name is a run's id, or how exactly one id begins; ``DAG@last``; or ``DAG@2026-01-31``, the
    last run of that DAG that was submitted on that day, by the clock and the zone of this host.
    A whole id, wherever it is, comes before the beginning of another.
    Raises `AmbiguousRun` with the candidates, `UnknownRun`, and `PydagError` for what is no name.
    """
    dag_id, at, when = str(name).removesuffix(CUT).partition("@")
    if not (isinstance(name, str) and is_id(dag_id)):
        raise PydagError(
            f"run {quote(name)}: must be a run's id or its beginning, or DAG@last, or a DAG and a "
            "day such as DAG@2026-01-31"
        )
    if at:
        since, until = _day(name, when)
        for place in places:
            if found := place.newest(dag_id, since, until):
                return found
        on = "" if when == LAST else f" that was submitted on {when}"
        raise UnknownRun(f"there is no run of DAG {dag_id}{on}: `pydag runs` lists those there are")
    if any(place.has(dag_id) for place in places):
        return dag_id
    for place in places:
        found_ids = place.with_prefix(dag_id, CANDIDATES + 1)
        if len(found_ids) > 1:
            raise AmbiguousRun(name, found_ids[:CANDIDATES], more=len(found_ids) > CANDIDATES)
        if found_ids:
            return found_ids[0]
    raise UnknownRun(
        f"there is no run {name}, and none whose id begins so: it was never submitted here, or it "
        "ended longer ago than the retention; `pydag runs` lists those there are"
    )


def shortest_name(run_id: str, neighbours: Sequence[str], least: int) -> str:
    """The beginning of a run's id that names it, of `least` characters or more.

    The `neighbours` are those that come next to it in lexical order.
    """
    alike = max((_common_length(run_id, other) for other in neighbours), default=0)
    return run_id[: max(least, alike + 1)]


def local_day(day: date) -> tuple[float, float]:
    """When a day begins and ends where the reader is, in epoch seconds."""
    begin, end = (datetime.combine(d, time()).astimezone() for d in (day, day + timedelta(days=1)))
    return begin.timestamp(), end.timestamp()


def _day(name: str, when: str) -> tuple[float | None, float | None]:
    if when == LAST:
        return None, None
    try:
        return local_day(date.fromisoformat(when))
    except (ValueError, OverflowError):
        raise PydagError(
            f"run {quote(name)}: after the @ must be `{LAST}` or a day such as 2026-01-31"
        ) from None


def _common_length(first: str, second: str) -> int:
    """How many characters two ids have in common at their beginnings."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
