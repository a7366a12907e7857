"""One call to a receiver, which ends in time whatever the receiver does."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Call(ABC):
    """A call in a thread of its own, which `stop` ends.

    Only the look-up of a host's name goes on after that, for as long as the resolver takes.
    """

    def __init__(self, body: Callable[[], bytes], done: Callable[[], None]) -> None:
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
        try:
            body = self._body()
            self._until = time.monotonic() + self._seconds
            self.error = self._call(body)
        except Exception as error:  # noqa: BLE001  whatever a cut connection raises
            self.error = type(error).__name__  # the texts of these errors may contain secrets
        if self._socket is not None:
            self._socket.close()
        self.has_ended = True
        self._done()

    @abstractmethod
    def _call(self, body: bytes) -> str | None:
        """Make the call; why the receiver did not take it."""

    def _left(self) -> float:
        left = (self._until or 0.0) - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

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
                # A second one of the same connection: TLS takes the first one away.
                self._socket = connection.dup()
                return connection
        raise error
