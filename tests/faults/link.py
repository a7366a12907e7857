"""A link to a server that can be cut without a word, as by a firewall or a pulled cable."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Link:
    """Forwards connections from a port of its own to a port on this host.

    After `cut` nothing arrives any more and nothing is closed. `heal` is for new connections only:
    old ones stay as they are, since TCP, which waits twice as long before each try to send what was
    lost, may not find out for minutes that the way is free again.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_cut = False
        self._age = 0
        self._sockets: list[socket.socket] = []

    @property
    def url(self) -> str:
        """As of a Redis."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """Let nothing through."""
        self._is_cut = True
        self._age += 1

    def heal(self, to: int | None = None) -> None:
        """Let new connections through, perhaps to another server."""
        self.to = to or self.to
        self._age += 1
        self._is_cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                if not self._is_cut:
                    self._open(near)

    def _open(self, near: socket.socket) -> None:
        age = self._age
        try:
            far = socket.create_connection(("127.0.0.1", self.to))
        except OSError:
            near.close()
            return
        self._sockets.append(far)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._forward, args=(one, other, age), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, age: int) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if age != self._age:
                    return
                other.sendall(data)
        if age == self._age:
            for each in (one, other):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
