"""The process: it listens until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn

from pydag_dist.errors import PydagError
from pydag_dist.settings import Settings
from pydag_dist.web.app import create_app
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site

BACKLOG = 2048


def serve(settings: Settings, web: WebSettings) -> None:
    """Answer requests until SIGTERM or Ctrl-C."""
    web.check()
    listening = _listen(web.address, web.port)
    port = listening.getsockname()[1]
    host = f"[{web.address}]" if ":" in web.address else web.address
    app = create_app(Site(settings, web))
    config = uvicorn.Config(
        app, log_config=None, proxy_headers=False, server_header=False, access_log=False,
        timeout_graceful_shutdown=3, backlog=BACKLOG,
    )  # fmt: skip
    print(f"listening on http://{host}:{port}{web.prefix}/", flush=True)  # noqa: T201
    uvicorn.Server(config).run(sockets=[listening])


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((address, port))
    except OSError as error:
        raise PydagError(
            f"{address}:{port} can't be listened on ({error.strerror}): give another --port, or "
            "PYDAG_WEB_PORT"
        ) from None
    return found
