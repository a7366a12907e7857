"""Asks `pydag web`: again where that does no harm, and what it refuses is told as Redis would."""

from __future__ import annotations

import json
import logging
import random
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from pydag_dist.client.rest.address import Access
from pydag_dist.client.rest.connection import NotConnected, Request, asked
from pydag_dist.client.rest.frames import Frame, frames_of
from pydag_dist.client.retrying import rest_of, until
from pydag_dist.errors import (
    ChangedMeanwhile,
    EngineError,
    InvalidDag,
    Problem,
    PydagError,
    ServiceAway,
    ServiceRefused,
    SubmittedOtherwise,
    UnknownRun,
)
from pydag_dist.http_connection import LOST

T = TypeVar("T")
log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 30.0  # without a byte
ANSWER_SECONDS: Final = 120.0  # for an answer that is not a stream
STREAM_SECONDS: Final = 45.0  # without a byte of a stream, which says every 15 that it is there
PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
MOST_BYTES: Final = 2**28  # of an answer
MOST_CHARACTERS: Final = 20_000  # of what a refusal says
Query = Sequence[tuple[str, str | int | float]]

_BY_KIND: Final[Mapping[str, type[PydagError]]] = {
    "unknown-run": UnknownRun,
    "submitted-otherwise": SubmittedOtherwise,
    "changed": ChangedMeanwhile,
}
_BY_STATUS: Final[Mapping[int, type[PydagError]]] = {
    404: EngineError,
    409: EngineError,
}
_PASSING: Final = frozenset({429, 502, 503, 504})


class _Away(Exception):
    """An attempt that failed, and another one may succeed."""

    def __init__(self, why: str, *, is_ours: bool, was_done: bool, after: float = 0) -> None:
        super().__init__(why)
        self.is_ours = is_ours  # whether it was our service that has answered
        self.was_done = was_done  # whether that may have been done
        self.after = after


class Service:
    """The REST routes of one installation. Threads may share it."""

    until = staticmethod(until)
    interruptions = 0  # of what is not repeated there is none

    def __init__(self, access: Access, retry_seconds: float) -> None:
        self._access, self._seconds = access, retry_seconds
        self._context = access.tls() if access.address.scheme == "https" else None
        self._has_answered = False

    def __repr__(self) -> str:
        return f"Service({str(self._access.address)!r})"

    def get(self, path: str, query: Query = (), *, wait: int = 0) -> Any:
        """What is at a path; with `wait` the service may take so many seconds."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        return self.send("GET", path, query=query, headers=headers, patience=wait)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        patience: float = 0,
        may_repeat: bool = True,
    ) -> Any:
        """The answer as JSON, None if it is empty; errors as Redis's client has them."""
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        given = {**(headers or {}), **({"Content-Type": "application/json"} if data else {})}
        place = _with(path, query)

        def once() -> Any:
            idle, total = IDLE_SECONDS + patience, ANSWER_SECONDS + patience
            with self._opened(Request(method, place, given, data, idle, total)) as response:
                return self._json(response, self._content(response))

        return self._patiently(once, may_repeat=may_repeat)

    def make(self, path: str, body: Any) -> Any:
        """POST what may be sent again, since it has a key of its own."""
        return self.send("POST", path, body, headers={"Idempotency-Key": secrets.token_hex(16)})

    def lines(self, path: str, query: Query = ()) -> list[Any]:
        """An answer that has one JSON value a line."""
        place = _with(path, query)

        def once() -> list[Any]:
            request = Request("GET", place, {}, None, IDLE_SECONDS, 5 * ANSWER_SECONDS)
            with self._opened(request) as response:
                content = self._content(response)
            try:
                return [json.loads(line) for line in content.splitlines()]
            except ValueError:
                raise self._not_ours(response) from None

        return self._patiently(once)

    def follow(self, path: str, query: Query = ()) -> Iterator[Frame]:
        """The frames of a live stream until its end; a cut one goes on where it was."""
        last, heard_at, place = "", time.monotonic(), _with(path, query)
        while True:
            given = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}

            def opened(given: Mapping[str, str] = given) -> Iterator[Frame]:
                stream = self._frames(Request("GET", place, given, None, STREAM_SECONDS))
                next(stream)  # it is open, or refused
                return stream

            try:
                for frame in self._patiently(opened):
                    last, heard_at = frame.id or last, time.monotonic()
                    yield frame
                    if frame.kind == "end":
                        return
            except LOST as error:
                log.info("a live stream of %s was cut (%s)", self._access.address, error)
            if time.monotonic() - heard_at > self._seconds:
                raise ServiceAway(
                    f"{self._access.address} sent nothing of a live stream for "
                    f"{self._seconds:.0f} s"
                )
            time.sleep(PAUSE)

    def _frames(self, request: Request) -> Iterator[Frame]:
        with self._opened(request) as response:
            self._check(response)
            yield Frame("", None, "")
            yield from frames_of(response)

    def _opened(self, request: Request) -> AbstractContextManager[HTTPResponse]:
        headers = {"Accept": "application/json", "User-Agent": "pydag", **request.headers}
        headers["Host"] = self._access.address.netloc
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token}"
        place = f"{self._access.address.prefix}/api/v1/{request.path}"
        whole = replace(request, path=place, headers=headers)
        return asked(self._access, self._context, whole)

    def _patiently(self, once: Callable[[], T], *, may_repeat: bool = True) -> T:
        """Ask until there is an answer or no time left; what never answered is not awaited."""
        began, pause, is_warned = time.monotonic(), PAUSE, False
        while True:
            try:
                answer = self._attempt(once)
            except _Away as error:
                away = error
            else:
                self._has_answered = True
                if is_warned:
                    log.warning("%s is there again", self._access.address)
                return answer
            self._has_answered = self._has_answered or away.is_ours
            if away.was_done and not may_repeat:
                raise ServiceAway(
                    f"{self._access.address}: {away}. Whether that was done is not known: look, "
                    "before you do it again"
                )
            if not self._has_answered:
                raise ServiceAway(
                    f"No pydag answers at {self._access.address} ({away}). Set PYDAG_URL to the "
                    "address of the installation's `pydag web`"
                )
            if (rest := rest_of(began, self._seconds)) <= 0:
                waited = time.monotonic() - began
                raise ServiceAway(
                    f"{self._access.address} could not be reached for {waited:.0f} s ({away})"
                )
            if not is_warned and not away.after:
                what = "%s can't be reached (%s); waiting for it up to %.0f s"
                log.warning(what, self._access.address, away, rest)
                is_warned = True
            time.sleep(min(away.after or pause * random.uniform(0.5, 1), rest))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)

    def _attempt(self, once: Callable[[], T]) -> T:
        """The answer, or `_Away` if there may be one later."""
        try:
            return once()
        except ssl.SSLCertVerificationError as error:
            raise ServiceRefused(
                f"the certificate of {self._access.address} is not trusted "
                f"({error.verify_message}): name the file of its authority by PYDAG_CA_FILE, and "
                "the host as the certificate does"
            ) from None
        except LOST as error:
            why, is_sent = str(error) or type(error).__name__, not isinstance(error, NotConnected)
            raise _Away(why, is_ours=False, was_done=is_sent) from error

    def _content(self, response: HTTPResponse) -> bytes:
        """The whole of a good answer."""
        self._check(response)
        return _read(response)

    def _check(self, response: HTTPResponse) -> None:
        """Raise what an answer that is not good says."""
        status = response.status
        if 200 <= status < 300 and "text/html" not in _media_type(response):
            return
        if 300 <= status < 400:
            raise PydagError(
                f"{self._access.address} sends its callers elsewhere (status {status}), and "
                "nobody follows with a token: set PYDAG_URL to where the service is"
            )
        after = _seconds(response.headers.get("Retry-After"))
        if _media_type(response) != "application/problem+json":
            if status in _PASSING:  # a proxy's own words
                is_done = status in {502, 504}
                raise _Away(f"status {status}", is_ours=after > 0, was_done=is_done, after=after)
            raise self._not_ours(response)
        self._has_answered = True
        problem = self._json(response, _read(response))
        detail = str(problem.get("detail", ""))[:MOST_CHARACTERS]
        if status in {429, 503}:
            raise _Away(detail, is_ours=True, was_done=status == 503, after=after)
        if status == 401 or (status == 403 and not self._access.token):
            what = "does not know the token that it was sent" if self._access.token else "asks who"
            raise ServiceRefused(
                f"{self._access.address} {what}: set PYDAG_TOKEN, or PYDAG_TOKEN_FILE, to a token "
                "that `pydag tokens --add NAME` has printed on a host that reaches Redis"
            )
        if status == 403:
            raise ServiceRefused(f"{self._access.address}: {detail}")
        kind = str(problem.get("type", "")).rpartition(":")[2]
        if kind == "invalid-dag" and problem.get("errors"):
            raise InvalidDag(
                Problem("dag", each.get("task"), each.get("field"), str(each.get("detail")))
                for each in problem["errors"]
            )
        raise _BY_KIND.get(kind, _BY_STATUS.get(status, PydagError))(detail)

    def _json(self, response: HTTPResponse, content: bytes) -> Any:
        if not content:
            return None
        try:
            return json.loads(content)
        except ValueError:
            raise self._not_ours(response) from None

    def _not_ours(self, response: HTTPResponse) -> PydagError:
        return PydagError(
            f"What answers at {self._access.address} is no `pydag web` (status {response.status}, "
            f"{_media_type(response) or 'no type'}): set PYDAG_URL to the installation's address, "
            "with the path below which a proxy shows it"
        )


def path_of(*names: str) -> str:
    """A path of names, whatever is in them."""
    return "/".join(quote(name, safe="") for name in names)


def _with(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _media_type(response: HTTPResponse) -> str:
    return (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def _read(response: HTTPResponse) -> bytes:
    content = response.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise PydagError(f"an answer has more than {MOST_BYTES:,} bytes: ask for less")
    if response.length:  # `read` of so many bytes does not say that there were to be more
        raise TimeoutError("the answer was cut off")
    return content


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or 0), 0.0), LONGEST_PAUSE)
    except ValueError:  # a date
        return PAUSE
