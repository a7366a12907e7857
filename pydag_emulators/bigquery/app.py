"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.faults import Fault
from pydag_emulators.bigquery.rest import datasets, jobs, meta, streaming, tables, upload
from pydag_emulators.bigquery.rest.fault_middleware import FaultMiddleware
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.storage.duck_errors import api_error
from pydag_emulators.bigquery.work.kinds import KINDS
from pydag_emulators.faults import Faults
from pydag_emulators.fence import Fence


def create_app(data: Path, gcs_root: Path) -> ASGIApp:
    """The service over the data directory `data`; gs://bucket/object is a file in `gcs_root`."""
    faults = Faults[Fault]()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service = Service.open(data, gcs_root, faults, KINDS)
        app.state.service = service
        app.state.uploads = {}
        yield
        await service.close()

    app = Starlette(
        routes=[
            *datasets.ROUTES,
            *tables.ROUTES,
            *streaming.ROUTES,
            *jobs.ROUTES,
            *upload.ROUTES,
            *meta.ROUTES,
        ],
        lifespan=lifespan,
        exception_handlers={
            ApiError: _failed,
            HTTPException: _no_route,
            Exception: _failed,
        },
    )
    return Fence(FaultMiddleware(app, faults))


async def _failed(_request: Request, error: Exception) -> Response:
    failure = api_error(error)
    return JSONResponse(failure.body(), failure.status)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405):
        message = f"The local BigQuery service does not support {request.method} {request.url.path}"
        return JSONResponse(ApiError("notImplemented", message).body(), 501)
    return JSONResponse(ApiError("invalid", str(error), status=status).body(), status)
