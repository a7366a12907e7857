"""Writing a Spark DataFrame to BigQuery: Parquet in the temporary bucket, then one load job."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections import Counter
from pathlib import Path

from google.api_core.exceptions import Conflict, NotFound
from google.cloud import bigquery
from pyspark.sql import DataFrame
from pyspark.sql import types as spark_types

from pydag_emulators.dataproc.spark.options import Options
from pydag_emulators.dataproc.storage import Storage

# writes of each table by this driver, for the load jobs' ids
_writes: Counter[str] = Counter()


def write(frame: DataFrame, options: Options, path: str | None, mode: str) -> None:
    """Save the frame as the table that path or options name, in one of Spark's save modes."""
    options.check()
    table, client = options.table(path), options.client()
    exists = _exists(client, table)
    if exists and mode == "ignore":
        return
    if exists and mode in ("error", "errorifexists"):
        raise ValueError(
            f"SaveMode is set to ErrorIfExists and table '{table}' already exists. Did you want "
            "to add data to the table by setting the SaveMode to Append?"
        )
    config = _load_config(frame, options, replace=mode == "overwrite", exists=exists)
    # A driver that runs again must choose the same id, so that nothing is appended twice.
    _writes[table] += 1
    digest = hashlib.sha256(table.encode()).hexdigest()[:16]
    job_id = f"dataproc-{os.environ['PYDAG_JOB_UUID']}-{digest}-{_writes[table]}"
    storage = Storage(os.environ["STORAGE_EMULATOR_HOST"])
    application = frame.sparkSession.sparkContext.applicationId
    folder = f"gs://{_temporary_bucket(options)}/.spark-bigquery-{application}-{uuid.uuid4()}"
    try:
        _upload(frame, folder, storage)
        job = _load(client, f"{folder}/*", table, job_id, config)
    finally:
        storage.delete_folder(folder)
    with Path(os.environ["PYDAG_JOB_DIRECTORY"], "rows").open("a") as rows:
        rows.write(f"{job.output_rows or 0}\n")


def _upload(frame: DataFrame, folder: str, storage: Storage) -> None:
    """Write the frame as objects.

    Spark itself would write files that the Cloud Storage server doesn't know, and lists of the
    bucket would fail as long as they are there.
    """
    directory = Path(os.environ["PYDAG_JOB_DIRECTORY"], f"parquet-{uuid.uuid4()}")
    # Not INT96, which has no time zone.
    frame.sparkSession.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    frame.write.parquet(f"file://{directory}")  # Spark takes it as it is, %20 and all
    for part in sorted(directory.glob("part-*")):
        storage.upload_file(f"{folder}/{part.name}", part)
    shutil.rmtree(directory)


def _load(
    client: bigquery.Client, uri: str, table: str, job_id: str, config: bigquery.LoadJobConfig
) -> bigquery.LoadJob:
    """Run the load job, or wait for the one that an earlier driver of this job began."""
    try:
        job = client.load_table_from_uri(uri, table, job_id=job_id, job_config=config)
    except Conflict:
        found = client.get_job(job_id)
        assert isinstance(found, bigquery.LoadJob)  # noqa: S101 - for the type checker
        job = found
    job.result()
    return job


def _load_config(
    frame: DataFrame, options: Options, *, replace: bool, exists: bool
) -> bigquery.LoadJobConfig:
    config = bigquery.LoadJobConfig(source_format=bigquery.SourceFormat.PARQUET)
    config.write_disposition = "WRITE_TRUNCATE" if replace else "WRITE_APPEND"
    config.create_disposition = options.get("createDisposition") or "CREATE_IF_NEEDED"
    if labels := options.with_prefix("bigQueryJobLabel."):
        config.labels = labels
    if replace or not exists:
        config.schema = [_field(field) for field in frame.schema.fields]
    if field := options.get("partitionField"):
        kind = options.get("partitionType") or "DAY"
        config.time_partitioning = bigquery.TimePartitioning(type_=kind, field=field)
    if fields := options.get("clusteredFields"):
        config.clustering_fields = [name.strip() for name in fields.split(",")]
    updates = {
        "allowFieldAddition": bigquery.SchemaUpdateOption.ALLOW_FIELD_ADDITION,
        "allowFieldRelaxation": bigquery.SchemaUpdateOption.ALLOW_FIELD_RELAXATION,
    }
    if wanted := [value for key, value in updates.items() if options.get(key) == "true"]:
        config.schema_update_options = wanted
    parquet = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    parquet.enable_list_inference = True
    config.parquet_options = parquet
    return config


def _temporary_bucket(options: Options) -> str:
    bucket = options.get("temporaryGcsBucket") or options.get("persistentGcsBucket")
    if not bucket:
        raise ValueError(
            "Temporary or persistent GCS bucket must be informed: set temporaryGcsBucket as an "
            "option or in spark.conf"
        )
    if not Path(os.environ["PYDAG_GCS_ROOT"], bucket).is_dir():
        raise ValueError(f"the bucket {bucket} (temporaryGcsBucket) does not exist")
    return bucket


def _field(field: spark_types.StructField) -> bigquery.SchemaField:
    """A column of a new table, in the types that the connector chooses."""
    kind, mode = field.dataType, "NULLABLE" if field.nullable else "REQUIRED"
    if isinstance(kind, spark_types.ArrayType):
        kind, mode = kind.elementType, "REPEATED"
    below = kind.fields if isinstance(kind, spark_types.StructType) else []
    return bigquery.SchemaField(
        field.name, _type(field.name, kind), mode=mode, fields=[_field(sub) for sub in below]
    )


_TYPES = {
    "byte": "INTEGER",
    "short": "INTEGER",
    "integer": "INTEGER",
    "long": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "boolean": "BOOLEAN",
    "string": "STRING",
    "binary": "BYTES",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp_ntz": "DATETIME",
    "struct": "RECORD",
}


def _type(name: str, kind: spark_types.DataType) -> str:
    if isinstance(kind, spark_types.DecimalType):
        fits = kind.scale <= 9 and kind.precision - kind.scale <= 29
        return "NUMERIC" if fits else "BIGNUMERIC"
    if kind.typeName() not in _TYPES:
        raise ValueError(f"column {name}: no BigQuery type for {kind.simpleString()} here")
    return _TYPES[kind.typeName()]


def _exists(client: bigquery.Client, table: str) -> bool:
    try:
        client.get_table(table)
    except NotFound:
        return False
    return True
