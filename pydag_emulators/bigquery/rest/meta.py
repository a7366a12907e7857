"""The service's own paths: health, the journal, and faults for tests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pydag_emulators.bigquery.faults import fault_of
from pydag_emulators.bigquery.rest.http import answer, body_of, service_of, transact


async def health(request: Request) -> Response:
    """200 when the store answers."""
    await transact(request, lambda cursor: cursor.execute("SELECT 1").fetchall())
    return answer({"status": "ok", "running": len(service_of(request).runner.live)})


async def journal(request: Request) -> Response:
    """Every job that really ran, oldest first."""
    return answer({"jobs": service_of(request).journal.entries()})


async def faults(request: Request) -> Response:
    """POST adds a fault, GET shows those that are left, DELETE removes all."""
    known = service_of(request).faults
    if request.method == "POST":
        known.add(fault_of(await body_of(request)))
    elif request.method == "DELETE":
        known.clear()
    return answer({"faults": known.left()})


async def token(_request: Request) -> Response:
    """What Google's token service answers, for the key file of a local service account."""
    return answer({"access_token": "local", "token_type": "Bearer", "expires_in": 3600})


ROUTES = [
    Route("/-/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/token", token, methods=["POST"]),
    Route("/-/health", health, methods=["GET"]),
    Route("/-/journal", journal, methods=["GET"]),
]
