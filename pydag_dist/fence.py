"""Keeps web pages out of services on this machine, which ask nobody for a password.

A page of any site can make the user's browser send requests to 127.0.0.1. A POST of plain text is
sent without asking the service first, so it would be carried out, whatever the page may read of
the answer. Browsers tell of such a page in `Origin` and `Sec-Fetch-Site`, which no client library
of Google sends. A page whose own name was made to mean 127.0.0.1 ("DNS rebinding") is in `Host`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

_THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def refusal(
    headers: Iterable[tuple[str, str]], *, own_pages: bool = False, any_host: bool = False
) -> str | None:
    """Why a request must not be answered; None if it may be.

    `own_pages`: the service has pages, whose requests are welcome; `any_host`: it listens on an
    address that others reach by whatever name.
    """
    given: dict[str, list[str]] = {"host": [], "origin": [], "sec-fetch-site": []}
    for name, value in headers:
        given.get(name.lower(), []).append(value)
    hosts = given["host"]
    if not any_host and not (len(hosts) == 1 and _THIS_MACHINE.fullmatch(hosts[0])):
        return "This service answers requests to 127.0.0.1, localhost and [::1] only."
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    if any(not own_pages or origin not in origins for origin in given["origin"]):
        return "This service does not answer web pages."
    sites = {"none", "same-origin"} if own_pages else {"none"}  # "none": the user typed the address
    if any(site not in sites for site in given["sec-fetch-site"]):
        return "This service does not answer web pages."
    return None


class Fence:
    """The ASGI layer around a service: hands on what `refusal` lets through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
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
