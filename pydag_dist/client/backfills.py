"""The backfills of an installation, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from pydag_dist.client.retrying import Retries
from pydag_dist.client.submitter import user_at_host
from pydag_dist.dag.ids import check_id
from pydag_dist.engine import Engine
from pydag_dist.engine.backfills import changes
from pydag_dist.engine.backfills.backfill import Backfill, new_backfill_id
from pydag_dist.engine.backfills.changes import Span
from pydag_dist.engine.protocol import Again
from pydag_dist.errors import EngineError

_SHOWN = 5  # backfills that an error names


class Backfills:
    """Begins backfills, pauses and cancels them; calls again while Redis is away."""

    def __init__(self, engine: Engine, retries: Retries) -> None:
        unknown = "Whether that was done is not known: `pydag backfills` shows it"
        self._backfilling = retries.of(engine.backfilling, unknown)
        self._publishing = retries.of(engine.publishing, unknown)
        self._steering = retries.of(engine.steering, unknown)

    def span(self, dag_id: str, first: date | str, last: date | str) -> Span:
        """Which due times a backfill would have: see `Client.backfill`."""
        return changes.span(self._publishing, dag_id, as_text(first), as_text(last))

    def runs_of(
        self, found: Span, first: date | str, last: date | str
    ) -> Mapping[str, Mapping[str, str]] | None:
        """Of a span's logical dates, ISO 8601, the states of their runs; None: Redis can't say."""
        del found, first, last
        return None

    def begin(
        self,
        dag_id: str,
        first: date | str,
        last: date | str,
        *,
        max_active: int,
        newest_first: bool,
        again: Again,
        weight: float,
        number: str = "",
    ) -> tuple[str, Span]:
        """Begin one; its id, which ends with that number if one is given, and its due times."""
        backfill_id = new_backfill_id(dag_id, number)
        found = changes.begin(
            self._backfilling,
            backfill_id,
            lambda: self.span(dag_id, first, last),
            newest_first=newest_first,
            again=again,
            weight=weight,
            max_active=max_active,
            by=user_at_host(),
        )
        return backfill_id, found

    def all(self) -> list[Backfill]:
        """Every backfill that Redis has, the newest first."""
        return self._backfilling.backfills()

    def named(self, name: str) -> str:
        """The id of the backfill of that name: its id, or how only one id begins.

        The name itself if Redis has none of it; `EngineError` if several begin so.
        """
        check_id("backfill", name)
        found = [each for each in self._ids() if each.startswith(name)]
        if name in found or not found:
            return name
        if len(found) > 1:
            some = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
            raise EngineError(f"several backfills begin with {name}: {some}; give more of the id")
        return found[0]

    def _ids(self) -> list[str]:
        return self._backfilling.ids()

    def get(self, name: str) -> Backfill:
        """The backfill of that name; `EngineError` if Redis has none."""
        return changes.known(self._backfilling, self.named(name))

    def pause(self, name: str) -> bool:
        """See `Client.pause_backfill`."""
        return changes.pause(self._backfilling, self.named(name), user_at_host())

    def unpause(self, name: str) -> bool:
        """See `Client.unpause_backfill`."""
        by = user_at_host()
        return changes.unpause(self._backfilling, self._publishing, self.named(name), by)

    def cancel(self, name: str) -> str:
        """See `Client.cancel_backfill`."""
        return changes.cancel(self._backfilling, self._steering, self.named(name), user_at_host())


def with_past(live: Sequence[Backfill], past: Sequence[Backfill]) -> list[Backfill]:
    """Those that Redis has, and then those that only the history has; each part newest first."""
    known = {each.backfill_id for each in live}
    return [*live, *(each for each in past if each.backfill_id not in known)]


def as_text(moment: date | str) -> str:
    """A day or a time as one types it."""
    if isinstance(moment, datetime):
        return moment.isoformat(timespec="seconds")
    return moment if isinstance(moment, str) else moment.isoformat()
