"""What values of CSV files mean.

Options and forms: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

from typing import Any

from pydag_emulators.bigquery.errors import unimplemented

CONVERT = {
    "STRING": "{}",
    "INTEGER": "bq_safe_int64({})",
    "FLOAT": "bq_safe_float64({})",
    "NUMERIC": "bq_safe_numeric({})",
    "BOOLEAN": "bq_csv_bool({})",
    "DATE": "bq_safe_date({})",
    "DATETIME": "bq_csv_datetime({})",
    "TIMESTAMP": "bq_csv_timestamp({})",
    "TIME": "bq_safe_time({})",
    "BYTES": "TRY(from_base64({}))",
    "JSON": "CASE WHEN json_valid({0}) THEN CAST({0} AS JSON) END",
}
"""DuckDB SQL by type: the value of a text, NULL if it has none."""


def delimiter_of(config: dict[str, Any]) -> str:
    """What is between two values of a row.

    Raises:
        ApiError: `notImplemented` for several bytes.
    """
    given = str(config.get("fieldDelimiter") or ",")
    delimiter = {"\\t": "\t", "tab": "\t"}.get(given, given)
    if len(delimiter.encode()) > 1:
        raise unimplemented(f"field delimiters of several bytes ({delimiter})")
    return delimiter
