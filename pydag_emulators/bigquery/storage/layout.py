"""How a table is partitioned and clustered: what BigQuery takes for it, and what may change.

Rules: https://cloud.google.com/bigquery/docs/partitioned-tables and .../clustered-tables
"""

from __future__ import annotations

from typing import Any

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.names import literal, quote
from pydag_emulators.bigquery.schema import Field

Layout = dict[str, Any]
LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")
_UNITS = ("HOUR", "DAY", "MONTH", "YEAR")
_OF_TIME = ("DATE", "TIMESTAMP", "DATETIME")
_CLUSTERED = (*_OF_TIME, "BOOLEAN", "INTEGER", "NUMERIC", "STRING")
_MOST_CLUSTERED = 4
_MOST_PARTITIONS = 10_000


def layout_in(config: dict[str, Any]) -> Layout:
    """The partitioning and clustering among the settings of a job or table."""
    return {key: config[key] for key in LAYOUT if config.get(key)}


def check_layout(given: Layout, fields: list[Field]) -> None:
    """Refuse a partitioning or clustering that a table with these columns can't have.

    Raises:
        ApiError: `invalid`.
    """
    columns = {field["name"].lower(): field for field in fields}
    time, by_range = given.get("timePartitioning"), given.get("rangePartitioning")
    if time and by_range:
        raise invalid("Only one of timePartitioning and rangePartitioning can be set")
    if given.get("requirePartitionFilter") and not (time or by_range):
        raise invalid("Cannot require a partition filter of a table that is not partitioned")
    if time:
        _check_time(time, columns)
    if by_range:
        _check_range(by_range, columns)
    clustered = (given.get("clustering") or {}).get("fields") or []
    if len(clustered) > _MOST_CLUSTERED:
        raise invalid(f"A table can be clustered by at most {_MOST_CLUSTERED} columns")
    for name in clustered:
        field = _column(name, columns, "clustering")
        if field["type"] not in _CLUSTERED or field["mode"] == "REPEATED":
            raise invalid(
                f"Clustering is not supported on the field {name} of the type {_shown(field)}"
            )


def _unit(time: Layout) -> str:
    """HOUR, DAY, MONTH or YEAR: how much time is in one partition."""
    return str(time.get("type") or "DAY")


def _check_time(time: Layout, columns: dict[str, Field]) -> None:
    unit = _unit(time)
    if unit not in _UNITS:
        raise invalid(f"Invalid value for timePartitioning.type: {unit}")
    if not time.get("field"):
        return  # by time of ingestion
    field = _column(time["field"], columns, "time partitioning")
    if field["type"] not in _OF_TIME or field["mode"] == "REPEATED":
        raise invalid(
            "The field specified for time partitioning can only be of type TIMESTAMP, DATE or "
            f"DATETIME. The type found is: {_shown(field)}."
        )
    if unit == "HOUR" and field["type"] == "DATE":
        raise invalid("Time partitioning type HOUR is not supported for a field of type DATE")


def _check_range(by_range: Layout, columns: dict[str, Field]) -> None:
    field = _column(by_range.get("field") or "", columns, "range partitioning")
    if field["type"] != "INTEGER" or field["mode"] == "REPEATED":
        raise invalid(
            "The field specified for range partitioning can only be of type INTEGER. "
            f"The type found is: {_shown(field)}."
        )
    span = by_range.get("range") or {}
    try:
        start, end, width = (int(span[name]) for name in ("start", "end", "interval"))
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("rangePartitioning.range needs start, end and interval") from error
    if start >= end or width <= 0 or (end - start - 1) // width >= _MOST_PARTITIONS:
        raise invalid(
            f"Invalid range [{start}, {end}) by {width}: start before end, interval more than 0, "
            f"at most {_MOST_PARTITIONS} partitions"
        )


def _column(name: str, columns: dict[str, Field], what: str) -> Field:
    field = columns.get(str(name).lower())
    if field is None:
        raise invalid(f"The field specified for {what} cannot be found in the schema: {name}")
    return field


def _shown(field: Field) -> str:
    return f"ARRAY of {field['type']}" if field["mode"] == "REPEATED" else str(field["type"])


def check_same(existing: Layout, given: Layout, *, clustering: bool) -> None:
    """Refuse rows for a table whose partitioning is not the one that the job gives.

    `clustering` says whether that must be the same, too.

    Raises:
        ApiError: `invalid`.
    """
    keys = LAYOUT if clustering else LAYOUT[:2]
    if any(_spec(existing, key) != _spec(given, key) for key in keys if key in given) or (
        any(key in given for key in LAYOUT[:2])
        and any(_spec(existing, key) != _spec(given, key) for key in LAYOUT[:2])
    ):
        raise invalid(
            "Incompatible table partitioning specification. Expects partitioning specification "
            f"{shown(existing)}, but input partitioning specification is {shown(given)}"
        )


def is_same_partitioning(one: Layout, other: Layout) -> bool:
    """Whether two tables are partitioned alike."""
    return all(_spec(one, key) == _spec(other, key) for key in LAYOUT[:2])


def _spec(layout: Layout, key: str) -> Any:
    """What must be the same; how long partitions live may differ."""
    given = layout.get(key) or {}
    if key == "timePartitioning":
        return given and (_unit(given), str(given.get("field")).lower())
    if key == "rangePartitioning":
        span = {name: int(value) for name, value in (given.get("range") or {}).items()}
        return given and (str(given.get("field")).lower(), span)
    return [name.lower() for name in given.get("fields") or []]


def shown(layout: Layout) -> str:
    """The layout as BigQuery's messages write it."""
    parts = []
    if time := layout.get("timePartitioning"):
        unit = _unit(time).lower()
        field = f",field:{time['field']}" if time.get("field") else ""
        parts.append(f"interval(type:{unit}{field})")
    if by_range := layout.get("rangePartitioning"):
        span = by_range["range"]
        parts.append(
            f"range(field:{by_range['field']},start:{span['start']},end:{span['end']},"
            f"interval:{span['interval']})"
        )
    if clustered := (layout.get("clustering") or {}).get("fields"):
        parts.append(f"clustering({','.join(clustered)})")
    return " ".join(parts) or "none"


# -- partitioning by time of ingestion ------------------------------------------------------------

INGESTED = "_PARTITIONTIME"
_PSEUDO = (
    {"name": INGESTED, "type": "TIMESTAMP", "mode": "NULLABLE"},
    {"name": "_PARTITIONDATE", "type": "DATE", "mode": "NULLABLE"},
)


def is_by_ingestion(table: Layout) -> bool:
    """Whether a row's partition is that of the time when it is written."""
    time = table.get("timePartitioning")
    return time is not None and not time.get("field")


def pseudo_columns(table: Layout) -> list[Field]:
    """The columns that queries can name, and `*` doesn't have."""
    return [dict(field) for field in _PSEUDO] if is_by_ingestion(table) else []


def pseudo_definitions(table: Layout) -> list[str]:
    """The pseudo columns as columns of DuckDB; only the first one can be written."""
    if not is_by_ingestion(table):
        return []
    time, date = (quote(field["name"]) for field in _PSEUDO)
    unit = _unit(table["timePartitioning"]).lower()
    is_start = f"{time} = date_trunc('{unit}', {time})"
    return [
        f"{time} TIMESTAMPTZ DEFAULT date_trunc('{unit}', now()) NOT NULL CHECK ({is_start})",
        f"{date} DATE GENERATED ALWAYS AS (CAST({time} AS DATE))",
    ]


def ingested_into(table: Layout, partition: str) -> str:
    """A DuckDB expression of the time of a partition of a table by time of ingestion."""
    in_partition(table, partition)
    if not partition.isdigit():
        raise invalid(f"Rows cannot be written into the partition ${partition}")
    form = _IDS[_unit(table["timePartitioning"])]
    return f"CAST(strptime({literal(partition)}, '{form}') AS TIMESTAMPTZ)"


# -- partitions ---------------------------------------------------------------------------------

_IDS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
_DIGITS = {"HOUR": 10, "DAY": 8, "MONTH": 6, "YEAR": 4}


def partition_id(table: Layout) -> str:
    """A DuckDB expression of the id of the partition that a row is in; NULL without partitions."""
    if time := table.get("timePartitioning"):
        column = f"CAST({quote(time.get('field') or INGESTED)} AS TIMESTAMP)"
        return f"coalesce(strftime({column}, '{_IDS[_unit(time)]}'), '__NULL__')"
    if by := table.get("rangePartitioning"):
        column, of = quote(by["field"]), by["range"]
        start, end, width = (int(of[name]) for name in ("start", "end", "interval"))
        return (
            f"CASE WHEN {column} IS NULL THEN '__NULL__' "
            f"WHEN {column} < {start} OR {column} >= {end} THEN '__UNPARTITIONED__' "
            f"ELSE CAST({column} - ({column} - {start}) % {width} AS VARCHAR) END"
        )
    return "CAST(NULL AS VARCHAR)"


def in_partition(table: Layout, partition: str) -> str:
    """A DuckDB condition for the rows of one partition, `20260131` for instance.

    Raises:
        ApiError: `invalid` unless the table can have such a partition.
    """
    time = table.get("timePartitioning")
    if not time and not table.get("rangePartitioning"):
        raise invalid(f"Cannot use the partition decorator ${partition}: no partitioned table")
    digits = _DIGITS[_unit(time)] if time else None
    is_special = partition in ("__NULL__", "__UNPARTITIONED__")
    is_id = partition.isdigit() if time else partition.lstrip("-").isdigit()
    if not is_special and not (is_id and digits in (None, len(partition))):
        raise invalid(
            f"Invalid partition decorator ${partition} for the partitioning {shown(table)}"
        )
    return f"{partition_id(table)} = {literal(partition)}"
