"""A way to a local server that can be cut, and is there again at the same port."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

CHUNK = 65_536


class Cuttable:
    """Passes on what it is sent; cut, it closes what is open and lets nobody in."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._accept()

    def cut(self) -> None:
        """Close all that is open; connections are refused from now on."""
        _end(self._listening)
        self._thread.join()
        self._listening.close()
        for each in list(self._open):
            _end(each)

    def heal(self, to: int | None = None) -> None:
        """Let connections in again, perhaps to another server."""
        self._to = to or self._to
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _accept(self) -> None:
        self._thread = threading.Thread(target=self._work, args=(self._listening,))
        self._thread.start()

    def _work(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                target.sendall(data)
        for each in (source, target):
            _end(each)
        self._open.discard(source)
        source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()


def _end(of: socket.socket) -> None:
    """Wake up whoever reads of it, or accepts."""
    with contextlib.suppress(OSError):
        of.shutdown(socket.SHUT_RDWR)
