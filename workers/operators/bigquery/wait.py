"""``bigquery.wait_table``: wait until a table, or a partition of it, is there, and new enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryWaitTable
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.google import clients
from workers.google.access import access_to
from workers.google.sensor import GoogleSensor
from workers.operators.bigquery.job import client_of

_LIST_FROM = 5  # tables of one dataset that are cheaper to look for in its list
_AT_ONCE = 8  # calls

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

    @property
    def name(self) -> str:
        """The table's."""
        return f"{self.dataset}.{self.table}"

    def __str__(self) -> str:
        return f"table {self.name}"


class WaitTable(GoogleSensor[Wanted, Found]):
    """Waits for a table or a partition. Many tasks ask together."""

    place_names = ("connection", "project", "location")
    first_interval = 1.0
    longest_interval = 60.0

    def local(self) -> bool:
        """Whether tables are in a BigQuery on this machine."""
        return clients.local_bigquery()

    def handle(self, context: TaskContext) -> Handle:
        """Where to ask: nothing is started, so there is nothing else to name."""
        params = parsed_params(context, BigQueryWaitTable)
        access = access_to(context.settings, params.connection, params.project)
        return {
            "connection": params.connection,
            "project": params.project,
            "location": params.location or access.location,
        }

    def wanted(self, context: TaskContext) -> Wanted:
        """The task's table, or partition of it."""
        params = parsed_params(context, BigQueryWaitTable)
        name, _, partition = params.table.partition("$")
        dataset, _, table = name.rpartition(".")
        return Wanted(dataset, table, params.partition or partition or None, params.newer_than)

    def together(self, wanted: Iterable[Wanted]) -> Iterable[tuple[str, list[Wanted]]]:
        """All of a dataset."""
        datasets: dict[str, list[Wanted]] = defaultdict(list)
        for want in wanted:
            datasets[want.dataset].append(want)
        return [(f"tables of {dataset}", these) for dataset, these in datasets.items()]

    def find(
        self, context: TaskContext, handle: Handle, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Found]:
        """What is there of what is wanted in one dataset."""
        client = client_of(context, handle)
        asker = _Asker(context.log, client, wanted[0].dataset, handle["location"])
        tables = [want for want in wanted if want.partition is None]
        partitions = [want for want in wanted if want.partition is not None]
        return asker.tables(tables) | asker.partitions(partitions)

    def judge(self, context: TaskContext, wanted: Wanted, found: Found | None) -> Pending | Done:  # noqa: ARG002
        """Whether it is there, and new enough."""
        shown = f"partition {wanted.partition} of {wanted}" if wanted.partition else str(wanted)
        if found is None:
            return Pending(f"{shown} is not there")
        modified = found.modified.isoformat()
        if wanted.newer_than and found.modified <= wanted.newer_than:
            return Pending(f"{shown} was last changed {modified}")
        facts = {"partition": wanted.partition, "modified": modified, "rows": found.rows}
        return Done({"table": wanted.name, **facts})


@dataclass(frozen=True)
class _Asker:
    log: Any
    client: bigquery.Client
    dataset: str
    location: str

    def tables(self, wanted: list[Wanted]) -> dict[Wanted, Found]:
        """Those that are there: of many, the list of the dataset tells whom to ask about."""
        names = {want.table for want in wanted}
        if len(names) >= _LIST_FROM:
            names = self._listed(names)
        if not names:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(names)), "table") as pool:
            found = dict(zip(names, pool.map(self._table, names), strict=True))
        return {want: there for want in wanted if (there := found.get(want.table))}

    def _listed(self, names: set[str]) -> set[str]:
        """Those among the dataset's tables; all, if these may not be listed."""

        def listed(**options: Any) -> set[str]:
            return {item.table_id for item in self.client.list_tables(self.dataset, **options)}

        try:
            return names & clients.call(self.log, listed, retry=None, page_size=1000)
        except NotFound:
            return set()
        except Forbidden:
            return names

    def _table(self, name: str) -> Found | None:
        name = f"{self.dataset}.{name}"
        try:
            table: Any = clients.call(self.log, self.client.get_table, name, retry=None)
        except NotFound:
            return None
        return Found(table.modified, table.num_rows or 0)

    def partitions(self, wanted: list[Wanted]) -> dict[Wanted, Found]:
        """Those that are there, by one query."""
        if not wanted:
            return {}
        parameters = [
            bigquery.ArrayQueryParameter("tables", "STRING", [w.table for w in wanted]),
            bigquery.ArrayQueryParameter("partitions", "STRING", [w.partition for w in wanted]),
        ]

        def queried(timeout: float, **options: Any) -> list[bigquery.Row]:
            rows = self.client.query_and_wait(
                _PARTITIONS.format(dataset=self.dataset),
                job_config=bigquery.QueryJobConfig(query_parameters=parameters),
                location=self.location,
                api_timeout=timeout,
                wait_timeout=timeout,
                **options,
            )
            return list(rows)

        try:
            rows = clients.call(self.log, queried, retry=None, job_retry=None)
        except NotFound:
            return {}  # the dataset isn't there yet
        found = {(row[0], row[1]): Found(row[2], row[3]) for row in rows}
        pairs = ((want, found.get((want.table, want.partition))) for want in wanted)
        return {want: there for want, there in pairs if there}
