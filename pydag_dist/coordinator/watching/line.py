"""POSTs to one receiver over a connection that is kept."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from pydag_dist.http_connection import LOST, Way, way_to

TIMEOUT: Final = 10.0  # seconds of a POST
DRAINED: Final = 65_536  # bytes of an answer that are read, so that its connection can be kept
JSON: Final = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "pydag_dist"}
PORTS: Final = {"http": 80, "https": 443}


class Line:
    """Posts to a URL, one body after the other, of one thread. It follows no redirect."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """`ValueError` for what is no URL of http or https."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("no URL of http or https")
        port = parts.port or PORTS[parts.scheme]
        self._to = parts.hostname, port, parts.netloc.rpartition("@")[2]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = JSON | {name: value.strip() for name, value in headers.items()}
        self._until = 0.0
        self._way: Way | None = None

    def post(self, body: bytes) -> str | None:
        """Why the receiver did not take it, if so; nothing of the URL's path is in that text."""
        is_kept = self._way is not None
        self._until = time.monotonic() + TIMEOUT
        try:
            return self._ask(body)
        except (*LOST, ValueError) as error:  # ValueError: a header or a host that can't be sent
            self.close()
            if is_kept and not isinstance(error, TimeoutError):
                return self.post(body)  # it was closed since
            return _told(error)

    def close(self) -> None:
        """Close the connection; `post` opens another one."""
        if self._way is not None:
            self._way.connection.close()
        self._way = None

    def _ask(self, body: bytes) -> str | None:
        if self._way is None:
            self._way = way_to(self._to, self._tls, TIMEOUT, self._left)
            self._way.connection.connect()
        connection, before, login = self._way
        connection.sock.settimeout(max(0.001, self._left()))
        connection.request("POST", before + self._path, body, {**self._headers, **login})
        answer = connection.getresponse()
        with suppress(*LOST):
            answer.read(DRAINED)
        if answer.will_close or not answer.isclosed():
            self.close()
        return None if 200 <= answer.status < 300 else f"status {answer.status}"

    def _left(self) -> float:
        return self._until - time.monotonic()


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    return getattr(error, "strerror", None) or type(error).__name__
