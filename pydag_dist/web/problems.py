"""Errors as RFC 9457 says them: a type for each kind, all problems of a request at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import redis
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails, to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pydag_dist.dag.text.messages import message
from pydag_dist.engine import is_refusal, is_transient
from pydag_dist.errors import (
    AmbiguousRun,
    EngineError,
    HistoryError,
    InvalidDag,
    Problem,
    PydagError,
    RedisAway,
    RedisRefused,
    SubmittedOtherwise,
    UnknownRun,
)
from pydag_dist.history import LOST

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "2"  # seconds
TITLES: Final = {
    "unauthorized": "Say who you are",
    "forbidden": "You may not do this",
    "not-found": "There is no such thing",
    "unknown-run": "There is no such run",
    "submitted-otherwise": "Another run has that id",
    "method-not-allowed": "This can't be done here",
    "conflict": "Something else is there",
    "changed": "It has changed meanwhile",
    "precondition-required": "Say what you know of it",
    "too-large": "Too much at once",
    "unsupported-media-type": "Only JSON is understood",
    "invalid": "The request has problems",
    "invalid-dag": "The DAG has problems",
    "key-reused": "Another request had that key",
    "too-many-requests": "Too many requests",
    "too-many-streams": "Too many live streams",
    "unavailable": "Something that is needed is away",
    "internal": "This is a defect",
}
_KINDS: Final = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    412: "changed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    428: "precondition-required",
    429: "too-many-requests",
    503: "unavailable",
}

# The first of them that an error is.
_STATUSES: Final[Sequence[tuple[tuple[type[PydagError], ...], int, str]]] = (
    ((UnknownRun,), 404, "unknown-run"),
    ((AmbiguousRun,), 404, ""),
    ((RedisAway, RedisRefused, HistoryError), 503, ""),
    ((SubmittedOtherwise,), 409, "submitted-otherwise"),
    ((EngineError,), 409, ""),
    ((PydagError,), 422, ""),
)


class Refusal(Exception):
    """An answer that says no, and why."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.kind = kind or _KINDS.get(status, "internal")
        self.errors, self.headers = list(errors), dict(headers or {})
        if status in {429, 503}:
            self.headers.setdefault("Retry-After", RETRY_AFTER)

    def response(self) -> Response:
        """As HTTP has it."""
        body = {
            "type": f"urn:pydag:problem:{self.kind}",
            "title": TITLES.get(self.kind, HTTPStatus(self.status).phrase),
            "status": self.status,
            "detail": self.detail,
            "errors": self.errors,
        }
        return Response(to_json(body), self.status, self.headers, MEDIA_TYPE)


def refusal_of(error: Exception) -> Refusal:
    """How an error is told."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InvalidDag):
        errors = [_item(problem) for problem in error.problems]
        return Refusal(422, str(error), kind="invalid-dag", errors=errors)
    for kinds, status, kind in _STATUSES:
        if isinstance(error, kinds):
            return Refusal(status, str(error), kind=kind)
    if isinstance(error, redis.RedisError) and (is_transient(error) or is_refusal(error)):
        log.warning("Redis: %s", error)
        return Refusal(503, "Redis can't answer now: try again in a moment")
    if isinstance(error, LOST):
        log.warning("the history's database: %s", error)
        return Refusal(503, "the history's database can't answer now: try again in a moment")
    log.error("a request failed", exc_info=error)
    return Refusal(500, "the log of `pydag web` says what has happened")


def install(app: FastAPI) -> None:
    """Let the application tell all errors so."""

    async def told(_: Request, error: Exception) -> Response:
        return refusal_of(error).response()

    async def by_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        headers = error.headers
        return Refusal(error.status_code, str(error.detail), headers=headers).response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        errors = [_validation_item(found) for found in error.errors()]
        detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors)
        return Refusal(422, detail, errors=errors).response()

    handlers: dict[type[Exception], Callable[[Request, Exception], Any]] = {
        HTTPException: by_http,
        RequestValidationError: invalid,
        Refusal: told,
        PydagError: told,
        redis.RedisError: told,
        **dict.fromkeys(LOST, told),
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def pointer(path: Iterable[str | int]) -> str:
    """The JSON Pointer of a place (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _item(problem: Problem) -> dict[str, Any]:
    return {"task": problem.task, "field": problem.field, "detail": problem.message}


def _validation_item(found: ErrorDetails) -> dict[str, Any]:
    place, *path = [str(part) for part in found["loc"]]
    return {
        "pointer": pointer(path) if place == "body" else None,
        "field": ".".join(path) or place,
        "detail": message(found),
    }
