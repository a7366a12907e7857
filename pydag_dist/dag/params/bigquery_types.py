"""Types of the params of BigQuery's operators: columns, query parameters, partitions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pydag_dist.dag.params.query_types import SCALARS, QueryType
from pydag_dist.dag.params.types import Filled, GcsPlace, Params
from pydag_dist.dag.templates.texts import MARK
from pydag_dist.dag.text.quote import quote

_NESTED = frozenset({"RECORD", "STRUCT"})
_MODES = frozenset({"NULLABLE", "REPEATED", "REQUIRED"})
_MOST_PARTITIONS = 10_000
_LEAST_EXPIRATION = 1 / 86_400_000  # days: a millisecond


def _columns(fields: list[dict[str, Any]], path: str = "") -> list[dict[str, Any]]:
    """Refuse columns that BigQuery would refuse, or whose name or type is missing."""
    wrong = []
    for number, field in enumerate(fields):
        at = f"{path}[{number}]"
        name, kind = field.get("name"), str(field.get("type", "")).upper()
        if not isinstance(name, str) or not name:
            wrong.append(f'{at} needs a "name"')
        if kind not in SCALARS | _NESTED | {"RANGE"} and MARK not in kind:
            wrong.append(f"{at}: {quote(field.get('type'))} is no type of a column")
        mode = field.get("mode")
        if mode is not None and str(mode).upper() not in _MODES and MARK not in str(mode):
            wrong.append(f"{at}: mode must be one of {', '.join(sorted(_MODES))}")
        inner = field.get("fields")
        if kind in _NESTED and not (isinstance(inner, list) and inner):
            wrong.append(f'{at} needs "fields"')
        elif isinstance(inner, list) and all(isinstance(column, dict) for column in inner):
            try:
                _columns(inner, f"{at}.fields")
            except ValueError as error:
                wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return fields


Columns = Annotated[list[dict[str, Any]], AfterValidator(_columns)]


def _typed(value: Any) -> Any:
    """Refuse query parameters whose BigQuery type can't be known from their JSON value."""
    if not isinstance(value, dict | list):
        raise ValueError(f"must be an object (of @name) or a list (of ?), not {quote(value)}")  # noqa: TRY004
    named = value.items() if isinstance(value, dict) else enumerate(value)
    wrong = [f"{name}: {why}" for name, given in named if (why := _wrong(given))]
    if wrong:
        raise ValueError("; ".join(wrong))
    return value


def _wrong(value: Any) -> str:
    """Why a parameter's type, or that its value is of it, can't be known; nothing if it can."""
    no_type = f'no BigQuery type for {quote(value)}: give an object of "type" and "value"'
    if isinstance(value, list):
        of_one = len({type(item) for item in value}) == 1 and not isinstance(value[0], dict | list)
        return "" if of_one else no_type
    if not isinstance(value, dict):
        return no_type if value is None else ""
    if set(value) != {"type", "value"}:
        return no_type
    kind = str(value["type"])
    # A list of such is an array of them.
    items = value["value"] if isinstance(value["value"], list) else []
    if MARK in kind or any(MARK in str(item) for item in (value["value"], *items)):
        return ""
    try:
        typed_value(kind, value["value"])
    except ValueError as error:
        return str(error)
    return ""


def typed_value(kind: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Type and value of a query parameter as BigQuery's REST API has them; ValueError.

    A list of values of a type is an array.
    """
    of = QueryType.of(kind)
    if isinstance(value, list) and not of.item and of.name != "JSON":
        of = QueryType("ARRAY", item=of)
    return of.as_api(), of.value_as_api(value)


QueryParameters = Annotated[dict[str, Any] | list[Any], BeforeValidator(_typed)]


class Partitioning(Params):
    """How a new table is partitioned: by time, or by ranges of a whole number."""

    field: Filled | None = Field(None, description="the column; none: by the time of ingestion")
    type: Literal["HOUR", "DAY", "MONTH", "YEAR"] | None = Field(None, description="of time")
    expiration_days: float | None = Field(
        None, ge=_LEAST_EXPIRATION, description="how long a partition lives"
    )
    require_filter: bool = Field(False, description="of time: queries must say which partitions")
    start: int | None = Field(None, description="of ranges")
    end: int | None = Field(None, description="of ranges, exclusive")
    interval: int | None = Field(None, gt=0, description="the width of a range")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        ranges = (self.start, self.end, self.interval)
        if any(value is not None for value in ranges):
            of_time = self.type or self.expiration_days or self.require_filter
            if None in (*ranges, self.field) or of_time:
                raise ValueError("ranges have field, start, end, interval, and nothing of time")
            self._check_ranges()
        elif self.type is None:
            raise ValueError('give "type" (HOUR, DAY, MONTH, YEAR), or start, end and interval')
        return self

    def _check_ranges(self) -> None:
        start, end, interval = self.start or 0, self.end or 0, self.interval or 1
        if start >= end:
            raise ValueError(f'"start" must be less than "end", {end:,}, not {start:,}')
        count = -(-(end - start) // interval)
        if count > _MOST_PARTITIONS:
            raise ValueError(f"at most {_MOST_PARTITIONS:,} ranges, not {count:,}")


class HivePartitioning(Params):
    """Columns whose values are in the paths of files: gs://bucket/sales/day=2026-01-31/x.csv."""

    source_uri_prefix: GcsPlace = Field(description="what comes before the first name=value")
    mode: Literal["AUTO", "STRINGS", "CUSTOM"] = Field("AUTO", description="how types are found")
