"""`pydag web` behind a real socket, in a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from tests.support.web import Web


@contextlib.contextmanager
def served(web: Web) -> Iterator[str]:
    """Its address while it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(web.app, log_config=None, access_log=False)
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{web.site.web.prefix}"
        finally:
            server.should_exit = True
            thread.join()
