"""``bigquery.load``: files of Cloud Storage into a table, under the id of the try.

Appending is safe to repeat: a load job is one transaction, and the same try has one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import bigquery
from pydantic import TypeAdapter, ValidationError

from pydag_dist.dag.params.bigquery import BigQueryLoad
from pydag_dist.dag.params.bigquery_types import Columns
from pydag_dist.dag.text.messages import message
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.errors import TaskFailed
from workers.google import answers, clients, errors
from workers.google.storage import Uri, blob_at, content
from workers.google.storage import client_of as storage_client_of
from workers.google.versions import objects_at, written_tables
from workers.operators.bigquery.job import Job, client_of, slot_ms
from workers.operators.bigquery.job_config import configured, layout
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version

_FOR_CSV = (
    "skip_leading_rows", "field_delimiter", "quote_character", "null_marker",
    "allow_quoted_newlines", "allow_jagged_rows",
)  # fmt: skip
_FOR_TEXTS = (
    "encoding", "date_format", "datetime_format", "time_format", "timestamp_format", "time_zone",
    "json_extension",
)  # fmt: skip
_LONGEST_SCHEMA = 1 << 20  # bytes


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
            job_config=configured(bigquery.LoadJobConfig(), _config(context, params), context),
            **options,
        )

    def inputs(self, context: TaskContext) -> Inputs:
        """The objects."""
        params = parsed_params(context, BigQueryLoad)
        client = storage_client_of(context, params.connection)
        with answers.explained("what is loaded"):
            described = [params.schema_uri] if params.schema_uri else []
            reads = objects_at(context, client, [*params.source_uris, *described])
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


def _config(context: TaskContext, params: BigQueryLoad) -> dict[str, Any]:
    config = {
        "source_format": params.source_format,
        "autodetect": params.autodetect or None,
        "max_bad_records": params.max_bad_records or None,
        "ignore_unknown_values": params.ignore_unknown_values or None,
        "decimal_target_types": params.decimal_target_types or None,
        "labels": params.labels,
        "configuration": params.configuration,
        **{name: getattr(params, name) for name in _FOR_TEXTS},
        **layout(params),
    }
    fields = _fields(context, params) if params.schema_uri else params.table_schema
    if fields:
        config["schema"] = [bigquery.SchemaField.from_api_repr(field) for field in fields]
    if by := params.hive_partitioning:
        options = bigquery.HivePartitioningOptions()
        options.mode, options.source_uri_prefix = by.mode, by.source_uri_prefix
        config["hive_partitioning"] = options
    if params.source_format == "CSV":
        config |= {name: getattr(params, name) for name in _FOR_CSV}
    elif params.source_format == "PARQUET" and params.enable_list_inference:
        config["parquet_options"] = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        config["parquet_options"].enable_list_inference = True
    elif params.source_format == "AVRO":
        config["use_avro_logical_types"] = params.use_avro_logical_types
    return config


def _fields(context: TaskContext, params: BigQueryLoad) -> list[dict[str, Any]]:
    """The columns that are in an object of Cloud Storage."""
    uri = str(params.schema_uri)
    client = storage_client_of(context, params.connection)
    blob = blob_at(context, client, Uri.of(uri))
    if blob is None or blob.size > _LONGEST_SCHEMA:
        is_long = f"has more than {_LONGEST_SCHEMA:,} bytes" if blob else "is not there"
        raise TaskFailed(f"schema_uri: {uri} {is_long}")
    data = content(context, blob)
    try:
        # As a param of that name is checked, since it is one.
        return TypeAdapter(Columns).validate_json(data or b"")
    except ValidationError as error:
        why = "; ".join(message(problem) for problem in error.errors())
        raise TaskFailed(f"schema_uri: {uri} is no list of columns: {why}", final=True) from None
