"""The published DAGs of an installation, by REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydag_dist.client.published import PublishedDags
from pydag_dist.client.rest.parsing import made, moment, with_times
from pydag_dist.client.rest.service import Service, path_of
from pydag_dist.dag.ids import check_id
from pydag_dist.engine.publications import Publication, check_scheduled
from pydag_dist.engine.published import PublishedDag, Version
from pydag_dist.errors import EngineError

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

_TIMES: Final = ("settled", "published_at", "due", "paused_at", "missed_last", "last_ended")


class RestPublished(PublishedDags):
    """Publishes DAGs, pauses them and starts their runs."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def publish(self, dag: Dag) -> Publication:
        """See `Client.publish`."""
        check_scheduled(dag)
        done = self._service.send("PUT", _path(dag.dag_id), dag.check().to_dict())
        return made(Publication, done, due=moment(done["due"]))

    def all(self) -> list[PublishedDag]:
        """Every published DAG, in lexical order."""
        return [_dag_of(told) for told in self._service.get("dags")["items"]]

    def owners(self, dags: Sequence[PublishedDag]) -> dict[str, str]:
        """Who owns each of these DAGs, as it says; "" if it does not."""
        told = {
            each["dag_id"]: each.get("owner", "") for each in self._service.get("dags")["items"]
        }
        return {dag.dag_id: told.get(dag.dag_id, "") for dag in dags}

    def problems(self) -> dict[str, str]:
        """File of a published folder -> why it can't be published."""
        return dict(self._service.get("dags")["problems"])

    def dag(self, dag_id: str) -> PublishedDag:
        """One published DAG; `EngineError` if it is none."""
        return _dag_of(self._service.get(_path(dag_id)))

    def versions(self, dag_id: str) -> list[Version]:
        """The newest versions of a published DAG, the newest first."""
        found = self._service.get(_path(dag_id, "versions"), [("text", "true")])["items"]
        return [made(Version, told, at=moment(told["at"])) for told in found]

    def kept_versions(self, dag_id: str) -> list[Version]:
        """The newest versions of a DAG, the newest first; none if it is not published."""
        try:
            return self.versions(dag_id)
        except EngineError:
            return []

    def newest(self, dag_id: str) -> Dag:
        """The newest version of a published DAG."""
        from pydag_dist.dag import Dag

        return Dag.parse(self._service.get(_path(dag_id, "dag")), source=dag_id)

    def start(
        self, dag_id: str, run_id: str, params: Mapping[str, Any], logical_date: str, by: str
    ) -> bool:
        """Start a run; False if it was there already."""
        del by  # the token says who it is
        body = {"dag_id": dag_id, "params": dict(params), "logical_date": logical_date or None}
        return bool(self._service.send("PUT", path_of("runs", run_id), body)["is_new"])

    def pause(self, dag_id: str) -> bool:
        """See `Client.pause`."""
        return self._change(dag_id, paused=True)

    def unpause(self, dag_id: str) -> bool:
        """See `Client.unpause`."""
        return self._change(dag_id, paused=False)

    def unpublish(self, dag_id: str) -> None:
        """See `Client.unpublish`."""
        self._service.send("DELETE", _path(dag_id), may_repeat=False)

    def _change(self, dag_id: str, *, paused: bool) -> bool:
        return bool(self._service.send("PATCH", _path(dag_id), {"paused": paused})["changed"])


def _path(dag_id: str, *names: str) -> str:
    return path_of("dags", check_id("DAG", dag_id), *names)


def _dag_of(told: Mapping[str, Any]) -> PublishedDag:
    return made(PublishedDag, with_times(told, _TIMES))
