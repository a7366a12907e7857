"""One POST to a webhook, which ends in time whatever the receiver does."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any


class Post:
    """A POST in a thread of its own, which `stop` ends.

    Only the look-up of a host's name goes on after that, for as long as the resolver takes.
    """

    def __init__(self, url: str, body: Callable[[], bytes], done: Callable[[], None]) -> None:
        self._url = url
        self._body = body
        self._done = done
        self._socket: socket.socket | None = None
        self._seconds = 0.0
        self._until: float | None = None
        self.has_ended = False
        self.error: str | None = None  # why it was not taken, once it has ended
        self._thread = threading.Thread(target=self._run, name="pydag-webhook", daemon=True)

    def start(self, seconds: float) -> None:
        """Begin. From when the body is known, all of the call may take so many seconds."""
        self._seconds = seconds
        self._thread.start()

    def stop(self) -> None:
        """Cut the connection, so that the thread ends."""
        self._until = 0.0
        if (connection := self._socket) is not None:
            with suppress(OSError, ValueError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self._until is not None and time.monotonic() > self._until

    def _run(self) -> None:
        self.error = self._post()
        self.has_ended = True
        self._done()

    def _post(self) -> str | None:
        headers = {"Content-Type": "application/json", "User-Agent": "pydag_dist"}
        try:
            body = self._body()
            self._until = time.monotonic() + self._seconds
            request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  see _opener
            with self._opener().open(request, timeout=self._left()):
                return None  # of an answer only the head is read
        except urllib.error.HTTPError as error:
            error.close()
            return f"status {error.code}"
        except urllib.error.URLError as error:
            return str(error.reason)
        except Exception as error:  # noqa: BLE001  whatever a cut connection raises
            return type(error).__name__  # the texts of these errors may contain the URL

    def _left(self) -> float:
        left = (self._until or 0.0) - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

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

    def _connect(self, address: tuple[str, int], *_options: Any) -> socket.socket:
        """As socket.create_connection, but all of a name's addresses have one time together."""
        error: OSError = OSError("a name without an address")
        for family, kind, protocol, *_, to in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self._left())
                connection.connect(to)
            except OSError as failed:
                connection.close()
                error = failed
            else:
                self._socket = connection
                return connection
        raise error


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
