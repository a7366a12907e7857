"""https://cloud.google.com/bigquery/docs/reference/rest/v2/tables, and tabledata.list."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.errors import ApiError, invalid, unimplemented
from pydag_emulators.bigquery.names import TableRef, dataset_ref, split_partition, table_ref
from pydag_emulators.bigquery.rest.datasets import changed, check_settings
from pydag_emulators.bigquery.rest.http import (
    answer,
    body_of,
    flag,
    number,
    offset_of,
    page_of,
    service_of,
    token_of,
    transact,
)
from pydag_emulators.bigquery.schema import Field, check_schema
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.statements.select import view_fields
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_table,
    delete_table,
    etag,
    get_dataset,
    get_table,
    has_rows,
    list_tables,
    save_table,
    table_fields,
    writes,
)
from pydag_emulators.bigquery.storage.contents import rows_and_bytes
from pydag_emulators.bigquery.storage.information_schema import SUMMARY, partitions_summary
from pydag_emulators.bigquery.storage.layout import (
    check_layout,
    in_partition,
    is_same_partitioning,
)
from pydag_emulators.bigquery.storage.layout import shown as layout_shown
from pydag_emulators.bigquery.storage.pages import page_of_rows, read_page
from pydag_emulators.bigquery.storage.schema_changes import change_schema
from pydag_emulators.bigquery.storage.store import Cursor

_SETTABLE = (
    "friendlyName", "description", "labels", "expirationTime", "schema", "timePartitioning",
    "rangePartitioning", "clustering", "view", "requirePartitionFilter", "resourceTags",
)  # fmt: skip
_UNSUPPORTED = (
    "externalDataConfiguration", "materializedView", "cloneDefinition", "snapshotDefinition",
    "encryptionConfiguration", "biglakeConfiguration", "tableConstraints",
)  # fmt: skip


def shown(
    service: Service,
    cursor: Cursor,
    ref: TableRef,
    resource: Resource,
    partition: str | None = None,
) -> dict[str, Any]:
    """The resource as tables.get shows it: with its size and the time of its last change.

    That of a partition has its name and its size; clients list its rows under that name.
    """
    result = dict(resource)
    if partition == SUMMARY:
        part = ref._replace(table=f"{ref.table}${SUMMARY}")
        _, fields = partitions_summary(cursor, resource)
        return {
            "kind": resource["kind"],
            "id": str(part),
            "tableReference": part.api(),
            "type": "TABLE",
            "schema": {"fields": fields},
        }
    if partition is not None:
        part = ref._replace(table=f"{ref.table}${partition}")
        result |= {"id": str(part), "tableReference": part.api()}
    if has_rows(resource):
        if partition is None:
            contents = service.sizes.of(cursor, ref, resource)
            rows, size = contents.rows, contents.bytes
        else:
            selected = f"FROM {ref.sql} WHERE {in_partition(resource, partition)}"
            rows, size = rows_and_bytes(cursor, selected, table_fields(resource))
        _, written = writes(cursor, ref)
        result |= {
            "numRows": str(rows),
            "numBytes": str(size),
            "numLongTermBytes": "0",
            "lastModifiedTime": str(max(int(resource["lastModifiedTime"]), written)),
        }
    return {**result, "etag": etag(result)}


def _ref(request: Request) -> TableRef:
    path = request.path_params
    return table_ref({"datasetId": path["dataset"], "tableId": path["table"]}, path["project"])


def _part(request: Request) -> tuple[TableRef, str | None]:
    """The table of the path, and the partition if it is `table$partition`."""
    path = request.path_params
    table, partition = split_partition({"datasetId": path["dataset"], "tableId": path["table"]})
    return table_ref(table, path["project"]), partition


def _table(cursor: Cursor, ref: TableRef, partition: str | None) -> Resource:
    """The table's resource.

    Raises:
        ApiError: `notFound`, `invalid` if it can't have such a partition.
    """
    resource = get_table(cursor, ref)
    if partition not in (None, SUMMARY):
        in_partition(resource, partition)
    return resource


def _given(body: dict[str, Any]) -> Resource:
    check_settings(body)
    for name in _UNSUPPORTED:
        if body.get(name):
            raise unimplemented(f"the table property {name}")
    given = {key: body[key] for key in _SETTABLE if body.get(key) is not None}
    if "schema" in given:
        given["schema"] = {"fields": check_schema(given["schema"].get("fields") or [])}
    return given


async def insert(request: Request) -> Response:
    """tables.insert."""
    service, body = service_of(request), await body_of(request)
    path = request.path_params
    reference = {**(body.get("tableReference") or {}), "datasetId": path["dataset"]}
    ref = table_ref(reference, path["project"])
    given = _given(body)

    def create(cursor: Cursor) -> dict[str, Any]:
        resource = given
        if "view" in given:
            view = {"useLegacySql": False, **given["view"]}
            fields = view_fields(service.sizes, cursor, ref, view)
            resource = {**given, "type": "VIEW", "view": view, "schema": {"fields": fields}}
        return shown(service, cursor, ref, create_table(cursor, ref, resource))

    return answer(await transact(request, create, lock=ref))


async def get(request: Request) -> Response:
    """tables.get, also of a partition."""
    service, (ref, partition) = service_of(request), _part(request)

    def read(cursor: Cursor) -> dict[str, Any]:
        return shown(service, cursor, ref, _table(cursor, ref, partition), partition)

    return answer(await transact(request, read))


async def change(request: Request) -> Response:
    """tables.patch and tables.update; the client gives an update all fields that it keeps."""
    service, ref, body = service_of(request), _ref(request), await body_of(request)
    _given({key: value for key, value in body.items() if key != "schema"})

    def save(cursor: Cursor) -> dict[str, Any]:
        resource = get_table(cursor, ref)
        expected = request.headers.get("if-match")
        if expected not in (None, "*", shown(service, cursor, ref, resource)["etag"]):
            raise ApiError("conditionNotMet", "Precondition Failed: the table has changed")
        result = changed(resource, body, _SETTABLE)
        if resource["type"] == "VIEW":
            fields = view_fields(service.sizes, cursor, ref, result["view"])
            result["schema"] = {"fields": fields}
        elif body.get("schema"):
            fields = check_schema(body["schema"].get("fields") or [])
            result["schema"] = {"fields": change_schema(cursor, ref, resource, fields)}
        if not is_same_partitioning(resource, result):
            raise invalid(f"Cannot change the partitioning of {ref} to {layout_shown(result)}")
        check_layout(result, table_fields(result))
        return shown(service, cursor, ref, save_table(cursor, ref, result))

    return answer(await transact(request, save, lock=ref))


async def delete(request: Request) -> Response:
    """tables.delete, also of a partition, which has no rows then."""
    ref, partition = _part(request)

    def drop(cursor: Cursor) -> None:
        resource = _table(cursor, ref, partition)
        if partition is None:
            delete_table(cursor, ref)
            return
        if resource["type"] != "TABLE":
            raise invalid(f"Cannot delete a partition of a {resource['type']}")
        cursor.execute(f"DELETE FROM {ref.sql} WHERE {in_partition(resource, partition)}")
        save_table(cursor, ref, resource)

    await transact(request, drop, lock=ref)
    return Response(status_code=204)


async def list_(request: Request) -> Response:
    """tables.list."""
    path = request.path_params
    ref = dataset_ref({"datasetId": path["dataset"]}, path["project"])

    def read(cursor: Cursor) -> list[Resource]:
        get_dataset(cursor, ref)
        return list_tables(cursor, ref)

    keys = (
        "kind", "id", "tableReference", "friendlyName", "type", "timePartitioning",
        "rangePartitioning", "clustering", "labels", "view", "creationTime", "expirationTime",
    )  # fmt: skip
    items = [
        {key: resource[key] for key in keys if key in resource}
        for resource in await transact(request, read)
    ]
    return page_of(request, items, "bigquery#tableList", "tables")


async def rows(request: Request) -> Response:
    """tabledata.list, also of a partition."""
    ref, partition = _part(request)
    selected = request.query_params.get("selectedFields")
    start = offset_of(request.query_params.get("pageToken")) or number(request, "startIndex") or 0
    size = number(request, "maxResults")
    timestamps = flag(request, "formatOptions.useInt64Timestamp")

    def read(cursor: Cursor) -> dict[str, Any]:
        resource = _table(cursor, ref, partition)
        if not has_rows(resource):
            raise invalid(f"Cannot list a table of type {resource['type']}.")
        if partition == SUMMARY:
            found, fields = partitions_summary(cursor, resource)
            page = page_of_rows(found, _selected(fields, selected), start, size)
        else:
            fields = _selected(table_fields(resource), selected)
            listed = ref if partition is None else ref._replace(table=f"{ref.table}${partition}")
            page = read_page(cursor, listed, fields, start, size, int64_timestamps=timestamps)
        content: dict[str, Any] = {"kind": "bigquery#tableDataList", "totalRows": str(page.total)}
        if page.rows:
            content["rows"] = page.rows
        if page.next_row is not None:
            content["pageToken"] = token_of(page.next_row)
        return content

    return answer(await transact(request, read))


def _selected(fields: list[Field], names: str | None) -> list[Field]:
    """The columns of `selectedFields`, or all."""
    if not names:
        return fields
    wanted = {name.strip().lower() for name in names.split(",")}
    return [field for field in fields if field["name"].lower() in wanted]


_BASE = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
ROUTES = [
    Route(_BASE, insert, methods=["POST"]),
    Route(_BASE, list_, methods=["GET"]),
    Route(_BASE + "/{table}", get, methods=["GET"]),
    Route(_BASE + "/{table}", change, methods=["PATCH", "PUT"]),
    Route(_BASE + "/{table}", delete, methods=["DELETE"]),
    Route(_BASE + "/{table}/data", rows, methods=["GET"]),
]
