"""``bigquery.copy``: tables, or partitions of them, into one table, under the id of the try.

Appending is safe to repeat: a copy job is one transaction, and the same try has one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryCopy
from workers.contract.context import TaskContext, parsed_params
from workers.google import answers, clients
from workers.google.versions import read_tables, written_tables
from workers.operators.bigquery.job import Job, client_of, slot_ms
from workers.operators.bigquery.job_config import configured, key_of
from workers.result_cache.cached_operator import CachedOperator, Inputs, NotCached, Version


class Copy(Job, CachedOperator):
    """Copies tables; its result tells the rows."""

    params_model = BigQueryCopy

    def insert(
        self, context: TaskContext, client: bigquery.Client, options: Mapping[str, Any]
    ) -> Any:
        """Insert the copy's job."""
        params = parsed_params(context, BigQueryCopy)
        config = {
            "write_disposition": params.write_disposition,
            "create_disposition": params.create_disposition,
            "destination_encryption_configuration": key_of(params),
            "labels": params.labels,
            "configuration": params.configuration,
        }
        return clients.call(
            context.log,
            client.copy_table,
            params.sources,
            params.destination,
            job_config=configured(bigquery.CopyJobConfig(), config, context),
            **options,
        )

    def inputs(self, context: TaskContext) -> Inputs:
        """The tables that are copied."""
        params = parsed_params(context, BigQueryCopy)
        if params.destination.partition("$")[0] in [s.partition("$")[0] for s in params.sources]:
            raise NotCached("it reads the table that it writes")
        with answers.explained("what is copied"):
            client = client_of(context, self.handle(context))
            reads = read_tables(context, client, params.sources)
        return Inputs(self.about(context), reads, [params.destination])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """The destination."""
        with answers.explained("what was copied"):
            client = client_of(context, self.handle(context))
            return written_tables(context, client, names)

    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:  # noqa: ARG002
        """What was copied."""
        statistics = job._properties["statistics"].get("copy") or {}  # noqa: SLF001
        copied = statistics.get("copiedRows")
        return {
            "sources": [str(source) for source in job.sources],
            "destination": str(job.destination),
            "rows": None if copied is None else int(copied),
            "bytes_billed": 0,
            "slot_ms": slot_ms(job),
        }
