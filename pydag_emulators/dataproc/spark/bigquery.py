"""Spark's `format("bigquery")` without Google's connector, inside a job's driver.

Writing is what the connector calls indirect (see `load`). Reading fetches the table or the
query's result through the driver, which is enough for the sizes of one machine.

Options are the connector's (github.com/GoogleCloudDataproc/spark-bigquery-connector, README).
"""

from __future__ import annotations

from typing import Any, Self

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame
from pyspark.sql.readwriter import DataFrameReader, DataFrameWriter

from pydag_emulators.dataproc.spark.load import write
from pydag_emulators.dataproc.spark.options import Options

NAMES = ("bigquery", "com.google.cloud.spark.bigquery")


def install() -> None:
    """Give the classic DataFrame and session readers and writers that know BigQuery."""
    ClassicDataFrame.write = property(Writer)  # type: ignore[method-assign, assignment]
    SparkSession.read = property(Reader)  # type: ignore[method-assign, assignment]


class _KnowsBigQuery:
    """Remembers the format and the options, and also hands them to Spark's reader or writer."""

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
        write(self._df, self._bigquery, path, self._save_mode)


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
