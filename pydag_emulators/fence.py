"""Keeps web pages out of services on this machine that ask nobody for a password.

A page of any site can make the user's browser send requests to 127.0.0.1. A browser sends a POST of
plain text without asking the service first, so it would be carried out, even if the page can't read
the answer. The headers `Origin` and `Sec-Fetch-Site` show such a request; no client library of
Google sends them. If the page's own name was made to mean 127.0.0.1 ("DNS rebinding"), `Host` shows
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

_THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def refusal(headers: Iterable[tuple[str, str]]) -> str | None:
    """Why a request must not be answered; None if it may be."""
    given: dict[str, list[str]] = {"host": [], "origin": [], "sec-fetch-site": []}
    for name, value in headers:
        given.get(name.lower(), []).append(value)
    hosts = given["host"]
    if not (len(hosts) == 1 and _THIS_MACHINE.fullmatch(hosts[0])):
        return "This service answers requests to 127.0.0.1, localhost and [::1] only."
    # "none": the user typed the address
    if given["origin"] or any(site != "none" for site in given["sec-fetch-site"]):
        return "This service does not answer web pages."
    return None


class Fence:
    """The ASGI layer around a service: it hands on the requests that `refusal` accepts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it with status 403 before its body is read."""
        if scope["type"] == "http":
            headers = (
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in scope["headers"]
            )
            if reason := refusal(headers):
                text = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": 403, "headers": text})
                await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
                return
        await self._app(scope, receive, send)
