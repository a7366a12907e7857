"""The client that goes by REST of `pydag web`, where Redis is not reachable."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydag_dist.client.arguments import utc
from pydag_dist.client.client import Client
from pydag_dist.client.naming import Runs
from pydag_dist.client.rest.address import Access, Address
from pydag_dist.client.rest.backfills import RestBackfills
from pydag_dist.client.rest.files import Files
from pydag_dist.client.rest.parsing import made, summary_of
from pydag_dist.client.rest.published import RestPublished
from pydag_dist.client.rest.run import RestRun
from pydag_dist.client.rest.service import Query, Service, path_of
from pydag_dist.client.retrying import RETRY_SECONDS
from pydag_dist.engine import Listing, Member, RunFilter, RunSummary
from pydag_dist.errors import PydagError
from pydag_dist.settings import load_settings

if TYPE_CHECKING:
    from datetime import date

    from pydag_dist.dag import Dag

log = logging.getLogger(__name__)
PAGE: Final = 500  # runs
ESTIMATE_SECONDS: Final = 30.0  # that a worker may take


class RestClient(Client):
    """Submits DAGs and follows runs by REST: what `Client` is for an address of `pydag web`."""

    knows_history = True

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str | None = None,
        token: str | None = None,
        ca_file: Path | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        if prefix is not None:
            raise PydagError("a prefix is for a Redis: the service has its own")
        settings = load_settings()
        address = Address.parse(url or settings.url or "")
        if token is None and settings.url and Address.parse(settings.url) == address:
            token = settings.web_token  # which is for no other address
        self._service = Service(
            Access(address, token or "", ca_file or settings.ca_file), retry_seconds
        )
        self.published = RestPublished(self._service)
        self.all_backfills = RestBackfills(self._service)
        self.files = Files(self._service)

    def __repr__(self) -> str:
        return f"Client({self._service!r})"

    def __getattr__(self, name: str) -> Any:
        if name == "engine":
            raise PydagError("this needs Redis itself, and can't be done by REST")
        raise AttributeError(name)

    def _submission(
        self, run_id: str, dag: Dag, given: dict[str, Any], date: str, from_task: str
    ) -> Callable[[], bool]:
        body = {"dag": dag.check().to_dict(), "params": given, "logical_date": date or None}
        if from_task:
            body["from_task"] = from_task
        path = path_of("runs", run_id)
        return lambda: bool(self._service.send("PUT", path, body)["is_new"])

    def _check_same(
        self, run_id: str, of: Dag | str, params: Mapping[str, Any], date: str, from_task: str = ""
    ) -> None:
        """The service has checked that."""

    def _run(
        self, run_id: str, resubmit: Callable[[], bool] | None = None, *, is_new: bool = False
    ) -> RestRun:
        return RestRun(run_id, self._service, resubmit, is_new=is_new)

    @property
    def _names(self) -> Runs:
        return _Names(self._service)

    def estimate(
        self,
        dag: Dag,
        params: Mapping[str, Any] | None = None,
        *,
        logical_date: date | str | None = None,
        price: float | None = None,
    ) -> dict[str, Any]:
        """What a DAG's BigQuery tasks will read, as `pydag estimate --json` has it.

        A worker dry-runs the queries. `price` is that of a TiB in USD; default: the service's
        setting.
        """
        when = utc(logical_date, dag.zone) if logical_date else ""
        body = {"text": dag.to_json(), "params": dict(params or {}), "price": price}
        found: dict[str, Any] = self._service.send(
            "POST", "estimate", body | {"logical_date": when}, patience=ESTIMATE_SECONDS
        )
        return found

    def now(self) -> float:
        """The service's time in epoch seconds."""
        return float(self._service.get("me")["now"])

    def workers(self) -> list[Member]:
        """The live workers by name, with what they say they can do."""
        return [made(Member, told) for told in self._service.get("workers")["workers"]]

    def coordinators(self) -> list[Member]:
        """The live coordinators by name; `info` says which one writes the history."""
        return [made(Member, told) for told in self._service.get("workers")["coordinators"]]

    def running(self) -> dict[str, list[str]]:
        """Worker -> the tasks that it holds, as "run/task"."""
        found = self._service.get("workers")["workers"]
        return {told["name"]: told["running"] for told in found if told["running"]}

    def listing(self, limit: int, wanted: RunFilter) -> Listing:
        """The newest runs that are wanted, also those of the history; and how far was looked."""
        query, cursor, is_told = query_of(wanted), "", False
        found: list[RunSummary] = []
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            more: Query = [("limit", size), *([("cursor", cursor)] if cursor else [])]
            page = self._service.get("runs", [*query, *more])
            found += [summary_of(told) for told in page["items"]]
            if page["missing"] and not is_told:
                log.warning("older runs are not listed: %s", page["missing"])
                is_told = True
            cursor = page["next"] or ""
            if not cursor:
                break
            if len(page["items"]) < size:  # it has looked at as many as it does at once
                return Listing(found, int(cursor.partition(".")[0]) / 1e6)
        return Listing(found)


class _Names:
    """The runs of an installation, as `find_run` asks for them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def has(self, run_id: str) -> bool:
        """Whether there is a run of that id."""
        return run_id in self.with_prefix(run_id, 1)

    def with_prefix(self, prefix: str, limit: int) -> list[str]:
        """At most so many ids that begin so, in lexical order."""
        found = self._service.get("names", [("prefix", prefix), ("limit", limit)])
        return [str(name) for name in found["items"]]

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time (epoch seconds)."""
        query = query_of(RunFilter(dag_id, since=since, until=until))
        runs: list[RunSummary] = [
            summary_of(told) for told in self._service.get("runs", [*query, ("limit", 1)])["items"]
        ]
        return runs[0].run_id if runs else None


def query_of(wanted: RunFilter) -> list[tuple[str, str | int | float]]:
    """What is asked of runs, as the service is asked."""
    return [
        *([("dag_id", wanted.dag_id)] if wanted.dag_id else []),
        *(("state", state) for state in wanted.states),
        *([("since", wanted.since)] if wanted.since is not None else []),
        *([("until", wanted.until)] if wanted.until is not None else []),
        *(("tag", tag) for tag in wanted.tags),
        *(("param", f"{name}={json.dumps(value)}") for name, value in wanted.params.items()),
        *([("logical_date", "/".join(wanted.logical_date))] if wanted.logical_date else []),
        *([("backfill", wanted.backfill)] if wanted.backfill else []),
        *(("run_type", run_type) for run_type in wanted.run_types),
        *([("version", wanted.version)] if wanted.version else []),
        *([("q", wanted.text)] if wanted.text else []),
    ]
