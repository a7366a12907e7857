"""An HTTP server that takes webhooks, or refuses the first ones."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.serving import Serving


class Receiver(Serving):
    """Takes POSTs of JSON at its `url`: answers with `statuses` at first, then with 200.

    The status 0 is an answer that never ends. `taken` are the messages that it took, `paths`
    those of all requests. Each answer waits so many seconds. With `certificates` it speaks TLS.
    """

    def __init__(
        self,
        statuses: tuple[int, ...] = (),
        wait: float = 0,
        certificates: Path | None = None,
    ) -> None:
        self._closed = threading.Event()
        self.taken: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._statuses = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver._statuses.pop(0) if receiver._statuses else 200
                if status == 200:
                    receiver.taken.append(message)
                receiver.paths.append(self.path)
                receiver._closed.wait(wait)
                if status == 0:
                    self._drip()
                    return
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _drip(self) -> None:
                with contextlib.suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drips: ")
                    while not receiver._closed.wait(0.02):
                        self.wfile.write(b".")

            def log_message(self, *_: object) -> None:
                """Not into the tests' output."""

        # On all addresses of this host: to who calls, each is a receiver of its own.
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        if certificates:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificates else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def let_go(self) -> None:
        """End the answers that would not end."""
        self._closed.set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        super().__exit__(kind, error, trace)
