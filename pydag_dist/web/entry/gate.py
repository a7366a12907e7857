"""The gate before all routes: who asks, from which page, how much and how often."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qs, quote, urlencode

import redis
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pydag_dist.web.entry.access import Doorkeeper, Principal, cookie_name
from pydag_dist.web.problems import Refusal, refusal_of
from pydag_dist.web.site import Site

OUR_HEADER: Final = "x-pydag"  # a page of another origin can't send it without being asked for
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_BYTES: Final = 64 * 2**10
DAG_BYTES: Final = 16 * 2**20
BURST: Final = 5  # seconds' worth of requests that may come at once
BUCKETS: Final = 10_000
_BIG: Final = re.compile(
    r"/api/v1/(runs(/[^/]+(/resume|/tasks/[^/]+/mark)?)?|dags/[^/]+|validate|convert|edit|compare|render|estimate|files/.+)"
)
_THIS_HOST: Final = re.compile(
    r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII
)
_POLICY: Final = (
    "default-src 'self'; base-uri 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "form-action 'self'; img-src 'self' data:; object-src 'none'"
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class Buckets:
    """How many requests each may still send now; a bucket fills up all the time."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._most = per_second, per_second * BURST
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # as of when

    def take(self, who: str) -> float:
        """0 if one more is fine, else the seconds until it is."""
        now = time.monotonic()
        left, at = self._left.get(who, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        fine = left >= 1
        self._left[who] = (left - 1 if fine else left), now
        self._left.move_to_end(who)
        if len(self._left) > BUCKETS:
            self._left.popitem(last=False)
        return 0.0 if fine else (1 - left) / self._rate


class Gate:
    """Wraps the application; whoever may not come in learns why."""

    def __init__(self, app: ASGIApp, site: Site, doorkeeper: Doorkeeper) -> None:
        self.app, self.site, self.doorkeeper = app, site, doorkeeper
        self._prefix = site.web.prefix
        self._buckets = Buckets(site.web.requests_per_second)
        self._is_local = site.web.mode == "local"
        told = {site.web.user_header.lower(), site.web.groups_header.lower()}
        self._once = {"authorization", "content-length", "host", OUR_HEADER, *told}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._added(scope, message)]
            await send(message)

        try:
            answer = await self._checked(scope, headers)
            if answer is None:
                limit = DAG_BYTES if _BIG.fullmatch(scope["path"]) else BODY_BYTES
                receive = _limited(receive, headers, limit)
                await self.app(scope, receive, sending)
            else:
                await answer(scope, receive, sending)
        except Exception as error:
            if started or isinstance(error, asyncio.CancelledError):
                raise
            await refusal_of(error).response()(scope, receive, sending)

    def _added(self, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        has_cache = any(name.lower() == b"cache-control" for name, _ in message["headers"])
        is_api = scope["path"].startswith("/api/")
        return [*_HEADERS, *([] if has_cache or not is_api else [(b"cache-control", b"no-store")])]

    async def _checked(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """What is answered at once; None if the application answers."""
        path: str = scope["path"]
        if self._prefix and (path + "/").startswith(self._prefix + "/"):
            scope["path"] = path = path[len(self._prefix) :] or "/"
        self._check_told_once(scope)
        self._check_host(headers)
        if scope["method"] not in SAFE:
            _check_page(scope, headers)
        if (answer := self._by_key(scope, headers)) is not None:
            return answer
        scope["principal"] = principal = await self._who(scope, headers)
        scope["unknown"] = self.doorkeeper.unknown()
        scope["asks_again"] = partial(self._is_still, scope, headers)
        client = scope["client"][0] if scope.get("client") else ""
        if path.startswith("/api/") and (
            wait := self._buckets.take(principal.name if principal else f"@{client}")
        ):
            raise Refusal(
                429,
                f"more than {self.site.web.requests_per_second:g} requests a second: wait",
                headers={"Retry-After": str(int(wait) + 1)},
            )
        return None

    def _check_told_once(self, scope: Scope) -> None:
        # Of two, another server on the way may have looked at the other one.
        counted = Counter(name.decode("latin-1") for name, _ in scope["headers"])
        if twice := sorted(name for name in self._once if counted[name] > 1):
            raise Refusal(400, f"{', '.join(twice)}: told more than once")

    def _check_host(self, headers: dict[str, str]) -> None:
        # A page whose own name was made to mean 127.0.0.1 ("DNS rebinding") has that name here.
        if self._is_local and not _THIS_HOST.fullmatch(headers.get("host", "")):
            raise Refusal(403, "this service answers to 127.0.0.1, localhost and [::1] only")

    def _by_key(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """A browser that comes with the key gets its cookie, and an address without the key."""
        if not self._is_local or scope["method"] != "GET" or b"key=" not in scope["query_string"]:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        keys = query.pop("key", [])
        if not keys or scope["path"].startswith("/api/"):
            return None
        value = self.doorkeeper.keys.cookie_for(keys[0])
        rest = urlencode(query, doseq=True)
        place = self._prefix + quote(scope["path"]) + (f"?{rest}" if rest else "")
        # No second slash at the beginning: that would be another host.
        answer = Response(None, 303, {"Location": "/" + place.lstrip("/")})
        if value is not None:
            set_cookie(answer, headers, value, self._prefix, is_secure=False)
        elif not self.doorkeeper.by_cookie(self.doorkeeper.cookie_of(headers)):
            raise Refusal(401, f"that key was used already: {self.doorkeeper.unknown()}")
        return answer

    async def _is_still(self, scope: Scope, headers: dict[str, str]) -> bool:
        """Whether it is still the same one who asks; as far as is known while Redis is away."""
        try:
            now = await self._who(scope, headers)
        except Refusal:
            return True
        return now is not None and now.name == scope["principal"].name

    async def _who(self, scope: Scope, headers: dict[str, str]) -> Principal | None:
        keeper = self.doorkeeper
        if token := keeper.token_of(headers):
            return await run_in_threadpool(self._by_token, token)
        client = scope["client"][0] if scope.get("client") else ""
        if proxied := keeper.by_proxy(client, headers):
            return proxied
        cookie = keeper.cookie_of(headers)
        if not cookie or self._is_local:
            return keeper.by_cookie(cookie)
        return await run_in_threadpool(self._by_token, cookie)

    def _by_token(self, token: str) -> Principal | None:
        try:
            return self.doorkeeper.by_token(token)
        except redis.RedisError as error:
            raise refusal_of(error) from None


def set_cookie(
    answer: Response, headers: Mapping[str, str], value: str, prefix: str, *, is_secure: bool
) -> None:
    """Let a browser keep it, and no script read it, and no other site's page send it."""
    name = cookie_name(headers.get("host", ""))
    answer.set_cookie(
        name, value, path=f"{prefix}/", httponly=True, samesite="strict", secure=is_secure
    )


def _check_page(scope: Scope, headers: dict[str, str]) -> None:
    """Refuse what a page of another site has sent: such a page can't send our header."""
    site = headers.get("sec-fetch-site")
    if site == "same-origin" or (site is None and OUR_HEADER in headers):
        return
    if site is None and headers.get("authorization", "").lower().startswith("bearer "):
        return  # a browser sends no token by itself
    raise Refusal(
        403,
        f"{scope['method']} is for pages of this service, and for programs that send a token or "
        "the header X-Pydag",
    )


def _limited(receive: Receive, headers: dict[str, str], most: int) -> Receive:
    """The body, refused as soon as it is too long."""
    too_long = Refusal(413, f"the body has more than {most:,} bytes")
    given = headers.get("content-length", "0")
    if given.isdecimal() and int(given) > most:
        raise too_long
    length = 0

    async def receiving() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > most:
            raise too_long
        return message

    return receiving
