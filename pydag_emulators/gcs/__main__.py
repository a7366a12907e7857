"""`python -m pydag_emulators.gcs`: serve until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from pydag_dist.errors import LocalServiceError
from pydag_emulators.gcs.app import create_app

_GRACE_SECONDS = 3


class _Server(uvicorn.Server):
    """Announces itself on stdout once it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"listening on {host}:{port}", flush=True)  # noqa: T201


def main() -> int:
    """Serve until SIGTERM or SIGINT; both end with status 0."""
    parser = argparse.ArgumentParser(
        prog="python -m pydag_emulators.gcs", description="A local Cloud Storage."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses one")
    parser.add_argument("--root", type=Path, required=True, help="directory of the buckets")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments))
    except (LocalServiceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    listener = socket.create_server((arguments.host, arguments.port), backlog=2048)
    # Without it every answer waits 40 ms for the client's acknowledgement of its first packet.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_app(arguments.root),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    # serve() would install its own handlers, and end by the signal instead of with status 0.
    await server._serve(sockets=[listener])  # noqa: SLF001


if __name__ == "__main__":
    sys.exit(main())
