"""The params of BigQuery's operators, named as BigQuery's API names them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from pydag_dist.dag.param_types import Dataset, Filled, GcsUri, GoogleParams, Params, Table
from pydag_dist.dag.script import quote


def _typed(value: Any) -> Any:
    """Refuse query parameters whose BigQuery type can't be told from their JSON value."""
    if not isinstance(value, dict | list):
        raise ValueError(f"must be an object (of @name) or a list (of ?), not {quote(value)}")  # noqa: TRY004
    named = value.items() if isinstance(value, dict) else enumerate(value)
    wrong = [f"{name}: {quote(given)}" for name, given in named if not _has_type(given)]
    if wrong:
        raise ValueError(
            f'no BigQuery type for {", ".join(wrong)}: give an object of "type" and "value"'
        )
    return value


def _has_type(value: Any) -> bool:
    if isinstance(value, list):
        return len({type(item) for item in value}) == 1 and not isinstance(value[0], dict | list)
    if isinstance(value, dict):
        return set(value) == {"type", "value"}
    return value is not None


QueryParameters = Annotated[dict[str, Any] | list[Any], BeforeValidator(_typed)]


class BigQueryParams(GoogleParams):
    """What every task in BigQuery may say."""

    location: Filled | None = Field(None, description="where the job runs")


class Partitioning(Params):
    """How a new table is partitioned: by time, or by ranges of a whole number."""

    field: Filled = Field(description="the column")
    type: Literal["HOUR", "DAY", "MONTH", "YEAR"] | None = Field(None, description="of time")
    expiration_days: float | None = Field(None, gt=0, description="how long a partition lives")
    start: int | None = Field(None, description="of ranges")
    end: int | None = Field(None, description="of ranges, exclusive")
    interval: int | None = Field(None, gt=0, description="the width of a range")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        ranges = (self.start, self.end, self.interval)
        if any(value is not None for value in ranges):
            if None in ranges or self.type or self.expiration_days:
                raise ValueError("ranges have start, end and interval, and nothing of time")
        elif self.type is None:
            raise ValueError('give "type" (HOUR, DAY, MONTH, YEAR), or start, end and interval')
        return self


class DestinationParams(BigQueryParams):
    """What a job that writes a table may say about it."""

    write_disposition: Literal["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY"] | None = None
    create_disposition: Literal["CREATE_IF_NEEDED", "CREATE_NEVER"] | None = None
    partition_by: Partitioning | None = Field(None, description="of a table that is made")
    cluster_by: list[Filled] = Field([], max_length=4, description="columns, of a table made")
    schema_update_options: list[Literal["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"]] = Field(
        [], description="how the table's schema may change"
    )


class BigQueryQuery(DestinationParams):
    """``bigquery.query``: run GoogleSQL, a script of several statements too."""

    sql: Filled = Field(description="the text; values go into `parameters`, not into the text")
    parameters: QueryParameters = Field(
        {}, description="of @name by name, of ? by position; {type, value} where JSON has no type"
    )
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    destination: Table | None = Field(None, description="project.dataset.table of the rows")
    job_priority: Literal["INTERACTIVE", "BATCH"] = "INTERACTIVE"
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    use_query_cache: bool = True


class BigQueryLoad(DestinationParams):
    """``bigquery.load``: files of Cloud Storage into a table."""

    source_uris: list[GcsUri] = Field(min_length=1, description="each with one * at most")
    destination: Table = Field(description="project.dataset.table")
    source_format: Literal["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO", "ORC"] = "CSV"
    table_schema: list[dict[str, Any]] | None = Field(
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

    @model_validator(mode="after")
    def _one_schema(self) -> Self:
        if self.autodetect and self.table_schema:
            raise ValueError('either "table_schema" or "autodetect"')
        return self


class BigQueryExtract(BigQueryParams):
    """``bigquery.extract``: a table into files of Cloud Storage."""

    source: Table = Field(description="project.dataset.table")
    destination_uris: list[GcsUri] = Field(
        min_length=1, description="one * in a name: as many files as are needed"
    )
    destination_format: Literal["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO"] = "CSV"
    compression: Literal["NONE", "GZIP", "DEFLATE", "SNAPPY", "ZSTD"] = "NONE"
    field_delimiter: Filled | Literal["\t"] | None = Field(None, description="CSV")
    print_header: bool = Field(True, description="CSV")
    use_avro_logical_types: bool = Field(True, description="Avro")


class BigQueryCheck(BigQueryParams):
    """``bigquery.check``: fail unless data are as they should be.

    Either `sql`, whose only row must be true in every column, or `table`, which must have so many
    rows, or be so fresh, or both.
    """

    sql: Filled | None = Field(None, description="its only row must be true in every column")
    parameters: QueryParameters = Field({}, description="of `sql` and `where`")
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    table: Table | None = Field(None, description="project.dataset.table")
    where: Filled | None = Field(None, description="which rows of `table`, in SQL")
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

    table: Table = Field(description="project.dataset.table")
    partition: Filled | None = Field(None, description="its id: 20260131, 202601, 2026013123, …")
    newer_than: AwareDatetime | None = Field(
        None, description="changed after this moment: 2026-01-31T06:00:00Z", strict=False
    )
