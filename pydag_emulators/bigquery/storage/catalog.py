"""Datasets and tables: their REST resources, kept beside the data in the same transactions."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from pydag_emulators.bigquery.errors import ApiError, duplicate, not_found
from pydag_emulators.bigquery.names import DatasetRef, TableRef, check_labels, quote
from pydag_emulators.bigquery.schema import Field, duck_type
from pydag_emulators.bigquery.storage.layout import check_layout, pseudo_columns, pseudo_definitions
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

Resource = dict[str, Any]


def now_ms() -> int:
    """The time as the REST API has it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def etag(resource: Resource) -> str:
    """A hash of the resource that changes when it does."""
    return hashlib.md5(json.dumps(resource, sort_keys=True).encode()).hexdigest()  # noqa: S324


def writes(cursor: Cursor, ref: TableRef) -> tuple[int, int]:
    """How many jobs have changed the table's rows, and when (ms) the last one did.

    Not a column of `pydag.tables`: concurrent appends to one table would conflict on its row.
    """
    row = fetch_one(
        cursor,
        "SELECT count(*), coalesce(max(ended), 0) FROM pydag.job_ends WHERE wrote = ?",
        [str(ref)],
    )
    return (0, 0) if row is None else (row[0], row[1])


# -- datasets -----------------------------------------------------------------------------------


def find_dataset(cursor: Cursor, ref: DatasetRef) -> Resource | None:
    """The dataset's resource, or None."""
    row = fetch_one(
        cursor,
        "SELECT resource FROM pydag.datasets WHERE project = ? AND dataset = ?",
        [*ref],
    )
    return None if row is None else json.loads(row[0])


def get_dataset(cursor: Cursor, ref: DatasetRef) -> Resource:
    """The dataset's resource.

    Raises:
        ApiError: `notFound`.
    """
    resource = find_dataset(cursor, ref)
    if resource is None:
        raise not_found("Dataset", str(ref))
    return resource


def create_dataset(cursor: Cursor, ref: DatasetRef, given: Resource) -> Resource:
    """Create an empty dataset; `given` holds its location, labels, description, ….

    Raises:
        ApiError: `duplicate`.
    """
    if find_dataset(cursor, ref) is not None:
        raise duplicate("Dataset", str(ref))
    check_labels(given.get("labels"))
    at = str(now_ms())
    resource = {
        **given,
        "kind": "bigquery#dataset",
        "id": str(ref),
        "datasetReference": ref.api(),
        "location": given.get("location") or "US",
        "creationTime": at,
        "lastModifiedTime": at,
        "type": "DEFAULT",
    }
    cursor.execute(f"CREATE SCHEMA {ref.sql}")
    cursor.execute("INSERT INTO pydag.datasets VALUES (?, ?, ?)", [*ref, json.dumps(resource)])
    return resource


def save_dataset(cursor: Cursor, ref: DatasetRef, resource: Resource) -> Resource:
    """Replace the resource of a dataset that exists."""
    resource = {**resource, "lastModifiedTime": str(now_ms())}
    cursor.execute(
        "UPDATE pydag.datasets SET resource = ? WHERE project = ? AND dataset = ?",
        [json.dumps(resource), *ref],
    )
    return resource


def drop_dataset(cursor: Cursor, ref: DatasetRef, *, contents: bool) -> None:
    """Delete a dataset; with its tables if `contents`.

    Raises:
        ApiError: `notFound`; `resourceInUse` when it holds tables and `contents` is false.
    """
    get_dataset(cursor, ref)
    if not contents and list_tables(cursor, ref):
        raise ApiError("resourceInUse", f"Dataset {ref} is still in use")
    cursor.execute(f"DROP SCHEMA {ref.sql} CASCADE")
    cursor.execute("DELETE FROM pydag.tables WHERE project = ? AND dataset = ?", [*ref])
    cursor.execute("DELETE FROM pydag.routines WHERE project = ? AND dataset = ?", [*ref])
    cursor.execute("DELETE FROM pydag.datasets WHERE project = ? AND dataset = ?", [*ref])


def list_datasets(cursor: Cursor, project: str) -> list[Resource]:
    """All datasets of a project, by id; those of query results (`_…`) too."""
    rows = cursor.execute(
        "SELECT resource FROM pydag.datasets WHERE project = ? ORDER BY dataset", [project]
    ).fetchall()
    return [json.loads(row[0]) for row in rows]


# -- tables -------------------------------------------------------------------------------------


def find_table(cursor: Cursor, ref: TableRef) -> Resource | None:
    """The table's or view's resource, or None; an expired table is as good as deleted."""
    resource = _stored_table(cursor, ref)
    return None if resource is None or _is_expired(resource) else resource


def _stored_table(cursor: Cursor, ref: TableRef) -> Resource | None:
    row = fetch_one(
        cursor,
        "SELECT resource FROM pydag.tables WHERE project = ? AND dataset = ? AND table_id = ?",
        [*ref],
    )
    return None if row is None else json.loads(row[0])


def _is_expired(resource: Resource) -> bool:
    return 0 < int(resource.get("expirationTime") or 0) <= now_ms()


def get_table(cursor: Cursor, ref: TableRef, location: str | None = None) -> Resource:
    """The table's or view's resource.

    Raises:
        ApiError: `notFound`, for the table or already for its dataset.
    """
    resource = find_table(cursor, ref)
    if resource is None:
        if find_dataset(cursor, ref.in_dataset) is None:
            raise not_found("Dataset", str(ref.in_dataset), location)
        raise not_found("Table", str(ref), location)
    return resource


def create_table(
    cursor: Cursor, ref: TableRef, given: Resource, *, filled_by: str | None = None
) -> Resource:
    """Create a table (or view) with the resource `given`, whose schema has been checked.

    With `filled_by`, DuckDB SQL of a query that has exactly the schema's columns, the table
    starts with its rows.

    Raises:
        ApiError: `notFound` for the dataset, `duplicate` for the table; `invalid` for labels,
            partitioning or clustering that it can't have.
    """
    dataset = find_dataset(cursor, ref.in_dataset)
    if dataset is None:
        raise not_found("Dataset", str(ref.in_dataset))
    existing = _stored_table(cursor, ref)
    if existing is not None:
        if not _is_expired(existing):
            raise duplicate("Table", str(ref))
        delete_table(cursor, ref)
    check_labels(given.get("labels"))
    check_layout(given, table_fields(given))
    at = now_ms()
    resource = {
        "type": "TABLE",
        **given,
        "kind": "bigquery#table",
        "id": str(ref),
        "tableReference": ref.api(),
        "location": dataset["location"],
        "creationTime": str(at),
        "lastModifiedTime": str(at),
    }
    default_expiry = int(dataset.get("defaultTableExpirationMs") or 0)
    if default_expiry and not resource.get("expirationTime"):
        resource["expirationTime"] = str(at + default_expiry)
    cursor.execute("INSERT INTO pydag.tables VALUES (?, ?, ?, ?)", [*ref, json.dumps(resource)])
    if has_rows(resource):
        _create_storage(cursor, ref, resource, filled_by)
    return resource


def _create_storage(
    cursor: Cursor, ref: TableRef, resource: Resource, filled_by: str | None
) -> None:
    fields, pseudo = table_fields(resource), pseudo_definitions(resource)
    plain = not pseudo and all(f["mode"] == "NULLABLE" for f in fields)
    if filled_by is not None and fields and plain:
        cursor.execute(f"CREATE TABLE {ref.sql} AS {filled_by}")
        return
    # DuckDB has no tables without columns, BigQuery has: a table that gets its schema later.
    columns = [column_definition(field) for field in fields] or [f"{quote(NO_COLUMNS)} BOOLEAN"]
    cursor.execute(f"CREATE TABLE {ref.sql} ({', '.join([*columns, *pseudo])})")
    if filled_by is not None and fields:
        cursor.execute(f"INSERT INTO {ref.sql} BY NAME {filled_by}")


NO_COLUMNS = "\x00"


def column_definition(field: Field) -> str:
    """The column of a CREATE TABLE in DuckDB."""
    rule = {"REQUIRED": " NOT NULL", "REPEATED": " DEFAULT [] NOT NULL"}.get(field["mode"], "")
    return f"{quote(field['name'])} {duck_type(field)}{rule}"


def save_table(cursor: Cursor, ref: TableRef, resource: Resource) -> Resource:
    """Replace the resource of a table that exists; its storage is the caller's to change."""
    resource = {**resource, "lastModifiedTime": str(now_ms())}
    cursor.execute(
        "UPDATE pydag.tables SET resource = ? WHERE project = ? AND dataset = ? AND table_id = ?",
        [json.dumps(resource), *ref],
    )
    return resource


def rename_table(cursor: Cursor, ref: TableRef, to: TableRef, resource: Resource) -> None:
    """Give a table another name in its dataset, which no table has."""
    cursor.execute(f"ALTER TABLE {ref.sql} RENAME TO {quote(to.name)}")
    cursor.execute(
        "DELETE FROM pydag.tables WHERE project = ? AND dataset = ? AND table_id = ?", [*ref]
    )
    renamed = {
        **resource,
        "id": str(to),
        "tableReference": to.api(),
        "lastModifiedTime": str(now_ms()),
    }
    cursor.execute("INSERT INTO pydag.tables VALUES (?, ?, ?, ?)", [*to, json.dumps(renamed)])


def delete_table(cursor: Cursor, ref: TableRef) -> None:
    """Delete the table or view, if there is one."""
    cursor.execute(f"DROP TABLE IF EXISTS {ref.sql}")
    cursor.execute(
        "DELETE FROM pydag.tables WHERE project = ? AND dataset = ? AND table_id = ?", [*ref]
    )


def drop_expired(cursor: Cursor) -> None:
    """Delete the tables whose expiration time is over; nobody sees them any more."""
    rows = cursor.execute(
        "SELECT project, dataset, table_id FROM pydag.tables "
        "WHERE CAST(resource ->> 'expirationTime' AS BIGINT) <= ?",
        [now_ms()],
    ).fetchall()
    for row in rows:
        delete_table(cursor, TableRef(*row))


def list_tables(cursor: Cursor, ref: DatasetRef) -> list[Resource]:
    """All tables and views of a dataset, by id."""
    rows = cursor.execute(
        "SELECT resource FROM pydag.tables WHERE project = ? AND dataset = ? ORDER BY table_id",
        [*ref],
    ).fetchall()
    resources = [json.loads(row[0]) for row in rows]
    return [resource for resource in resources if not _is_expired(resource)]


def has_rows(resource: Resource) -> bool:
    """Whether it is a table or a snapshot of one, not a view."""
    return resource["type"] in ("TABLE", "SNAPSHOT")


def stored_columns(resource: Resource) -> list[Field]:
    """The fields of the table, and the pseudo column that can be written, if it has one."""
    return [*table_fields(resource), *pseudo_columns(resource)[:1]]


def table_fields(resource: Resource) -> list[Field]:
    """The fields of the table's schema."""
    return list(resource.get("schema", {}).get("fields", []))
