"""POSTs to one receiver over a connection that is kept."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPResponse
from typing import Final
from urllib.parse import urlsplit

from pydag_dist.http_connection import LOST, PORTS, Connect, Way, way_to

TIMEOUT: Final = 10.0  # seconds of a POST
DRAINED: Final = 65_536  # bytes of an answer that are read, so that its connection can be kept
JSON: Final = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "pydag_dist"}


class Line:
    """Posts to a URL, one body after the other, of one thread. It follows no redirect."""

    def __init__(
        self, url: str, headers: Mapping[str, str], connect: Connect | None = None
    ) -> None:
        """`ValueError` for what is no URL of http or https; `connect` as of `way_to`."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("no URL of http or https")
        port = parts.port or PORTS[parts.scheme]
        self._to = parts.hostname, port, parts.netloc.rpartition("@")[2]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = JSON | {name: value.strip() for name, value in headers.items()}
        self._connect = connect
        self._until = 0.0
        self._way: Way | None = None

    def post(self, body: bytes) -> str | None:
        """Why the receiver did not take it, if so; nothing of the URL's path is in that text."""
        is_kept = self._way is not None
        try:
            answer = self._ask(body, TIMEOUT)
            with suppress(*LOST):
                answer.read(DRAINED)
            if answer.will_close or not answer.isclosed():
                self.close()
            return _verdict(answer)
        except (*LOST, ValueError) as error:  # ValueError: a header or a host that can't be sent
            self.close()
            if is_kept and not isinstance(error, TimeoutError):
                return self.post(body)  # it was closed since
            return _told(error, TIMEOUT)

    def post_once(self, body: bytes, seconds: float) -> str | None:
        """Post over a connection that is not kept; why the receiver did not take it, if so.

        Of an answer only the head is read.
        """
        try:
            return _verdict(self._ask(body, seconds))
        except (*LOST, ValueError) as error:
            return _told(error, seconds)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; `post` opens another one."""
        if self._way is not None:
            self._way.connection.close()
        self._way = None

    def _ask(self, body: bytes, seconds: float) -> HTTPResponse:
        self._until = time.monotonic() + seconds
        if self._way is None:
            self._way = way_to(self._to, self._tls, seconds, self._left, self._connect)
            self._way.connection.connect()
        connection, before, login = self._way
        connection.sock.settimeout(max(0.001, self._left()))
        connection.request("POST", before + self._path, body, {**self._headers, **login})
        return connection.getresponse()

    def _left(self) -> float:
        return self._until - time.monotonic()


def _verdict(answer: HTTPResponse) -> str | None:
    return None if 200 <= answer.status < 300 else f"status {answer.status}"


def _told(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {seconds:.2g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    return getattr(error, "strerror", None) or type(error).__name__
