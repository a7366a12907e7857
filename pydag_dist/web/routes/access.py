"""Who asks; tokens, and a browser's session with one."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from fastapi import Request
from starlette.responses import Response

from pydag_dist.client.submitter import acting_for, user_at_host
from pydag_dist.web.entry.access import Doorkeeper, cookie_name
from pydag_dist.web.entry.gate import set_cookie
from pydag_dist.web.models import access as models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routing import ADMIN, ANYBODY, VIEWER, Text, answer, needs, router, site
from pydag_dist.web.tokens import told

routes = router()


@routes.get("/me", response_model=models.Me, openapi_extra=VIEWER)
def me(request: Request) -> Response:
    """Say who asks, and what that one may do."""
    here, principal = site(request), needs(request, "viewer")
    told = {
        "user": principal.name,
        "role": principal.role,
        "mode": here.web.mode,
        "version": version("pydag-dist"),
        "prefix": here.web.prefix,
        "history": here.past(lambda _: True, otherwise=False)[0],
        "now": time.time(),
    }
    return answer(told)


@routes.get("/tokens", response_model=models.Tokens, openapi_extra=ADMIN)
def tokens(request: Request) -> Response:
    """List the tokens: whose they are, never what they are."""
    return answer({"items": [told(token) for token in site(request).tokens.all()]})


@routes.post("/tokens", status_code=201, response_model=models.MadeToken, openapi_extra=ADMIN)
def make(request: Request, body: models.NewToken) -> Response:
    """Make a token. It is in this answer only: its hash is kept."""
    with acting_for(needs(request, "admin").name):
        secret = site(request).tokens.add(body.name, body.role, user_at_host())
    _doorkeeper(request).forget()
    return answer({"name": body.name, "role": body.role, "token": secret}, 201)


@routes.delete("/tokens/{name}", status_code=204, openapi_extra=ADMIN)
def remove(request: Request, name: Text) -> Response:
    """Take a token back: within two seconds nobody is let in by it."""
    if not site(request).tokens.remove(name):
        raise Refusal(404, f"there is no token {name!r}")
    _doorkeeper(request).forget()
    return Response(None, 204)


@routes.post("/session", response_model=models.Session, openapi_extra=ANYBODY)
def begin(request: Request, body: models.NewSession) -> Response:
    """Let this browser keep a token, where no script can read it."""
    here = site(request)
    principal = _doorkeeper(request).by_token(body.token)
    if principal is None:
        raise Refusal(401, "that is no token of this installation")
    made: Any = answer({"user": principal.name, "role": principal.role})
    is_secure = _is_secure(request)
    set_cookie(made, request.headers, body.token, here.web.prefix, is_secure=is_secure)
    return made  # type: ignore[no-any-return]


@routes.delete("/session", status_code=204, openapi_extra=ANYBODY)
def end(request: Request) -> Response:
    """Let this browser forget it."""
    made = Response(None, 204)
    name = cookie_name(request.headers.get("host", ""))
    made.delete_cookie(name, path=f"{site(request).web.prefix}/")
    return made


def _is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, to this process or to a proxy."""
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    return forwarded == "https"


def _doorkeeper(request: Request) -> Doorkeeper:
    found: Doorkeeper = request.app.state.doorkeeper
    return found
