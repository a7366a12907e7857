"""One request over HTTP/1.1: each wait has an end, however slowly bytes come."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Final

from pydag_dist.client.rest.address import Access
from pydag_dist.http_connection import way_to

CONNECT_SECONDS: Final = 10.0


class NotConnected(OSError):
    """No connection was made: nothing was sent."""


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

    at = access.address
    to = at.host, at.port, at.netloc
    connection, before, login = way_to(to, context, CONNECT_SECONDS, rest)
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
            headers = {**request.headers, **login, "Connection": "close"}
            connection.request(request.method, before + request.path, request.body, headers)
        with closing(connection.getresponse()) as response:
            yield response
