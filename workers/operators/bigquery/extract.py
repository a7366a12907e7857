"""``bigquery.extract``: a table into files of Cloud Storage, under the id of the try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryExtract
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.google import answers, clients
from workers.google.storage import client_of as storage_client_of
from workers.google.versions import objects_at, read_tables
from workers.operators.bigquery.job import Job, client_of, slot_ms
from workers.operators.bigquery.job_config import configured
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version


class Extract(Job, CachedOperator):
    """Extracts a table; its result tells the files."""

    params_model = BigQueryExtract

    def insert(
        self, context: TaskContext, client: bigquery.Client, options: Mapping[str, Any]
    ) -> Any:
        """Insert the extract's job."""
        params = parsed_params(context, BigQueryExtract)
        config: dict[str, Any] = {
            "destination_format": params.destination_format,
            "compression": params.compression,
            "labels": params.labels,
            "configuration": params.configuration,
        }
        if params.destination_format == "CSV":
            config["field_delimiter"] = params.field_delimiter
            config["print_header"] = params.print_header
        elif params.destination_format == "AVRO":
            config["use_avro_logical_types"] = params.use_avro_logical_types
        made = bigquery.ExtractJobConfig()  # type: ignore[no-untyped-call]
        return clients.call(
            context.log,
            client.extract_table,
            params.source,
            params.destination_uris,
            job_config=configured(made, config, context),
            **options,
        )

    def inputs(self, context: TaskContext) -> Inputs:
        """The table."""
        params = parsed_params(context, BigQueryExtract)
        with answers.explained("what is extracted"):
            client = client_of(context, self.handle(context))
            reads = read_tables(context, client, [params.source])
        return Inputs(self.about(context), reads, params.destination_uris)

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """The files."""
        params = parsed_params(context, BigQueryExtract)
        client = storage_client_of(context, params.connection)
        with answers.explained("what was extracted"):
            return objects_at(context, client, names)

    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:  # noqa: ARG002
        """What was written, and where: as many files for each URI."""
        return {
            "source": str(job.source),
            "uris": list(job.destination_uris),
            "files": list(job.destination_uri_file_counts or ()),
            "bytes_billed": 0,
            "slot_ms": slot_ms(job),
            **lineage([str(job.source)], job.destination_uris),
        }
