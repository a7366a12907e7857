"""The application: routes, live streams, the interface's files, behind one gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pydag_dist.web import problems
from pydag_dist.web.entry.access import Doorkeeper, LocalKeys
from pydag_dist.web.entry.gate import Gate
from pydag_dist.web.entry.pages import Pages
from pydag_dist.web.live.hub import Hub
from pydag_dist.web.routes import (
    access,
    changes,
    checking,
    dags,
    editing,
    files,
    fleet,
    live,
    publishing,
    runs,
    tasks,
)
from pydag_dist.web.site import Site

TITLE = "pydag"
ROUTERS = (
    fleet.health_route,
    fleet.routes,
    runs.routes,
    tasks.routes,
    dags.routes,
    live.routes,
    changes.routes,
    publishing.routes,
    checking.routes,
    editing.routes,
    files.routes,
    access.routes,
)


def create_app(site: Site, keys: LocalKeys) -> Gate:
    """The ASGI application of one installation; `keys` let browsers of this host in."""
    app = FastAPI(
        title=TITLE,
        version=version("pydag-dist"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # `include_router` would make all of them anew, at the first request.
        routes=[route for router in ROUTERS for route in router.routes],
    )
    doorkeeper = Doorkeeper(site.web, site.tokens, keys)
    app.state.site, app.state.hub, app.state.doorkeeper = site, Hub(site), doorkeeper
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.mount("/", Pages(site.web.prefix))
    return Gate(app, site, doorkeeper)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    try:
        yield
    finally:
        app.state.hub.close()
        app.state.site.close()


def _openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with one kind of answer for all that is refused."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for methods in found["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)  # FastAPI's own form: it is not used
        for name in ("HTTPValidationError", "ValidationError"):
            found["components"]["schemas"].pop(name, None)
        app.openapi_schema = found
    return app.openapi_schema
