"""One POST to a webhook."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from pydag_dist.coordinator.alerts.call import Call

_JSON: Final = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "pydag_dist"}


class Post(Call):
    """A POST of JSON, which any answer of 2xx takes."""

    def __init__(
        self,
        url: str,
        body: Callable[[], bytes],
        done: Callable[[], None],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(body, done)
        self._url = url
        self._headers = {**_JSON, **(headers or {})}

    def _call(self, body: bytes) -> str | None:
        try:
            request = urllib.request.Request(self._url, body, self._headers, method="POST")  # noqa: S310  see _opener
            with self._opener().open(request, timeout=self._left()):
                return None  # of an answer only the head is read
        except urllib.error.HTTPError as error:
            error.close()
            return f"status {error.code}"
        except urllib.error.URLError as error:
            return str(error.reason)

    def _opener(self) -> urllib.request.OpenerDirector:
        """Opens http and https only, through the environment's proxy; follows no redirect."""
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            _Http(self._connect),
            _Https(self._connect),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        return opener


Connect = Callable[..., socket.socket]


def _connection(
    kind: type[http.client.HTTPConnection], connect: Connect, *args: Any, **options: Any
) -> Any:
    connection: Any = kind(*args, **options)
    connection._create_connection = connect  # noqa: SLF001  what the class has for this
    return connection


class _Http(urllib.request.HTTPHandler):
    def __init__(self, connect: Connect) -> None:
        super().__init__()
        self._connect = connect

    def http_open(self, req: Any) -> Any:
        connection: Any = partial(_connection, http.client.HTTPConnection, self._connect)
        return self.do_open(connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, connect: Connect) -> None:
        super().__init__()
        self._connect = connect

    def https_open(self, req: Any) -> Any:
        connection: Any = partial(_connection, http.client.HTTPSConnection, self._connect)
        return self.do_open(connection, req)
