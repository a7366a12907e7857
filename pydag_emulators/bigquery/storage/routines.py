"""Functions and procedures of datasets: their REST resources, with the statement of each."""

from __future__ import annotations

import json
from typing import Any

from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

STATEMENT = "·statement"
"""The CREATE FUNCTION or CREATE PROCEDURE, in a resource as it is stored."""


def find_routine(cursor: Cursor, ref: TableRef) -> dict[str, Any] | None:
    """The routine of that name, or None; `ref.table` is its name."""
    row = fetch_one(
        cursor,
        "SELECT resource FROM pydag.routines WHERE project = ? AND dataset = ? AND routine = ?",
        [*ref],
    )
    return None if row is None else json.loads(row[0])


def list_routines(cursor: Cursor, ref: DatasetRef) -> list[dict[str, Any]]:
    """The routines of a dataset, by name."""
    rows = cursor.execute(
        "SELECT resource FROM pydag.routines WHERE project = ? AND dataset = ? ORDER BY routine",
        [*ref],
    ).fetchall()
    return [json.loads(row[0]) for row in rows]


def save_routine(cursor: Cursor, ref: TableRef, resource: dict[str, Any]) -> None:
    """Make or replace a routine."""
    delete_routine(cursor, ref)
    cursor.execute("INSERT INTO pydag.routines VALUES (?, ?, ?, ?)", [*ref, json.dumps(resource)])


def delete_routine(cursor: Cursor, ref: TableRef) -> None:
    """Delete the routine, if there is one."""
    cursor.execute(
        "DELETE FROM pydag.routines WHERE project = ? AND dataset = ? AND routine = ?", [*ref]
    )


def shown(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as the REST API shows it."""
    return {key: value for key, value in resource.items() if key != STATEMENT}
