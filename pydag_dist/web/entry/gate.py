"""The gate before all routes: who asks, from which page, how much and how often."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pydag_dist.fence import refusal
from pydag_dist.web.entry.access import Principal
from pydag_dist.web.problems import Refusal
from pydag_dist.web.site import Site

_POLICY = (
    "default-src 'self'; base-uri 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "form-action 'self'; img-src 'self' data:; object-src 'none'; style-src 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class Gate:
    """Wraps the application; whoever may not come in learns why."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app, self.site = app, site
        self._prefix = site.web.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        path: str = scope["path"]
        if self._prefix and (path + "/").startswith(self._prefix + "/"):
            scope["path"] = path[len(self._prefix) :] or "/"
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
        if reason := refusal(headers):
            await Refusal(403, reason).response()(scope, receive, sending)
            return
        scope["principal"] = Principal("local", "admin")
        await self.app(scope, receive, sending)
