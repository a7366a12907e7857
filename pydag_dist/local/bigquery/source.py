"""What a reader of a load job gets and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydag_dist.local.bigquery.errors import ApiError
from pydag_dist.local.bigquery.schema import Field
from pydag_dist.local.bigquery.store import Cursor


@dataclass(frozen=True)
class Source:
    """The files of a load job, with the names the user knows them by."""

    cursor: Cursor
    files: list[tuple[Path, str]]
    config: dict[str, Any]
    columns: list[Field]
    """The job's schema, else the table's; empty if it is to be found out."""
    check: Callable[[], None]
    """Raises when the job is to stop."""


@dataclass(frozen=True)
class Loaded:
    """The rows, as DuckDB SQL with exactly the columns of `fields`."""

    sql: str
    fields: list[Field]
    errors: list[dict[str, str]] = field(default_factory=list)
    """Bad records that were passed over, within `maxBadRecords`."""


def bad_data(message: str, uri: str) -> dict[str, str]:
    """The error of one record or file."""
    return {
        "reason": "invalid",
        "location": uri,
        "message": f"Error while reading data, error message: {message} File: {uri}",
    }


def unreadable(message: str, uri: str) -> ApiError:
    """The error of a load that fails on one file."""
    detail = bad_data(message, uri)
    return ApiError("invalid", detail["message"], location=uri)
