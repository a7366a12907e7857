"""Turns DuckDB's errors into BigQuery's, whose messages name what the user wrote."""

from __future__ import annotations

import logging
import re

import duckdb

from pydag_emulators.bigquery.errors import ApiError, invalid, invalid_query, unimplemented

_LOG = logging.getLogger(__name__)
_USER = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)
_FAILED = re.compile(r"Could not convert string 'bq: (?P<message>.*)' to INT32", re.DOTALL)
_OVERLOAD = re.compile(r"Macro bq_(?P<name>\w+)\(\) (does not support|has multiple overloads)")
_NO_FUNCTION = re.compile(r"No function matches the given name and argument types '(?P<name>\w+)")
_COLUMN = re.compile(r'Referenced column "(?P<name>[^"]+)" (was )?not found')
_IN_TABLE = re.compile(r'does not have a column named "(?P<name>[^"]+)"')
_AMBIGUOUS = re.compile(r'Ambiguous reference to column name "(?P<name>[^"]+)"')
_GROUPED = re.compile(r'column "(?P<name>[^"]+)" must appear in the GROUP BY clause')
_REQUIRED = re.compile(r"NOT NULL constraint failed: .*\.(?P<name>[^.\s]+)")


def api_error(error: BaseException) -> ApiError:
    """The error that the client sees for any exception of a job or request."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, duckdb.Error):
        known = _of_duckdb(error)
        if known is not None:
            return known
    _LOG.exception("a job or request broke", exc_info=error)
    # After an internalError the client would repeat the request for ten minutes.
    return unimplemented(f"this, which is a mistake in it: {type(error).__name__}: {error}")


def _of_duckdb(error: duckdb.Error) -> ApiError | None:
    text = _text(error)
    if isinstance(error, duckdb.ConstraintException):
        match = _REQUIRED.search(str(error))
        return invalid(f"Required field {match['name']} cannot be null" if match else text)
    match = _OVERLOAD.search(text) or _NO_FUNCTION.search(text)
    if match is not None:
        name = match["name"].upper()
        return unimplemented(f"{name} with arguments of these types; or they are wrong")
    if isinstance(error, _USER):
        return invalid_query(_translated(text))
    if isinstance(error, duckdb.OutOfMemoryException):
        return ApiError("resourcesExceeded", text)
    if isinstance(error, duckdb.NotImplementedException):
        return unimplemented(f"this, or its types are wrong: {text}")
    return None


def _text(error: BaseException) -> str:
    # "Binder Error: …", then hints for DuckDB's own SQL and a copy of the translated query.
    text = str(error).split("\n\nLINE ")[0].split("\nLINE ")[0]
    return re.sub(r"^[A-Z]\w+( \w+)? Error: ", "", text).strip()


def _translated(text: str) -> str:
    if match := _FAILED.search(text):
        return match["message"]
    if match := _COLUMN.search(text):
        return f"Unrecognized name: {match['name']}"
    if match := _IN_TABLE.search(text):
        return f"Name {match['name']} not found"
    if match := _AMBIGUOUS.search(text):
        return f"Column name {match['name']} is ambiguous"
    if match := _GROUPED.search(text):
        return (
            f"SELECT list expression references column {match['name']} which is neither grouped "
            "nor aggregated"
        )
    return text
