"""The backfills of an installation, by REST."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from pydag_dist.client.backfills import Backfills, as_text
from pydag_dist.client.rest.parsing import made, with_times
from pydag_dist.client.rest.published import RestPublished
from pydag_dist.client.rest.service import Service, path_of
from pydag_dist.engine.backfills import changes
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.backfills.changes import Span
from pydag_dist.engine.protocol import Again
from pydag_dist.engine.published import PublishedDag, not_published
from pydag_dist.errors import EngineError

_TIMES: Final = ("first", "last", "next", "created_at", "changed_at", "ended_at")


class RestBackfills(Backfills):
    """Begins backfills, pauses and cancels them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._published = RestPublished(service)

    def span(self, dag_id: str, first: date | str, last: date | str) -> Span:
        """Which due times a backfill would have: see `Client.backfill`."""
        return changes.span(_Known(self._service), dag_id, as_text(first), as_text(last))

    def runs_of(
        self, found: Span, first: date | str, last: date | str
    ) -> Mapping[str, Mapping[str, str]] | None:
        """Of a span's logical dates, ISO 8601, the states of their runs; None without a history."""
        asked = [("first", as_text(first)), ("last", as_text(last)), ("runs", "true")]
        path = path_of("dags", found.seen.dag_id, "backfills", "preview")
        told: Mapping[str, Mapping[str, str]] | None = self._service.get(path, asked).get("runs")
        return told

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
        """Begin one; its id, and its due times."""
        del number
        found = self.span(dag_id, first, last)
        body = {
            "first": as_text(first),
            "last": as_text(last),
            "max_active": max_active,
            "newest_first": newest_first,
            "again": again,
            "weight": weight,
        }
        made_ = self._service.make(path_of("dags", dag_id, "backfills"), body)
        return str(made_["backfill_id"]), found

    def all(self) -> list[Backfill]:
        """Every backfill that the installation has, the newest first."""
        return [_backfill_of(told) for told in self._service.get("backfills")["items"]]

    def _ids(self) -> list[str]:
        return [each.backfill_id for each in self.all()]

    def get(self, name: str) -> Backfill:
        """The backfill of that name; `EngineError` if there is none."""
        return _backfill_of(self._service.get(self._path(name)))

    def pause(self, name: str) -> bool:
        """See `Client.pause_backfill`."""
        return self._change(name, paused=True)

    def unpause(self, name: str) -> bool:
        """See `Client.unpause_backfill`."""
        return self._change(name, paused=False)

    def cancel(self, name: str) -> str:
        """See `Client.cancel_backfill`."""
        return str(self._service.send("DELETE", self._path(name))["state"])

    def _change(self, name: str, *, paused: bool) -> bool:
        done = self._service.send("PATCH", self._path(name), {"paused": paused})
        return bool(done["changed"])

    def _path(self, name: str) -> str:
        return path_of("backfills", self.named(name))


class _Known:
    """What computing due times asks of the published DAGs."""

    def __init__(self, service: Service) -> None:
        self._service, self._published = service, RestPublished(service)

    def dag(self, dag_id: str) -> PublishedDag:
        """The DAG, published or not."""
        return self._published.dag(dag_id)

    def not_published(self, dag_id: str) -> EngineError:
        """The error that says so."""
        return not_published(dag_id, ())

    def now(self) -> datetime:
        """The service's time."""
        return datetime.fromtimestamp(self._service.get("me")["now"], UTC)


def _backfill_of(told: Mapping[str, Any]) -> Backfill:
    return made(Backfill, with_times(told, _TIMES))
