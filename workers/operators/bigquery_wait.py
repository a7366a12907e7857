"""``bigquery.wait_table``: wait until a table, or a partition of it, is there, and new enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from pydag_dist.dag.bigquery_params import BigQueryWaitTable
from workers import google
from workers.operators.base import (
    Done,
    Handle,
    Pending,
    RemoteOperator,
    TaskContext,
    parsed_params,
)

_LIST_FROM = 5  # tables of one dataset that are cheaper to look for in its list

_PARTITIONS = """
SELECT table_name, partition_id, MAX(last_modified_time), SUM(total_rows)
FROM `{dataset}.INFORMATION_SCHEMA.PARTITIONS`
WHERE table_name IN UNNEST(@tables) AND partition_id IN UNNEST(@partitions)
GROUP BY table_name, partition_id
"""


class Found(NamedTuple):
    """A table, or a partition, that is there."""

    modified: datetime
    rows: int


@dataclass(frozen=True)
class Wanted:
    """What a task waits for."""

    dataset: str  # project.dataset
    table: str
    partition: str | None
    newer_than: datetime | None

    @classmethod
    def by(cls, context: TaskContext) -> Wanted:
        """What the task of `context` waits for."""
        params = parsed_params(context, BigQueryWaitTable)
        dataset, _, table = params.table.rpartition(".")
        return cls(dataset, table, params.partition, params.newer_than)

    def answer(self, found: Found | None) -> Pending | Done:
        """What was found, as an answer to the task."""
        name = f"{self.dataset}.{self.table}"
        shown = f"partition {self.partition} of table {name}" if self.partition else f"table {name}"
        if found is None:
            return Pending(f"{shown} is not there")
        modified = found.modified.isoformat()
        if self.newer_than and found.modified <= self.newer_than:
            return Pending(f"{shown} was last changed {modified}")
        return Done(
            {"table": name, "partition": self.partition, "modified": modified, "rows": found.rows}
        )


class WaitTable(RemoteOperator):
    """A sensor: it starts nothing, and asks. Many tasks ask together."""

    first_interval = 5.0
    longest_interval = 60.0

    def local(self) -> bool:
        """Whether tables are in a BigQuery on this machine."""
        return google.local_bigquery()

    def handle(self, context: TaskContext) -> Handle:
        """Nothing is started, so there is nothing to name."""
        Wanted.by(context)  # params that are wrong fail at once
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Start nothing."""
        return self.handle(context)

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:  # noqa: ARG002
        """Ask for one."""
        [answer] = self.answers([context])
        return answer

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Nothing is there to cancel."""

    def answers(self, contexts: Sequence[TaskContext]) -> list[Pending | Done]:
        """Ask for what several tasks of one connection wait for, with as few calls as it takes."""
        wanted = [Wanted.by(context) for context in contexts]
        log = contexts[0].log
        params = parsed_params(contexts[0], BigQueryWaitTable)
        access = google.access(contexts[0].settings, params.connection, params.project)
        with google.explained("looking for tables of BigQuery"):
            asker = _Asker(log, google.bigquery_client(access), params.location or access.location)
            found: dict[Wanted, Found] = {}
            for dataset, of in _by_dataset(wanted).items():
                found |= asker.tables(dataset, [w for w in of if w.partition is None])
                found |= asker.partitions(dataset, [w for w in of if w.partition is not None])
        return [one.answer(found.get(one)) for one in wanted]


def _by_dataset(wanted: Iterable[Wanted]) -> Mapping[str, list[Wanted]]:
    groups: dict[str, list[Wanted]] = defaultdict(list)
    for one in wanted:
        groups[one.dataset].append(one)
    return groups


@dataclass(frozen=True)
class _Asker:
    log: Any
    client: bigquery.Client
    location: str

    def tables(self, dataset: str, wanted: list[Wanted]) -> dict[Wanted, Found]:
        """Those that are there: of many, the list of the dataset tells whom to ask about."""
        names = {one.table for one in wanted}
        if len(names) >= _LIST_FROM:
            names &= self._listed(dataset)
        found = {name: self._table(f"{dataset}.{name}") for name in names}
        return {one: there for one in wanted if (there := found.get(one.table))}

    def _listed(self, dataset: str) -> set[str]:
        def listed(**options: Any) -> set[str]:
            return {item.table_id for item in self.client.list_tables(dataset, **options)}

        try:
            return google.call(self.log, listed, retry=None, page_size=1000)
        except NotFound:
            return set()

    def _table(self, name: str) -> Found | None:
        try:
            table: Any = google.call(self.log, self.client.get_table, name, retry=None)
        except NotFound:
            return None
        return Found(table.modified, table.num_rows or 0)

    def partitions(self, dataset: str, wanted: list[Wanted]) -> dict[Wanted, Found]:
        """Those that are there, by one query."""
        if not wanted:
            return {}
        parameters = [
            bigquery.ArrayQueryParameter("tables", "STRING", [w.table for w in wanted]),
            bigquery.ArrayQueryParameter("partitions", "STRING", [w.partition for w in wanted]),
        ]

        def queried(timeout: float, **options: Any) -> list[bigquery.Row]:
            rows = self.client.query_and_wait(
                _PARTITIONS.format(dataset=dataset),
                job_config=bigquery.QueryJobConfig(query_parameters=parameters),
                location=self.location,
                api_timeout=timeout,
                wait_timeout=timeout,
                **options,
            )
            return list(rows)

        try:
            rows = google.call(self.log, queried, retry=None, job_retry=None)
        except NotFound:
            return {}  # the dataset isn't there yet
        found = {(row[0], row[1]): Found(row[2], row[3]) for row in rows}
        pairs = ((one, found.get((one.table, one.partition))) for one in wanted)
        return {one: there for one, there in pairs if there}
