"""The params of BigQuery's operators, named as BigQuery's API names them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pydag_dist.dag.params.bigquery_types import (
    Columns,
    HivePartitioning,
    Partitioning,
    QueryParameters,
)
from pydag_dist.dag.params.types import (
    Dataset,
    DayText,
    FilesUri,
    Filled,
    GoogleParams,
    KmsKey,
    Location,
    Moment,
    ObjectUri,
    Partition,
    PartOrTable,
    Sql,
    Table,
)
from pydag_dist.dag.templates.texts import MARK

_SAID_BY_PARAMS = frozenset(
    {
        "destinationTable", "destinationUri", "destinationUris", "query", "queryParameters",
        "sourceTable", "sourceTables", "sourceUris", "useLegacySql",
    }
)  # fmt: skip
_MOST_METRICS = 20
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


class WritingParams(JobParams):
    """The params of operators that write a table."""

    kms_key: KmsKey | None = Field(None, description="a key of yours that encrypts the table")


class DestinationParams(WritingParams):
    """The params of operators that write new rows into a table."""

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


class BigQueryCopy(WritingParams):
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
    schema_uri: ObjectUri | None = Field(
        None, description="an object that has such a list as JSON, in place of `table_schema`"
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
    date_format: Filled | None = Field(None, description="CSV and JSON, as YYYY-MM-DD")
    datetime_format: Filled | None = Field(None, description="CSV and JSON")
    time_format: Filled | None = Field(None, description="CSV and JSON")
    timestamp_format: Filled | None = Field(None, description="CSV and JSON")
    time_zone: Filled | None = Field(None, description="CSV and JSON, of times without one")
    json_extension: Literal["GEOJSON"] | None = Field(None, description="JSON")
    decimal_target_types: list[Literal["NUMERIC", "BIGNUMERIC", "STRING"]] = Field(
        [], description="which types decimals may become"
    )
    hive_partitioning: HivePartitioning | None = Field(None, description="columns in paths")
    enable_list_inference: bool = Field(False, description="Parquet")
    use_avro_logical_types: bool = Field(True, description="Avro")
    _appends_by_default: ClassVar[bool] = True

    @model_validator(mode="after")
    def _one_schema(self) -> Self:
        if sum(map(bool, (self.autodetect, self.table_schema, self.schema_uri))) > 1:
            raise ValueError('one of "table_schema", "schema_uri" and "autodetect"')
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

    Either `sql`, whose only row must be true, or as `expected`, in every column; or `table`, of
    which the number of rows, the age of the newest row, or both are checked; or `metrics` of
    it are compared with those of an earlier day.
    """

    sql: Sql | None = Field(None, description="its only row must be true in every column")
    expected: bool | int | float | str | None = Field(
        None, description="of `sql`: what every column must be, instead of true"
    )
    tolerance: float = Field(
        0, ge=0, description="of a number: 0.1 allows a tenth of it more or less"
    )
    parameters: QueryParameters = Field({}, description="of `sql` and `where`")
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    table: PartOrTable | None = Field(None, description="project.dataset.table")
    where: Sql | None = Field(None, description="which rows of `table`, in SQL")
    min_rows: int | None = Field(None, ge=0, description="of `table`")
    max_rows: int | None = Field(None, ge=0, description="of `table`")
    column: Filled | None = Field(None, description="time or date of a row")
    max_age: float | None = Field(None, gt=0, description="seconds since the newest `column`")

    metrics: dict[Filled, Annotated[float, Field(ge=1)]] = Field(
        {}, max_length=_MOST_METRICS,
        description="of `table`: aggregates in SQL, and how many times more or less they may be",
    )  # fmt: skip
    day: DayText | None = Field(None, description="of `metrics`: the day, as 2026-01-31")
    days_back: int = Field(7, ge=1, le=3660, description="of `metrics`: the day compared with")

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        limits = self._given("min_rows", "max_rows", "max_age")
        of_table = self._given("where", "column", "metrics", "day") | limits
        if (self.sql is None) == (self.table is None):
            raise ValueError('either "sql" or "table"')
        if self.sql and of_table:
            raise ValueError(f"{', '.join(sorted(of_table))}: only for a table")
        if self.table and self.expected is not None:
            raise ValueError('"expected" is for "sql"')
        is_number = isinstance(self.expected, int | float) and not isinstance(self.expected, bool)
        if self.tolerance and not is_number and MARK not in str(self.expected):
            raise ValueError('"tolerance" is for a number as "expected"')
        if self.table:
            self._check_table(limits)
        return self

    def _given(self, *names: str) -> set[str]:
        return {name for name in names if getattr(self, name) not in (None, {})}

    def _check_table(self, limits: set[str]) -> None:
        if self.metrics:
            if limits or "$" in str(self.table):
                raise ValueError(
                    "metrics go without min_rows, max_rows, max_age, and a partition of the table"
                )
            if self.column is None or self.day is None:
                raise ValueError('metrics need "column" and "day"')
        elif not limits:
            raise ValueError("a table needs min_rows, max_rows, max_age or metrics")
        elif (self.column is None) != (self.max_age is None):
            raise ValueError("column and max_age belong together")
        elif self.day is not None:
            raise ValueError('"day" is for "metrics"')


class BigQueryWaitTable(BigQueryParams):
    """``bigquery.wait_table``: wait until a table, or a partition of it, is there, and new."""

    table: PartOrTable = Field(
        description="project.dataset.table, perhaps with $ and a partition's id"
    )
    partition: Partition | None = Field(None, description="its id: 20260131, 202601, 2026013123, …")
    newer_than: Moment | None = Field(
        None, description="changed after this moment: 2026-01-31T06:00:00Z"
    )

    @model_validator(mode="after")
    def _one_partition(self) -> Self:
        if self.partition is not None and "$" in self.table:
            raise ValueError('either "partition" or a table with $')
        return self
