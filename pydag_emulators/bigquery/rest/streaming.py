"""Streaming inserts.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.errors import ApiError, invalid, unimplemented
from pydag_emulators.bigquery.files.arrow import arrow_schema
from pydag_emulators.bigquery.files.json.values import (
    JSON_TEXT,
    BadValue,
    anything,
    nothing,
    record,
)
from pydag_emulators.bigquery.jobs.recent_rows import Row
from pydag_emulators.bigquery.names import quote, table_ref
from pydag_emulators.bigquery.rest.http import answer, body_of, service_of
from pydag_emulators.bigquery.schema import Field, is_limited
from pydag_emulators.bigquery.statements.coercion import stored
from pydag_emulators.bigquery.storage.catalog import get_table, save_table, table_fields
from pydag_emulators.bigquery.storage.store import Cursor

_MOST_ROWS = 50_000
_MOST_BYTES = 10 << 20
_ROWS = "streamed rows"

Errors = list[dict[str, Any]]


async def insert_all(request: Request) -> Response:
    """tabledata.insertAll: all rows or none, but with `skipInvalidRows` all that are right."""
    path = request.path_params
    ref = table_ref({"datasetId": path["dataset"], "tableId": path["table"]}, path["project"])
    if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
        raise ApiError("invalid", "Request Entity Too Large: at most 10 MiB", status=413)
    body, service = await body_of(request), service_of(request)
    if body.get("templateSuffix"):
        raise unimplemented("the templateSuffix of streaming inserts")
    given = _given(body)

    def insert(cursor: Cursor) -> tuple[str, list[Row], Errors]:
        resource = get_table(cursor, ref)
        fields = table_fields(resource)
        if resource["type"] != "TABLE":
            raise invalid(f"Cannot add rows to a table of type {resource['type']}.")
        if not fields:
            raise invalid("The destination table has no schema.")
        _check_defaults(given, fields)
        good, errors = _checked(given, fields, body)
        table = f"{ref} of {resource['creationTime']}"
        rows = service.recent_rows.new(table, good)
        if rows:
            cursor.register(_ROWS, pa.Table.from_pylist(rows, arrow_schema(fields)))
            names = ", ".join(quote(field["name"]) for field in fields)
            sql = f"SELECT {names} FROM {quote(_ROWS)}"
            if any(map(is_limited, fields)):
                sql = stored(sql, fields)
            cursor.execute(f"INSERT INTO {ref.sql} BY NAME {sql}")
            cursor.unregister(_ROWS)
            save_table(cursor, ref, resource)
        return table, good, errors

    def locked() -> Errors:
        with service.runner.locked(ref, exclusive=True):
            table, good, errors = service.store.transact(insert)
            service.recent_rows.add(table, good)
        return errors

    errors = await asyncio.get_running_loop().run_in_executor(service.writers, locked)
    shown = {"insertErrors": errors} if errors else {}
    return answer({"kind": "bigquery#tableDataInsertAllResponse", **shown})


def _given(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the request.

    Raises:
        ApiError: `invalid` if there is none, or too many.
    """
    rows = body.get("rows")
    if not isinstance(rows, list) or not rows:
        raise invalid("No rows present in the request.")
    if len(rows) > _MOST_ROWS:
        raise invalid(
            f"too many rows present in the request, limit: {_MOST_ROWS} row count: {len(rows)}."
        )
    if not all(isinstance(row, dict) and isinstance(row.get("json"), dict) for row in rows):
        raise invalid("Each of the rows needs an object in its field json.")
    return rows


def _check_defaults(given: list[dict[str, Any]], fields: list[Field]) -> None:
    """Refuse rows that leave out a column with a default value, as loads do."""
    for field in fields:
        if field.get("defaultValueExpression") and any(
            field["name"].lower() not in map(str.lower, row["json"]) for row in given
        ):
            raise unimplemented(f"default values in streaming inserts (column {field['name']})")


def _checked(
    given: list[dict[str, Any]], fields: list[Field], body: dict[str, Any]
) -> tuple[list[Row], Errors]:
    """The rows that can be inserted, with their `insertId`, and what is wrong with the others."""
    columns = list(map(_streamed, fields))
    ignored = anything if body.get("ignoreUnknownValues") else nothing
    good: list[Row] = []
    wrong: dict[int, str] = {}
    for index, row in enumerate(given):
        try:
            values = record(row["json"], columns, ignored=ignored)
        except BadValue as error:
            wrong[index] = str(error)
        else:
            good.append((str(row.get("insertId") or "") or None, values))
    if not wrong:
        return good, []
    if body.get("skipInvalidRows"):
        return good, [_error(index, "invalid", text) for index, text in wrong.items()]
    errors = [
        _error(index, "invalid", wrong[index]) if index in wrong else _error(index, "stopped", "")
        for index in range(len(given))
    ]
    return [], errors


def _error(index: int, reason: str, message: str) -> dict[str, Any]:
    error = {"reason": reason, "location": "", "debugInfo": "", "message": message}
    return {"index": index, "errors": [error]}


def _streamed(field: Field) -> Field:
    """The column as rows that are streamed have it: JSON is a text there."""
    return {
        **field,
        "type": JSON_TEXT if field["type"] == "JSON" else field["type"],
        "fields": [_streamed(sub) for sub in field.get("fields", [])],
    }


ROUTES = [
    Route(
        "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll",
        insert_all,
        methods=["POST"],
    )
]
