"""What every handler needs: the service, JSON in, JSON out, pages."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse

from pydag_emulators import bodies
from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.storage.store import Cursor

T = TypeVar("T")
_PAGE = 50


def service_of(request: Request) -> Service:
    """The service that the application serves."""
    return cast("Service", request.app.state.service)


async def body_of(request: Request) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        ApiError: `invalid`.
    """
    return json_object(await request.body())


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object that a text is; an empty one of an empty text.

    Raises:
        ApiError: `invalid`.
    """
    try:
        return bodies.json_object(text)
    except bodies.BadBody as error:
        raise invalid(f"Parse Error: {error}") from error


async def transact(
    request: Request, body: Callable[[Cursor], T], *, lock: TableRef | DatasetRef | None = None
) -> T:
    """Do `body` in one transaction in a thread, with the table or dataset `lock` locked."""
    service = service_of(request)
    if lock is None:
        return await asyncio.to_thread(service.store.transact, body)

    def locked() -> T:
        with service.runner.locked(lock, exclusive=True):
            return service.store.transact(body)

    # Writers may wait long for a job. With threads of their own, they don't hold up readers.
    return await asyncio.get_running_loop().run_in_executor(service.writers, locked)


def answer(content: dict[str, Any], status: int = 200) -> JSONResponse:
    """A JSON answer."""
    return JSONResponse(content, status)


def page_of(
    request: Request,
    items: Sequence[T],
    kind: str,
    name: str,
    *,
    total: bool = True,
    show: Callable[[T], Any] = lambda item: item,
) -> JSONResponse:
    """One page of a list, by `maxResults` and `pageToken`; `show` makes an item's JSON."""
    start = offset_of(request.query_params.get("pageToken"))
    size = number(request, "maxResults") or _PAGE
    content: dict[str, Any] = {
        "kind": kind,
        name: [show(one) for one in items[start : start + size]],
    }
    if start + size < len(items):
        content["nextPageToken"] = token_of(start + size)
    if total:
        content["totalItems"] = len(items)
    return answer(content)


def number(request: Request, name: str) -> int | None:
    """A whole number among the query parameters.

    Raises:
        ApiError: `invalid`.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise invalid(f"Invalid value for {name}: {text}")
    return int(text)


def flag(request: Request, name: str) -> bool:
    """A boolean among the query parameters."""
    return request.query_params.get(name, "").lower() in ("true", "1")


def token_of(offset: int) -> str:
    """The page token of a row number."""
    return base64.urlsafe_b64encode(f"row:{offset}".encode()).decode()


def offset_of(token: str | None) -> int:
    """The row number of a page token; 0 without one.

    Raises:
        ApiError: `invalid`.
    """
    if not token:
        return 0
    try:
        kind, _, offset = base64.urlsafe_b64decode(token).decode().partition(":")
        if kind == "row":
            return int(offset)
    except ValueError:
        pass
    raise invalid(f"Invalid page token: {token}")
