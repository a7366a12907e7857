"""The published DAGs of an installation, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydag_dist.client.retrying import Retries
from pydag_dist.client.submitter import user_at_host
from pydag_dist.engine import publications
from pydag_dist.engine.publications import Publication
from pydag_dist.engine.published import PublishedDag, Version
from pydag_dist.engine.roles.publishing import Publishing

if TYPE_CHECKING:
    from pydag_dist.dag import Dag


class PublishedDags:
    """Publishes DAGs, pauses them and starts their runs; calls again while Redis is away."""

    def __init__(self, publishing: Publishing, retries: Retries, retention: int) -> None:
        self._publishing = retries.of(
            publishing, "Whether that was done is not known: `pydag dags` shows it"
        )
        self._retention = retention

    def publish(self, dag: Dag) -> Publication:
        """See `Client.publish`."""
        return publications.publish(
            self._publishing, dag, retention=self._retention, by=user_at_host()
        )

    def all(self) -> list[PublishedDag]:
        """Every published DAG, in lexical order."""
        return self._publishing.dags()

    def owners(self, dags: Sequence[PublishedDag]) -> dict[str, str]:
        """Who owns each of these DAGs, as it says; "" if it does not."""
        return self._publishing.owners(dags)

    def problems(self) -> dict[str, str]:
        """File of a published folder -> why it can't be published."""
        return self._publishing.problems()

    def dag(self, dag_id: str) -> PublishedDag:
        """One published DAG; `EngineError` if it is none."""
        found = self._publishing.dag(dag_id)
        if not found.is_published:
            raise self._publishing.not_published(dag_id)
        return found

    def versions(self, dag_id: str) -> list[Version]:
        """The newest versions of a published DAG that Redis has, the newest first."""
        return self._publishing.versions(self.dag(dag_id).dag_id)

    def kept_versions(self, dag_id: str) -> list[Version]:
        """The newest versions of a DAG, the newest first; none if it is not published."""
        return self._publishing.versions(dag_id)

    def newest(self, dag_id: str) -> Dag:
        """The newest version of a published DAG."""
        text = self._publishing.text(dag_id)
        if text is None:
            raise self._publishing.not_published(dag_id)
        from pydag_dist.dag import Dag

        return Dag.parse(text, source=dag_id)

    def start(
        self, dag_id: str, run_id: str, params: Mapping[str, Any], logical_date: str, by: str
    ) -> bool:
        """Start a run; False if it was there already."""
        return self._publishing.start(dag_id, run_id, params, logical_date, by)

    def pause(self, dag_id: str) -> bool:
        """See `Client.pause`."""
        return publications.pause(self._publishing, dag_id, user_at_host())

    def unpause(self, dag_id: str) -> bool:
        """See `Client.unpause`."""
        return publications.unpause(self._publishing, dag_id, user_at_host())

    def unpublish(self, dag_id: str) -> None:
        """See `Client.unpublish`."""
        publications.unpublish(self._publishing, dag_id, user_at_host())


def schedule_text(dag: PublishedDag) -> str | None:
    """The schedule in words, if there is one: "every 20 s", "0 3 * * * America/Lima"."""
    if not dag.schedule:
        return None
    interval, zone = dag.schedule["schedule_interval"], dag.schedule["timezone"]
    if not isinstance(interval, str):
        return f"every {interval:g} s"
    return interval if zone == "UTC" else f"{interval} {zone}"
