"""The params of BigQuery's operators, named as BigQuery's API names them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pydag_dist.dag.params.bigquery_types import Columns, Partitioning, QueryParameters
from pydag_dist.dag.params.types import (
    Dataset,
    FilesUri,
    Filled,
    GoogleParams,
    Location,
    Moment,
    Partition,
    Sql,
    Table,
    WholeTable,
)
from pydag_dist.dag.templates.texts import MARK

_SAID_BY_PARAMS = frozenset(
    {
        "destinationTable", "destinationUri", "destinationUris", "query", "queryParameters",
        "sourceTable", "sourceTables", "sourceUris", "useLegacySql",
    }
)  # fmt: skip
_MOST_ROWS = 1000  # of a query in the result of its task

# https://cloud.google.com/bigquery/docs/exporting-data#export_formats_and_compression_types
_COMPRESSIONS = {
    "CSV": ("GZIP",),
    "NEWLINE_DELIMITED_JSON": ("GZIP",),
    "PARQUET": ("GZIP", "SNAPPY", "ZSTD"),
    "AVRO": ("DEFLATE", "SNAPPY"),
}


class BigQueryParams(GoogleParams):
    """The params that all operators of BigQuery have."""

    location: Location | None = Field(None, description="where the job runs")


class JobParams(BigQueryParams):
    """The params of operators whose job the author may configure further."""

    configuration: dict[str, Any] = Field(
        {}, description="more of the job's configuration, as BigQuery's REST API names it"
    )

    @model_validator(mode="after")
    def _nothing_again(self) -> Self:
        if again := sorted(_SAID_BY_PARAMS & set(self.configuration)):
            raise ValueError(f'"configuration" must not have {", ".join(again)}: params say it')
        return self


class DestinationParams(JobParams):
    """The params of operators that write a table."""

    write_disposition: Literal["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY"] | None = None
    create_disposition: Literal["CREATE_IF_NEEDED", "CREATE_NEVER"] | None = None
    partition_by: Partitioning | None = Field(None, description="of a table that is made")
    cluster_by: list[Filled] = Field([], max_length=4, description="columns, of a table made")
    schema_update_options: list[Literal["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"]] = Field(
        [], description="how the table's schema may change, when it is appended to"
    )
    _appends_by_default: ClassVar[bool] = False

    @model_validator(mode="after")
    def _about_the_destination(self) -> Self:
        destination = getattr(self, "destination", None)
        if destination is None:
            given = ("partition_by", "cluster_by", "schema_update_options")
            if lost := [name for name in given if getattr(self, name)]:
                raise ValueError(f'{", ".join(lost)}: only with a "destination"')
        if self.schema_update_options:
            appends = self.write_disposition == "WRITE_APPEND" or (
                self._appends_by_default and self.write_disposition is None
            )
            # Of a single partition BigQuery allows it, too.
            if not (appends or "$" in str(destination) or MARK in str(destination)):
                raise ValueError(
                    '"schema_update_options" are for "write_disposition": "WRITE_APPEND", or for '
                    "one partition of a table"
                )
        return self


class BigQueryQuery(DestinationParams):
    """``bigquery.query``: run GoogleSQL, a script of several statements too."""

    sql: Sql = Field(description="the text; values go into `parameters`, not into the text")
    parameters: QueryParameters = Field(
        {}, description="of @name by name, of ? by position; {type, value} where JSON has no type"
    )
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    destination: Table | None = Field(None, description="project.dataset.table of the rows")
    job_priority: Literal["INTERACTIVE", "BATCH"] = "INTERACTIVE"
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    use_query_cache: bool = True
    rows: int | None = Field(
        None, ge=1, le=_MOST_ROWS, description="so many rows, at most, are in the task's result"
    )

    @model_validator(mode="after")
    def _rows_of_no_table(self) -> Self:
        if self.rows and self.destination:
            # After an append, a job's rows are those of the whole table.
            raise ValueError('"rows" are of a query without a "destination"')
        return self


class BigQueryCopy(JobParams):
    """``bigquery.copy``: tables, or partitions of them, into one table."""

    sources: list[Table] = Field(min_length=1, description="project.dataset.table of each")
    destination: Table = Field(description="project.dataset.table")
    write_disposition: Literal["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY"] | None = None
    create_disposition: Literal["CREATE_IF_NEEDED", "CREATE_NEVER"] | None = None


class BigQueryLoad(DestinationParams):
    """``bigquery.load``: files of Cloud Storage into a table."""

    source_uris: list[FilesUri] = Field(min_length=1, description="each with one * at most")
    destination: Table = Field(description="project.dataset.table")
    source_format: Literal["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO", "ORC"] = "CSV"
    table_schema: Columns | None = Field(
        None, description="fields as in BigQuery's REST API: name, type, mode, fields"
    )
    autodetect: bool = Field(False, description="find the columns out, of CSV and JSON")
    max_bad_records: int = Field(0, ge=0, description="so many are passed over")
    ignore_unknown_values: bool = False
    skip_leading_rows: int | None = Field(None, ge=0, description="CSV")
    field_delimiter: Filled | Literal["\t"] | None = Field(None, description="CSV")
    quote_character: str | None = Field(None, description="CSV")
    null_marker: str | None = Field(None, description="CSV")
    allow_quoted_newlines: bool = Field(False, description="CSV")
    allow_jagged_rows: bool = Field(False, description="CSV")
    encoding: Filled | None = Field(None, description="CSV and JSON")
    enable_list_inference: bool = Field(False, description="Parquet")
    use_avro_logical_types: bool = Field(True, description="Avro")
    _appends_by_default: ClassVar[bool] = True

    @model_validator(mode="after")
    def _one_schema(self) -> Self:
        if self.autodetect and self.table_schema:
            raise ValueError('either "table_schema" or "autodetect"')
        return self


class BigQueryExtract(JobParams):
    """``bigquery.extract``: a table into files of Cloud Storage."""

    source: Table = Field(description="project.dataset.table")
    destination_uris: list[FilesUri] = Field(
        min_length=1, description="one * in a name: as many files as are needed"
    )
    destination_format: Literal["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO"] = "CSV"
    compression: Literal["NONE", "GZIP", "DEFLATE", "SNAPPY", "ZSTD"] = "NONE"
    field_delimiter: Filled | Literal["\t"] | None = Field(None, description="CSV")
    print_header: bool = Field(True, description="CSV")
    use_avro_logical_types: bool = Field(True, description="Avro")

    @model_validator(mode="after")
    def _fitting_compression(self) -> Self:
        fitting = _COMPRESSIONS[self.destination_format]
        if self.compression not in ("NONE", *fitting):
            known = ", ".join(("NONE", *fitting))
            raise ValueError(
                f'"compression" of {self.destination_format} must be one of {known}, not '
                f"{self.compression}"
            )
        return self


class BigQueryCheck(BigQueryParams):
    """``bigquery.check``: fail unless data are as they should be.

    Either `sql`, whose only row must be true in every column; or `table`, of which the number of
    rows, the age of the newest row, or both are checked.
    """

    sql: Sql | None = Field(None, description="its only row must be true in every column")
    parameters: QueryParameters = Field({}, description="of `sql` and `where`")
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    table: Table | None = Field(None, description="project.dataset.table")
    where: Sql | None = Field(None, description="which rows of `table`, in SQL")
    min_rows: int | None = Field(None, ge=0, description="of `table`")
    max_rows: int | None = Field(None, ge=0, description="of `table`")
    column: Filled | None = Field(None, description="time or date of a row, for `max_age`")
    max_age: float | None = Field(None, gt=0, description="seconds since the newest `column`")

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        of_table = (self.where, self.min_rows, self.max_rows, self.column, self.max_age)
        if (self.sql is None) == (self.table is None):
            raise ValueError('either "sql" or "table"')
        if self.sql and any(value is not None for value in of_table):
            raise ValueError("where, min_rows, max_rows, column and max_age are for a table")
        if (self.column is None) != (self.max_age is None):
            raise ValueError("column and max_age belong together")
        if self.table and (self.min_rows, self.max_rows, self.max_age) == (None, None, None):
            raise ValueError("a table needs min_rows, max_rows or max_age")
        return self


class BigQueryWaitTable(BigQueryParams):
    """``bigquery.wait_table``: wait until a table, or a partition of it, is there, and new."""

    table: WholeTable = Field(description="project.dataset.table")
    partition: Partition | None = Field(None, description="its id: 20260131, 202601, 2026013123, …")
    newer_than: Moment | None = Field(
        None, description="changed after this moment: 2026-01-31T06:00:00Z"
    )
