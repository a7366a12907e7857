"""What all routes have in common: the roles they need, what they are asked with, ready bytes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import StringConstraints
from pydantic_core import to_json
from starlette.responses import Response

from pydag_dist.dag import limits
from pydag_dist.web.entry.access import Principal
from pydag_dist.web.models.base import ProblemDetails
from pydag_dist.web.problems import MEDIA_TYPE, Refusal
from pydag_dist.web.settings import Role
from pydag_dist.web.site import Site

ROLES: Final = get_args(Role)
ROLE: Final = "x-role"  # of a route in OpenAPI
NOBODY: Final = "none"  # a route that asks for no role
# For `openapi_extra` of a route.
ANYBODY, VIEWER, OPERATOR, EDITOR, ADMIN = ({ROLE: name} for name in (NOBODY, *ROLES))

Text = Annotated[str, StringConstraints(max_length=limits.ID)]
Key = Annotated[str, StringConstraints(max_length=200)]  # an Idempotency-Key


class GuardedRoute(APIRoute):
    """A route that only those can use who have its role, or one above it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        extra = options.get("openapi_extra") or {}
        self.role: str = extra[ROLE]  # no route is without one
        super().__init__(*args, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if self.role != NOBODY:
                needs(request, self.role)
            return await answer(request)

        return guarded


def router(prefix: str = "/api/v1") -> APIRouter:
    """A router whose routes are guarded."""
    problem = {"model": ProblemDetails, "content": {MEDIA_TYPE: {}}}
    responses: dict[int | str, dict[str, Any]] = {"4XX": problem, "503": problem}
    return APIRouter(prefix=prefix, route_class=GuardedRoute, responses=responses)


def needs(request: Request, name: str) -> Principal:
    """Who asks, if that one has the role; else the request is refused."""
    principal: Principal | None = request.scope["principal"]
    if principal is None:
        raise Refusal(401, request.scope["unknown"], headers={"WWW-Authenticate": "Bearer"})
    if ROLES.index(principal.role) < ROLES.index(name):
        raise Refusal(
            403,
            f"{principal.name} is {principal.role}, and this needs the role {name}: an admin can "
            "give it",
        )
    return principal


def site(request: Request) -> Site:
    """The installation that is asked about."""
    found: Site = request.app.state.site
    return found


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """The content as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(to_json(content), status, named, "application/json")


def tagged(request: Request, content: bytes, tag: str = "") -> Response:
    """JSON with an ETag; 304 if the client has it."""
    etag = f'"{tag or sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match", "").split(",")
    known = [each.strip().removeprefix("W/") for each in known]
    if etag in known or "*" in known:
        return Response(None, 304, headers)
    return Response(content, 200, headers, "application/json")
