"""An HTTP server that keeps what is posted to it, as an OTLP or OpenLineage receiver would."""

from __future__ import annotations

from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.support.serving import Serving


class Posted(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Collector(Serving):
    """Answers with `statuses` at first, then with 200; what it took so is in `taken`.

    It keeps connections open, unless it `closes` them after each answer without having said so.
    """

    def __init__(self, statuses: Iterable[int] = (), *, closes: bool = False) -> None:
        self.taken: list[Posted] = []
        self.asked = self.connections = 0
        rest, collector = list(statuses), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                collector.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked += 1
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = rest.pop(0) if rest else 200
                if status == 200:
                    collector.taken.append(Posted(self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.close_connection = closes

            def log_message(self, *_: Any) -> None:
                """Not into the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
