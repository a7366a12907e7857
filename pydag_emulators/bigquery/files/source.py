"""What the reader of a file format is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.errors import ApiError, invalid
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor

_REPORTED = 20
LONGEST_ROW = 100 << 20
"""Bytes of a row of CSV or JSON, as in BigQuery."""


def too_long() -> ApiError:
    """The error of a longer row."""
    message = f"Error while reading data, error message: Row size is larger than: {LONGEST_ROW}."
    return invalid(message)


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

    def wants_autodetect(self) -> bool:
        """Whether the columns are to be found out.

        Raises:
            ApiError: `invalid` when nothing says what they are.
        """
        if self.columns:
            return False
        if not self.config.get("autodetect"):
            raise invalid("No schema specified on job or table.")
        return True


@dataclass(frozen=True)
class Loaded:
    """The rows, as DuckDB SQL with exactly the columns of `fields`, which can be run once."""

    sql: str
    fields: list[Field]
    finish: Callable[[], tuple[int, int]]
    """To be called when the SQL has run: how many rows there were, and their logical bytes.

    Raises:
        ApiError: as `invalid` for rows that can't be loaded; nothing of the others may stay.
    """
    errors: list[dict[str, str]] = field(default_factory=list)
    """Bad records that were passed over, within `maxBadRecords`: all of them, once it has run."""


class BadRecords:
    """The records that cannot be loaded; more than `maxBadRecords` fail the job."""

    def __init__(self, source: Source, format_: str) -> None:
        self._allowed = int(source.config.get("maxBadRecords") or 0)
        self._format = format_
        self._count = 0
        self.errors: list[dict[str, str]] = []

    def add(self, uri: str, message: str) -> None:
        """Note a bad record of the file `uri`."""
        self._count += 1
        if len(self.errors) < _REPORTED:
            self.errors.append(
                {
                    "reason": "invalid",
                    "location": uri,
                    "message": f"Error while reading data, error message: {message} File: {uri}",
                }
            )

    def check(self, rows: int) -> None:
        """Fail, with what went wrong, if there are too many among `rows` records.

        Raises:
            ApiError: `invalid`, with the first errors in its details.
        """
        if self._count > self._allowed:
            raise ApiError(
                "invalid",
                f"Error while reading data, error message: {self._format} table encountered too "
                f"many errors, giving up. Rows: {rows}; errors: {self._count}. Please look into "
                "the errors[] collection for more details.",
                location=self.errors[0]["location"],
                details=self.errors,
            )

    @property
    def count(self) -> int:
        """How many bad records there are."""
        return self._count
