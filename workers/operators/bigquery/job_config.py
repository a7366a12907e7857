"""The configuration of BigQuery's jobs: how they write tables, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import DestinationParams, WritingParams
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google import clients

_DAY = 24 * 3600 * 1000  # milliseconds

Config = TypeVar(
    "Config",
    bigquery.CopyJobConfig,
    bigquery.ExtractJobConfig,
    bigquery.LoadJobConfig,
    bigquery.QueryJobConfig,
)


def configured(config: Config, values: Mapping[str, Any], context: TaskContext) -> Config:
    """`config` with these values, and with the labels of the try.

    The value `configuration` is more of the job's configuration, as BigQuery's REST API names it.
    """
    more = values.get("configuration") or {}
    for name, value in values.items():
        if value is not None and name != "configuration":
            setattr(config, name, value)
    # The client has no names for what is newer than it.
    own = config._properties[config._job_type]  # noqa: SLF001
    if twice := sorted(set(more) & {name for name, value in own.items() if value is not None}):
        raise TaskFailed(
            f'"configuration" says again what other params say: {", ".join(twice)}', final=True
        )
    own.update(more)
    config.labels = config.labels | clients.labels(context)
    return config


def key_of(params: WritingParams) -> bigquery.EncryptionConfiguration | None:
    """The key that encrypts what a job writes."""
    return bigquery.EncryptionConfiguration(params.kms_key) if params.kms_key else None


def layout(params: DestinationParams) -> dict[str, Any]:
    """How a job treats the table that it writes, as values of its configuration."""
    config: dict[str, Any] = {
        "write_disposition": params.write_disposition,
        "create_disposition": params.create_disposition,
        "clustering_fields": params.cluster_by or None,
        "schema_update_options": params.schema_update_options or None,
        "destination_encryption_configuration": key_of(params),
    }
    by = params.partition_by
    if by and by.type:
        expires = by.expiration_days and int(by.expiration_days * _DAY)
        made = bigquery.TimePartitioning(by.type, by.field, expires)
        if by.require_filter:  # a job can say it in no other way, though the client warns of it
            made._properties["requirePartitionFilter"] = True  # noqa: SLF001
        config["time_partitioning"] = made
    elif by:
        width = bigquery.PartitionRange(start=by.start, end=by.end, interval=by.interval)
        config["range_partitioning"] = bigquery.RangePartitioning(width, by.field)
    return config
