"""The ASGI layer in which the ordered faults happen to requests."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pydag_emulators.bigquery.faults import Fault, operation_of
from pydag_emulators.faults import Faults

_JOB_ID = re.compile(rb'"jobId"\s*:\s*"([^"]+)"')


class FaultMiddleware:
    """Must be right inside the fence, since it closes connections of the server itself."""

    def __init__(self, app: ASGIApp, faults: Faults[Fault]) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith("/-/") or not self._faults.left():
            await self._app(scope, receive, send)
            return
        method, job_id = operation_of(scope["method"], scope["path"])
        if method == "jobs.insert":
            body = await _read(receive)
            receive = _again(body, receive)
            match = _JOB_ID.search(body)
            job_id = match[1].decode() if match else None
        fault = self._faults.take(method, job_id)
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._meet(fault, scope, receive, send)

    async def _meet(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(fault.delay)
        error = fault.error()
        if fault.drop == "before":
            _drop(send)
        elif error is not None:
            await JSONResponse(error.body(), error.status)(scope, receive, send)
        elif fault.drop == "after":
            await self._app(scope, receive, _unheard)
            _drop(send)
        else:
            await self._app(scope, receive, send)


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _unheard(_message: Message) -> None:
    pass


def _drop(send: Send) -> None:
    """Close the connection without another byte."""
    # ASGI can't close a connection. uvicorn's `send` is a method of an object that can.
    cycle: Any = getattr(send, "__self__")  # noqa: B009
    cycle.transport.abort()
