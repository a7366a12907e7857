"""``bigquery.load``: files of Cloud Storage into a table, under the id of the try.

Appending is safe to repeat: a load job is one transaction, and the same try has one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryLoad
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.google import answers, clients, errors
from workers.google.storage import client_of as storage_client_of
from workers.google.versions import objects_at, written_tables
from workers.operators.bigquery.job import Job, client_of, slot_ms
from workers.operators.bigquery.job_config import configured, layout
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version

_FOR_CSV = (
    "skip_leading_rows", "field_delimiter", "quote_character", "null_marker",
    "allow_quoted_newlines", "allow_jagged_rows",
)  # fmt: skip


class Load(Job, CachedOperator):
    """Loads files; its result tells rows, bytes and files."""

    params_model = BigQueryLoad

    def insert(
        self, context: TaskContext, client: bigquery.Client, options: Mapping[str, Any]
    ) -> Any:
        """Insert the load's job."""
        params = parsed_params(context, BigQueryLoad)
        return clients.call(
            context.log,
            client.load_table_from_uri,
            params.source_uris,
            params.destination,
            job_config=configured(bigquery.LoadJobConfig(), _config(params), context),
            **options,
        )

    def inputs(self, context: TaskContext) -> Inputs:
        """The objects."""
        params = parsed_params(context, BigQueryLoad)
        client = storage_client_of(context, params.connection)
        with answers.explained("what is loaded"):
            reads = objects_at(context, client, params.source_uris)
        return Inputs(self.about(context), reads, [params.destination])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """The table."""
        with answers.explained("what was loaded"):
            client = client_of(context, self.handle(context))
            return written_tables(context, client, names)

    def result(self, context: TaskContext, client: bigquery.Client, job: Any) -> dict[str, Any]:  # noqa: ARG002
        """What was loaded."""
        for error in job.errors or ():  # of records within max_bad_records
            context.log.warning("passed over: %s", errors.explain_details(error))
        return {
            "destination": str(job.destination),
            "rows": job.output_rows,
            "bytes_processed": job.input_file_bytes,
            "bytes_billed": 0,
            "slot_ms": slot_ms(job),
            "output_bytes": job.output_bytes,
            "files": job.input_files,
            **lineage(job.source_uris or (), [str(job.destination)]),
        }


def _config(params: BigQueryLoad) -> dict[str, Any]:
    config = {
        "source_format": params.source_format,
        "autodetect": params.autodetect or None,
        "max_bad_records": params.max_bad_records or None,
        "ignore_unknown_values": params.ignore_unknown_values or None,
        "encoding": params.encoding,
        "labels": params.labels,
        "configuration": params.configuration,
        **layout(params),
    }
    if params.table_schema:
        config["schema"] = [bigquery.SchemaField.from_api_repr(f) for f in params.table_schema]
    if params.source_format == "CSV":
        config |= {name: getattr(params, name) for name in _FOR_CSV}
    elif params.source_format == "PARQUET" and params.enable_list_inference:
        options = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        options.enable_list_inference = True
        config["parquet_options"] = options
    elif params.source_format == "AVRO":
        config["use_avro_logical_types"] = params.use_avro_logical_types
    return config
