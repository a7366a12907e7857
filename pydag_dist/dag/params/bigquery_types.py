"""Types of the params of BigQuery's operators: columns, query parameters, partitions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pydag_dist.dag.params.types import Filled, Params
from pydag_dist.dag.templates.texts import MARK
from pydag_dist.dag.text.quote import quote

# Of a parameter or a column; https://cloud.google.com/bigquery/docs/reference/rest/v2/tables
_TYPES = frozenset(
    {
        "BIGNUMERIC", "BOOL", "BOOLEAN", "BYTES", "DATE", "DATETIME", "FLOAT", "FLOAT64",
        "GEOGRAPHY", "INT64", "INTEGER", "INTERVAL", "JSON", "NUMERIC", "STRING", "TIME",
        "TIMESTAMP",
    }
)  # fmt: skip
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
        if kind not in _TYPES | _NESTED | {"RANGE"} and MARK not in kind:
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
        return set(value) == {"type", "value"} and str(value["type"]).upper() in _TYPES
    return value is not None


QueryParameters = Annotated[dict[str, Any] | list[Any], BeforeValidator(_typed)]


class Partitioning(Params):
    """How a new table is partitioned: by time, or by ranges of a whole number."""

    field: Filled = Field(description="the column")
    type: Literal["HOUR", "DAY", "MONTH", "YEAR"] | None = Field(None, description="of time")
    expiration_days: float | None = Field(
        None, ge=_LEAST_EXPIRATION, description="how long a partition lives"
    )
    start: int | None = Field(None, description="of ranges")
    end: int | None = Field(None, description="of ranges, exclusive")
    interval: int | None = Field(None, gt=0, description="the width of a range")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        ranges = (self.start, self.end, self.interval)
        if any(value is not None for value in ranges):
            if None in ranges or self.type or self.expiration_days:
                raise ValueError("ranges have start, end and interval, and nothing of time")
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
