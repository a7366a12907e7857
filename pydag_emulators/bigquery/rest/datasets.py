"""https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.errors import ApiError, not_found, unimplemented
from pydag_emulators.bigquery.names import DatasetRef, TableRef, check_labels, dataset_ref
from pydag_emulators.bigquery.rest.http import (
    answer,
    body_of,
    flag,
    page_of,
    transact,
)
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    create_dataset,
    drop_dataset,
    etag,
    get_dataset,
    list_datasets,
    save_dataset,
)
from pydag_emulators.bigquery.storage.routines import delete_routine, find_routine, list_routines
from pydag_emulators.bigquery.storage.routines import shown as routine_shown

_SETTABLE = (
    "friendlyName", "description", "labels", "location", "defaultTableExpirationMs",
    "defaultPartitionExpirationMs", "access", "isCaseInsensitive", "defaultCollation",
    "maxTimeTravelHours", "storageBillingModel", "resourceTags",
)  # fmt: skip


_ROUNDING = (None, "ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO")


def check_settings(body: Resource) -> None:
    """Refuse settings of a dataset or table that would change what queries answer.

    Raises:
        ApiError: `notImplemented`.
    """
    for name in ("isCaseInsensitive", "defaultCollation"):
        if body.get(name):
            raise unimplemented(f"{name} of a dataset or table")
    if body.get("defaultRoundingMode") not in _ROUNDING:
        raise unimplemented(f"the defaultRoundingMode {body['defaultRoundingMode']}")


def shown(resource: Resource) -> dict[str, Any]:
    """The resource as the API shows it, with its etag."""
    return {**resource, "etag": etag(resource)}


def changed(resource: Resource, body: Resource, settable: tuple[str, ...]) -> Resource:
    """`resource` with the fields of a patch; null removes one."""
    check_settings(body)
    check_labels(body.get("labels"))
    result = {**resource, **{key: body[key] for key in settable if key in body}}
    if body.get("labels"):
        labels = {**resource.get("labels", {}), **body["labels"]}
        result["labels"] = {key: value for key, value in labels.items() if value is not None}
    return {key: value for key, value in result.items() if value is not None}


def check_etag(request: Request, resource: Resource) -> None:
    """Raise `conditionNotMet` unless If-Match, where given, is the resource's etag."""
    expected = request.headers.get("if-match")
    if expected not in (None, "*", etag(resource)):
        raise ApiError("conditionNotMet", "Precondition Failed: the resource has changed")


def _ref(request: Request) -> DatasetRef:
    return dataset_ref(
        {"datasetId": request.path_params["dataset"]}, request.path_params["project"]
    )


async def insert(request: Request) -> Response:
    """datasets.insert."""
    body = await body_of(request)
    check_settings(body)
    ref = dataset_ref(body.get("datasetReference"), request.path_params["project"])
    given = {key: body[key] for key in _SETTABLE if body.get(key) is not None}
    resource = await transact(request, lambda cursor: create_dataset(cursor, ref, given), lock=ref)
    return answer(shown(resource))


async def get(request: Request) -> Response:
    """datasets.get."""
    ref = _ref(request)
    return answer(shown(await transact(request, lambda cursor: get_dataset(cursor, ref))))


async def patch(request: Request) -> Response:
    """datasets.patch and datasets.update. Both change the fields that are given."""
    ref, body = _ref(request), await body_of(request)

    def change(cursor: Any) -> Resource:
        resource = get_dataset(cursor, ref)
        check_etag(request, resource)
        return save_dataset(cursor, ref, changed(resource, body, _SETTABLE))

    return answer(shown(await transact(request, change, lock=ref)))


async def delete(request: Request) -> Response:
    """datasets.delete."""
    ref, contents = _ref(request), flag(request, "deleteContents")
    await transact(request, lambda cursor: drop_dataset(cursor, ref, contents=contents), lock=ref)
    return Response(status_code=204)


async def list_(request: Request) -> Response:
    """datasets.list."""
    project = request.path_params["project"]
    resources = await transact(request, lambda cursor: list_datasets(cursor, project))
    keys = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    items = [
        {key: resource[key] for key in keys if key in resource}
        for resource in resources
        if flag(request, "all") or not resource["datasetReference"]["datasetId"].startswith("_")
    ]
    return page_of(request, items, "bigquery#datasetList", "datasets", total=False)


async def routines(request: Request) -> Response:
    """routines.list."""
    ref = _ref(request)

    def read(cursor: Any) -> list[Resource]:
        get_dataset(cursor, ref)
        return [routine_shown(routine) for routine in list_routines(cursor, ref)]

    items = await transact(request, read)
    return page_of(request, items, "bigquery#listRoutinesResponse", "routines", total=False)


async def routine(request: Request) -> Response:
    """routines.get and routines.delete."""
    ref = TableRef(*_ref(request), request.path_params["routine"])
    is_delete = request.method == "DELETE"

    def work(cursor: Any) -> Resource:
        found = find_routine(cursor, ref)
        if found is None:
            raise not_found("Routine", str(ref))
        if is_delete:
            delete_routine(cursor, ref)
        return routine_shown(found)

    found = await transact(request, work, lock=ref if is_delete else None)
    return Response(status_code=204) if is_delete else answer(found)


_BASE = "/bigquery/v2/projects/{project}/datasets"
ROUTES = [
    Route(_BASE, insert, methods=["POST"]),
    Route(_BASE, list_, methods=["GET"]),
    Route(_BASE + "/{dataset}", get, methods=["GET"]),
    Route(_BASE + "/{dataset}", patch, methods=["PATCH", "PUT"]),
    Route(_BASE + "/{dataset}", delete, methods=["DELETE"]),
    Route(_BASE + "/{dataset}/routines", routines, methods=["GET"]),
    Route(_BASE + "/{dataset}/routines/{routine}", routine, methods=["GET", "DELETE"]),
]
