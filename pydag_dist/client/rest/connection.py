"""One request over HTTP/1.1: each wait has an end, however slowly bytes come."""

from __future__ import annotations

import base64
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from pydag_dist.client.rest.address import Access

CONNECT_SECONDS: Final = 10.0
LOST: Final = (OSError, HTTPException)


class NotConnected(OSError):
    """No connection was made: nothing was sent."""


class _Timed(io.RawIOBase):
    """What comes from a socket, as long as there is time for it."""

    def __init__(self, sock: socket.socket, rest: Callable[[], float]) -> None:
        self._sock, self._rest = sock, rest
        self._raw: Any = sock.makefile("rb", buffering=0)  # keeps the socket open

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Wait for some bytes, `TimeoutError` if there is no time left."""
        rest = self._rest()
        if rest <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(rest)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class _TimedSocket:
    """As `HTTPResponse` looks at a socket."""

    def __init__(self, sock: socket.socket, rest: Callable[[], float]) -> None:
        self._sock, self._rest = sock, rest

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The bytes that come."""
        return io.BufferedReader(_Timed(self._sock, self._rest))


@dataclass(frozen=True)
class Request:
    """What is asked: at most `idle` seconds without a byte are waited, and `total` altogether."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    idle: float
    total: float | None = None


@contextmanager
def asked(
    access: Access, context: ssl.SSLContext | None, request: Request
) -> Iterator[HTTPResponse]:
    """The beginning of an answer, which is to be read in here; nothing is followed elsewhere.

    `NotConnected` if nothing was sent, other `LOST` errors if it is not known what became of it.
    """
    until = None if request.total is None else time.monotonic() + request.total

    def rest() -> float:
        return request.idle if until is None else min(request.idle, until - time.monotonic())

    connection, place = _connection(access, context, request.path)
    connection.response_class = lambda sock, **given: HTTPResponse(  # type: ignore[assignment]
        cast("socket.socket", _TimedSocket(sock, rest)),
        **given,
    )
    with closing(connection):
        try:
            connection.connect()
        except ssl.SSLCertVerificationError:
            raise
        except OSError as error:
            raise NotConnected(error.strerror or str(error)) from error
        connection.sock.settimeout(request.total or request.idle)
        # Who refuses a long body closes before all of it was sent, and has said why.
        with suppress(BrokenPipeError, ConnectionResetError):
            headers = {**request.headers, "Connection": "close"}
            connection.request(request.method, place, request.body, headers)
        with closing(connection.getresponse()) as response:
            yield response


def _connection(
    access: Access, context: ssl.SSLContext | None, path: str
) -> tuple[HTTPConnection, str]:
    """A connection, by the proxy of this host if it has one, and what is asked of it."""
    address = access.address
    proxy = None if proxy_bypass(address.netloc) else getproxies().get(address.scheme)
    if not proxy:
        if context is None:
            return HTTPConnection(address.host, address.port, timeout=CONNECT_SECONDS), path
        return HTTPSConnection(
            address.host, address.port, timeout=CONNECT_SECONDS, context=context
        ), path
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or 80
    login = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    if context is None:
        return HTTPConnection(host, port, timeout=CONNECT_SECONDS), f"http://{address.netloc}{path}"
    connection = HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
    connection.set_tunnel(address.host, address.port, login)
    return connection, path
