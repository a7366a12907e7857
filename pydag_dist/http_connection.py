"""Connections over HTTP/1.1: by this host's proxy if it has one, and with an end to each wait."""

from __future__ import annotations

import base64
import io
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

LOST: Final = (OSError, HTTPException)
PORTS: Final = {"http": 80, "https": 443}
Connect = Callable[..., socket.socket]


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


class Way(NamedTuple):
    """A connection that is yet to be made, and what its requests need beside the path."""

    connection: HTTPConnection
    before_path: str
    headers: dict[str, str]


def way_to(
    to: tuple[str, int, str],
    context: ssl.SSLContext | None,
    seconds: float,
    rest: Callable[[], float],
    connect: Connect | None = None,
) -> Way:
    """The way to a host, its port, and both as a request names them; by this host's proxy, if any.

    Over TLS if there is a `context`. `seconds` may pass until it is connected, and `rest()` more
    until the next bytes of an answer. `connect` is called in place of `socket.create_connection`.
    """
    host, port, netloc = to
    scheme = "http" if context is None else "https"
    proxy = None if proxy_bypass(netloc) else getproxies().get(scheme)
    way = _direct(host, port, context, seconds)
    if proxy:
        way = _by_proxy(proxy, to, context, seconds)
    way.connection.response_class = lambda sock, **given: HTTPResponse(  # type: ignore[assignment]
        cast("socket.socket", _TimedSocket(sock, rest)), **given
    )
    if connect:
        way.connection._create_connection = connect  # type: ignore[attr-defined]  # noqa: SLF001
    return way


def _direct(host: str, port: int, context: ssl.SSLContext | None, seconds: float) -> Way:
    if context is None:
        return Way(HTTPConnection(host, port, timeout=seconds), "", {})
    return Way(HTTPSConnection(host, port, timeout=seconds, context=context), "", {})


def _by_proxy(
    proxy: str, to: tuple[str, int, str], context: ssl.SSLContext | None, seconds: float
) -> Way:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    connection = _direct(parts.hostname or "", parts.port or 80, context, seconds).connection
    host, port, netloc = to
    if context is None:
        return Way(connection, f"http://{netloc}", login)
    connection.set_tunnel(host, port, login)
    return Way(connection, "", {})
