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
_TRANSLATED = (
    (re.compile(r"Type INT64 with value (\S+) can't be cast"), "Value out of range: {}"),
    (re.compile(r"Could not cast value (\S+) to DECIMAL"), "numeric overflow: {}"),
    (re.compile(r"Failure in (decode)"), "Invalid UTF-8 in a cast of BYTES to STRING"),
    (re.compile(r"Could not convert string 'bq: (.*)' to INT32", re.DOTALL), "{}"),
    (re.compile(r"Unknown TimeZone '(.*)'"), "Invalid time zone: {}"),
    (re.compile(r"^(Overflow (?:in|on) .*)"), "int64 overflow: {}"),
    (re.compile(r'Referenced column "([^"]+)" (?:was )?not found'), "Unrecognized name: {}"),
    (re.compile(r'does not have a column named "([^"]+)"'), "Name {} not found"),
    (re.compile(r'Ambiguous reference to column name "([^"]+)"'), "Column name {} is ambiguous"),
    (
        re.compile("(MERGE INTO command cannot affect the same target row)"),
        "UPDATE/MERGE must match at most one source row for each target row",
    ),
    (
        re.compile(r'column "([^"]+)" must appear in the GROUP BY clause'),
        "SELECT list expression references column {} which is neither grouped nor aggregated",
    ),
)
_UNSUPPORTED = re.compile(r"Could not convert string 'bq501: (?P<message>.*)' to INT32", re.DOTALL)
_OVERLOAD = re.compile(r"Macro bq_(?P<name>\w+)\(\) (does not support|has multiple overloads)")
_NO_FUNCTION = re.compile(r"No function matches the given name and argument types '(?P<name>\w+)")
_TYPES = re.compile(
    r"No function matches the given name and argument types '\W|Could not choose a best candidate|"
    r"Unimplemented type for cast|Failed to cast value|Invalid LIST argument|can only operate on|"
    r"Cannot mix values of type"
)
_REQUIRED = re.compile(r"NOT NULL constraint failed: .*\.(?P<name>[^.\s]+)")


def api_error(error: BaseException) -> ApiError:
    """The error that the client sees for any exception of a job or request."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RecursionError):
        return unimplemented("expressions, statements or calls that are nested as deep as here")
    if isinstance(error, duckdb.Error):
        known = _of_duckdb(error)
        if known is not None:
            return known
    _LOG.exception("a job or request broke", exc_info=error)
    # After an internalError the client would repeat the request for ten minutes.
    return unimplemented(f"this, which is a mistake in it: {type(error).__name__}: {error}")


_BY_NAME = {
    "Conversion Error": duckdb.ConversionException,
    "Invalid Input Error": duckdb.InvalidInputException,
    "Out of Range Error": duckdb.OutOfRangeException,
    "Not implemented Error": duckdb.NotImplementedException,
    "Out of Memory Error": duckdb.OutOfMemoryException,
    "INTERRUPT Error": duckdb.InterruptException,
}


def duckdb_error(error: OSError) -> duckdb.Error:
    """DuckDB's error that Arrow has met when it read a stream of rows."""
    text = str(error)
    return _BY_NAME.get(text.partition(":")[0], duckdb.Error)(text)


def _of_duckdb(error: duckdb.Error) -> ApiError | None:
    text = _text(error)
    if isinstance(error, duckdb.ConstraintException):
        if "CHECK constraint" in str(error):
            return invalid("_PARTITIONTIME must be the start of a partition")
        match = _REQUIRED.search(str(error))
        return invalid(f"Required field {match['name']} cannot be null" if match else text)
    if match := _UNSUPPORTED.search(text):
        return unimplemented(match["message"])
    if _TYPES.search(text):
        return unimplemented("arguments of these types; or they are wrong")
    if match := _OVERLOAD.search(text) or _NO_FUNCTION.search(text):
        name = match["name"].upper()
        return unimplemented(f"{name} with arguments of these types; or they are wrong")
    return _of_kind(error, text)


def _of_kind(error: duckdb.Error, text: str) -> ApiError | None:
    if isinstance(error, _USER):
        return invalid_query(_translated(text))
    if isinstance(error, duckdb.OutOfMemoryException):
        return ApiError("resourcesExceeded", text)
    if isinstance(error, duckdb.NotImplementedException):
        if (known := _translated(text)) != text:
            return invalid_query(known)
        return unimplemented(f"this, or its types are wrong: {text}")
    return None


def _text(error: BaseException) -> str:
    # "Binder Error: …", then hints for DuckDB's own SQL and a copy of the translated query.
    text = str(error).split("\n\nLINE ")[0].split("\nLINE ")[0]
    return re.sub(r"^[A-Z]\w+( \w+)* Error: ", "", text).strip()


def _translated(text: str) -> str:
    for pattern, message in _TRANSLATED:
        if match := pattern.search(text):
            return message.format(match[1])
    return text
