"""A link that loses answers: the server has done what it was asked, and the caller never hears."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.faults.link import Link


class LosesAnswers(Link):
    """Forwards, and closes the connection instead of giving each third answer to a call back.

    `word` stands in the calls that this concerns; `lost` counts the answers that did not arrive.
    """

    EVERY = 3

    def __init__(self, to: int, word: bytes) -> None:
        super().__init__(to)
        self.lost = 0
        self._word = word
        self._calls = 0
        self._counting = threading.Lock()

    def _open(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self.to))
        self._sockets.append(far)
        losing = threading.Event()
        threading.Thread(target=self._calls_of, args=(near, far, losing), daemon=True).start()
        threading.Thread(target=self._answers_to, args=(far, near, losing), daemon=True).start()

    def _calls_of(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                if self._word in data:
                    with self._counting:
                        self._calls += 1
                        if self._calls % self.EVERY == 0:
                            losing.set()
                far.sendall(data)
        self._close(near, far)

    def _answers_to(self, far: socket.socket, near: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                if losing.is_set():
                    self.lost += 1
                    break
                near.sendall(data)
        self._close(near, far)

    @staticmethod
    def _close(*sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
