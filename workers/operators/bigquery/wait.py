"""``bigquery.wait_table``: wait until a table, or a partition of it, is there, and new enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryWaitTable
from workers import time_limit
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, by_place
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import RemoteOperator
from workers.google import answers, clients
from workers.google.access import access_of, access_to

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

    @classmethod
    def by(cls, context: TaskContext) -> Wanted:
        """What the task of `context` waits for."""
        params = parsed_params(context, BigQueryWaitTable)
        dataset, _, table = params.table.rpartition(".")
        return cls(dataset, table, params.partition, params.newer_than)

    def answer(self, found: Found | None) -> Pending | Done:
        """What was found, as an answer to the task."""
        shown = f"table {self.name}"
        if self.partition:
            shown = f"partition {self.partition} of {shown}"
        if found is None:
            return Pending(f"{shown} is not there")
        modified = found.modified.isoformat()
        if self.newer_than and found.modified <= self.newer_than:
            return Pending(f"{shown} was last changed {modified}")
        told = {"partition": self.partition, "modified": modified, "rows": found.rows}
        return Done({"table": self.name, **told})


class WaitTable(RemoteOperator):
    """A sensor: it starts nothing, and asks. Many tasks ask together."""

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

    def submit(self, context: TaskContext) -> Handle:
        """Start nothing."""
        return self.handle(context)

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for one."""
        wanted = Wanted.by(context)
        with answers.looking(f"looking for table {wanted.name}", handle):
            return wanted.answer(_found(context, handle, wanted.dataset, [wanted]).get(wanted))

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for the tables and partitions of a dataset with as few calls as it takes."""
        for some in by_place(asked, "connection", "project", "location"):
            for dataset, wanted in _by_dataset(some).items():
                if time_limit.is_out():
                    return
                first, *_ = wanted
                try:
                    found = _found(first.context, first.handle, dataset, list(wanted.values()))
                except Exception as error:  # noqa: BLE001  it is the answer to each
                    what = f"looking for tables of {dataset}"
                    yield from ((one, answers.of_look(error, what, one.handle)) for one in wanted)
                    continue
                for one in wanted:
                    one.handle["answered"] = True
                yield from ((one, want.answer(found.get(want))) for one, want in wanted.items())

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Nothing is there to cancel."""


def _by_dataset(asked: Sequence[Asked]) -> Mapping[str, dict[Asked, Wanted]]:
    groups: dict[str, dict[Asked, Wanted]] = defaultdict(dict)
    for one in asked:
        wanted = Wanted.by(one.context)
        groups[wanted.dataset][one] = wanted
    return groups


def _found(
    context: TaskContext, handle: Handle, dataset: str, wanted: Sequence[Wanted]
) -> dict[Wanted, Found]:
    """What is there of what is wanted in a dataset."""
    client = clients.bigquery_client(access_of(context, handle))
    asker = _Asker(context.log, client, dataset, handle["location"])
    tables = [one for one in wanted if one.partition is None]
    partitions = [one for one in wanted if one.partition is not None]
    return asker.tables(tables) | asker.partitions(partitions)


@dataclass(frozen=True)
class _Asker:
    log: Any
    client: bigquery.Client
    dataset: str
    location: str

    def tables(self, wanted: list[Wanted]) -> dict[Wanted, Found]:
        """Those that are there: of many, the list of the dataset tells whom to ask about."""
        names = {one.table for one in wanted}
        if len(names) >= _LIST_FROM:
            names = self._listed(names)
        if not names:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(names)), "table") as pool:
            found = dict(zip(names, pool.map(self._table, names), strict=True))
        return {one: there for one in wanted if (there := found.get(one.table))}

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
        pairs = ((one, found.get((one.table, one.partition))) for one in wanted)
        return {one: there for one, there in pairs if there}
