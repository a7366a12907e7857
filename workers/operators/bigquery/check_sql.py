"""The queries of ``bigquery.check`` that look at a table, or at one partition of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from google.cloud import bigquery

from pydag_dist.dag.params.bigquery import BigQueryCheck
from workers.errors import TaskFailed

# How long ids of partitions are, by what a partition is: 2026, 202601, 20260131, 2026013123.
_FORMATS = {"YEAR": "%Y", "MONTH": "%Y%m", "DAY": "%Y%m%d", "HOUR": "%Y%m%d%H"}


def of_table(params: BigQueryCheck, of_partition: str | None) -> str:
    """Counts the rows of a table, and tells how old the newest is; one row."""
    columns = ["COUNT(*) AS row_count"]
    if params.max_age is not None:
        newest = f"CAST(MAX(`{params.column}`) AS TIMESTAMP)"
        columns.append(f"TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), {newest}, SECOND) AS age")
    return f"SELECT {', '.join(columns)} {_rows(params, of_partition)}"


def of_days(params: BigQueryCheck) -> str:
    """Computes the metrics of a day as `now_0` …, and those of an earlier one as `before_0` …."""
    day = date.fromisoformat(params.day or "")
    names = range(len(params.metrics))
    listed = [f"{kind}.m{n} AS {kind}_{n}" for n in names for kind in ("now", "before")]
    earlier = day - timedelta(days=params.days_back)
    metrics = ", ".join(f"{metric} AS m{n}" for n, metric in enumerate(params.metrics))
    sources = []
    for kind, of in (("now", day), ("before", earlier)):
        rows = _rows(params, _between(f"`{params.column}`", of, _next(of)))
        sources.append(f"(SELECT {metrics} {rows}) AS {kind}")
    return f"SELECT {', '.join(listed)} FROM {', '.join(sources)}"  # noqa: S608  the DAG's own


def _rows(params: BigQueryCheck, *conditions: str | None) -> str:
    """FROM the table WHERE all of these, and the params' own, hold."""
    name = str(params.table).partition("$")[0]
    given = [condition for condition in (*conditions, params.where) if condition]
    where = " WHERE " + " AND ".join(f"({condition})" for condition in given) if given else ""
    return f"FROM `{name}`{where}"


def rows_of_partition(table: bigquery.Table, partition: str) -> str:
    """The condition of which rows are in a partition; by its column, so that no others are read.

    Raises `TaskFailed` if the table has no such partitions.
    """
    name, ranges, times = str(table.reference), table.range_partitioning, table.time_partitioning
    if not (ranges or times):
        raise TaskFailed(f"{name} is not partitioned, so it has no {partition}", final=True)
    column = f"`{(ranges or times).field or '_PARTITIONTIME'}`"
    if partition == ("__NULL__" if (ranges or times).field else "__UNPARTITIONED__"):
        return f"{column} IS NULL"
    try:
        if ranges and partition == "__UNPARTITIONED__":
            of = ranges.range_
            return f"{column} < {of.start} OR {column} >= {of.end}"
        if ranges:
            least = int(partition)
            return f"{column} >= {least} AND {column} < {least + ranges.range_.interval}"
        start = datetime.strptime(partition, _FORMATS[times.type_])  # noqa: DTZ007  of a column
        if start.strftime(_FORMATS[times.type_]) == partition:
            return _between(column, start, _next(start, times.type_))
    except ValueError:
        pass
    by = "ranges" if ranges else times.type_
    raise TaskFailed(
        f"{name} is partitioned by {by}, so {partition} is none of its partitions", final=True
    )


def _next(start: date, width: str = "DAY") -> date | None:
    """When the next hour, day, month or year begins; None: after the last day that there is."""
    try:
        match width:
            case "HOUR":
                return start + timedelta(hours=1)
            case "DAY":
                return start + timedelta(days=1)
            case "MONTH":
                return start.replace(
                    month=start.month % 12 + 1, year=start.year + start.month // 12
                )
            case _:
                return start.replace(year=start.year + 1)
    except (OverflowError, ValueError):
        return None


def _between(column: str, start: date, end: date | None) -> str:
    # Such texts become DATE, DATETIME or TIMESTAMP (in UTC), as the column is.
    until = f" AND {column} < '{_text(end)}'" if end else ""
    return f"{column} >= '{_text(start)}'{until}"


def _text(moment: date) -> str:
    is_hour = isinstance(moment, datetime) and moment.hour
    return moment.strftime("%Y-%m-%d %H:00:00") if is_hour else moment.strftime("%Y-%m-%d")
