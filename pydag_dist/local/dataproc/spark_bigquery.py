"""Spark's `format("bigquery")` without Google's connector, inside a job's driver.

Writing is what the connector calls indirect: Parquet into the temporary bucket, then one load
job. Its id follows from the Dataproc job, the table and how often the job wrote it, so that a
driver that is run again does not append twice. Reading fetches the table or the query's result
through the driver, which is enough for the sizes of one machine.

Options are the connector's (github.com/GoogleCloudDataproc/spark-bigquery-connector, README).
Ones that would change the result and that are not carried out here are refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as spark_types
from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame
from pyspark.sql.readwriter import DataFrameReader, DataFrameWriter

from pydag_dist.local.gcs import adopt_files

NAMES = ("bigquery", "com.google.cloud.spark.bigquery")
REFUSED = (
    "datePartition",
    "partitionExpirationMs",
    "partitionRangeStart",
    "partitionRangeEnd",
    "partitionRangeInterval",
    "partitionRequireFilter",
    "timestampZone",
)
# writes of each table by this driver, for the load jobs' ids
_writes: Counter[str] = Counter()


def install() -> None:
    """Give the classic DataFrame and session readers and writers that know BigQuery."""
    ClassicDataFrame.write = property(Writer)  # type: ignore[method-assign, assignment]
    SparkSession.read = property(Reader)  # type: ignore[method-assign, assignment]


class Options:
    """Options of one read or write: case does not matter, the session's settings come last."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._given: dict[str, str] = {}

    def set(self, options: Mapping[str, Any]) -> None:
        """Add what a script gives."""
        self._given.update({key.lower(): _text(value) for key, value in options.items()})

    def get(self, key: str) -> str | None:
        """An option, else the session's setting of that name."""
        if key.lower() in self._given:
            return self._given[key.lower()]
        for name in (f"spark.datasource.bigquery.{key}", key):
            value = self._spark.conf.get(name, None)
            if value is not None:
                return str(value)
        return None

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """Given options whose key begins so, without that part."""
        start = prefix.lower()
        return {k[len(start) :]: v for k, v in self._given.items() if k.startswith(start)}

    def check(self) -> None:
        """Refuse what would be carried out wrongly."""
        for key in REFUSED:
            if self.get(key) is not None:
                raise ValueError(f"option {key} of the BigQuery connector is not carried out here")

    def table(self, path: str | None) -> str:
        """`project.dataset.table`, whatever is left out or said by other options."""
        name = path or self.get("table")
        if not name:
            raise ValueError("no table was given: .option('table', 'dataset.table')")
        parts = name.replace(":", ".").split(".")
        if len(parts) == 1:
            dataset = self.get("dataset")
            if not dataset:
                raise ValueError(f"'{name}' has no dataset: write dataset.table")
            parts.insert(0, dataset)
        if len(parts) == 2:
            parts.insert(0, self.get("project") or os.environ["GOOGLE_CLOUD_PROJECT"])
        return ".".join(parts)

    def client(self) -> bigquery.Client:
        """Whose jobs are billed to the parent project."""
        return bigquery.Client(
            project=self.get("parentProject") or os.environ["GOOGLE_CLOUD_PROJECT"],
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": os.environ["BIGQUERY_EMULATOR_HOST"]},
        )


class _KnowsBigQuery:
    """Remembers the format and the options that go to Spark's own reader or writer, too."""

    _bigquery: Options
    _is_bigquery = False

    def format(self, source: str) -> Self:
        """Spark's, remembering whether it is BigQuery's."""
        self._is_bigquery = source.lower().startswith(NAMES)
        super().format(source)  # type: ignore[misc]
        return self

    def option(self, key: str, value: Any) -> Self:
        """Spark's, remembering the option."""
        self._bigquery.set({key: value})
        super().option(key, value)  # type: ignore[misc]
        return self

    def options(self, **options: Any) -> Self:
        """Spark's, remembering the options."""
        for key, value in options.items():
            self.option(key, value)
        return self


class Writer(_KnowsBigQuery, DataFrameWriter):
    """Spark's writer, but for `format("bigquery")`."""

    def __init__(self, frame: DataFrame) -> None:
        super().__init__(frame)
        self._bigquery = Options(frame.sparkSession)
        self._save_mode = "errorifexists"

    def mode(self, saveMode: str | None) -> Self:  # noqa: N803 - Spark's name
        """Spark's, remembering the mode."""
        self._save_mode = (saveMode or self._save_mode).lower()
        super().mode(saveMode)
        return self

    def save(
        self,
        path: str | None = None,
        format: str | None = None,  # noqa: A002 - Spark's name
        mode: str | None = None,
        partitionBy: str | list[str] | None = None,  # noqa: N803 - Spark's name
        **options: Any,
    ) -> None:
        """Write the frame; for BigQuery, `path` may name the table."""
        if format is not None:
            self.format(format)
        if not self._is_bigquery:
            super().save(path, None, mode, partitionBy, **options)
            return
        self.mode(mode).options(**options)
        if partitionBy:
            raise ValueError("BigQuery tables are partitioned by option partitionField")
        _write(self._df, self._bigquery, path, self._save_mode)


class Reader(_KnowsBigQuery, DataFrameReader):
    """Spark's reader, but for `format("bigquery")`."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__(spark)
        self._bigquery = Options(spark)

    def load(
        self,
        path: str | list[str] | None = None,
        format: str | None = None,  # noqa: A002 - Spark's name
        schema: Any = None,
        **options: Any,
    ) -> DataFrame:
        """Read; for BigQuery, `path` may be a table or a query."""
        if format is not None:
            self.format(format)
        if not self._is_bigquery:
            return super().load(path, None, schema, **options)
        self.options(**options)
        if schema is not None or isinstance(path, list):
            raise ValueError("format('bigquery') reads one table, and in its own schema")
        return _read(self._spark, self._bigquery, path)


def _write(frame: DataFrame, options: Options, path: str | None, mode: str) -> None:
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
    _writes[table] += 1
    digest = hashlib.sha256(table.encode()).hexdigest()[:16]
    job_id = f"dataproc-{os.environ['PYDAG_JOB_UUID']}-{digest}-{_writes[table]}"
    folder = f".spark-bigquery-{frame.sparkSession.sparkContext.applicationId}-{uuid.uuid4()}"
    bucket = _temporary_bucket(options)
    directory = Path(os.environ["PYDAG_GCS_ROOT"], bucket, folder)
    try:
        # Not INT96, which has no time zone.
        frame.sparkSession.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        frame.write.parquet(f"gs://{bucket}/{folder}")
        adopt_files(directory)
        job = _load(client, f"gs://{bucket}/{folder}/part-*", table, job_id, config)
        with Path(os.environ["PYDAG_JOB_DIRECTORY"], "rows").open("a") as rows:
            rows.write(f"{job.output_rows or 0}\n")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


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


def _read(spark: SparkSession, options: Options, path: str | None) -> DataFrame:
    options.check()
    client = options.client()
    query = path if path and " " in path.strip() else options.get("query")
    if query is None:
        condition = options.get("filter")
        query = f"SELECT * FROM `{options.table(path)}`"  # noqa: S608 - the script's own words
        query += f" WHERE {condition}" if condition else ""
    rows = client.query(query).result().to_arrow(create_bqstorage_client=False)
    return spark.createDataFrame(rows)


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


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
