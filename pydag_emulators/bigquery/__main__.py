"""`python -m pydag_emulators.bigquery`: serve until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
from pathlib import Path

import uvicorn

from pydag_emulators.bigquery.app import create_app

_GRACE_SECONDS = 3


class _Server(uvicorn.Server):
    """Announces itself on stdout once it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"listening on {host}:{port}", flush=True)  # noqa: T201


def main() -> None:
    """Parse the command line, serve, end with status 0 on SIGTERM and SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m pydag_emulators.bigquery", description="A local BigQuery."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses one")
    parser.add_argument("--data", type=Path, required=True, help="where tables and jobs live")
    parser.add_argument(
        "--gcs-root", type=Path, required=True, help="gs://bucket/object is a file in it"
    )
    parser.add_argument("--gcs-url", help="accepted, not used: objects are read as files")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    listener = socket.create_server((arguments.host, arguments.port), backlog=2048)
    # asyncio sets it only on sockets that name their protocol; without it every answer waits
    # 40 ms for the client's acknowledgement of its first packet.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_app(arguments.data, arguments.gcs_root),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    # serve() would install its own handlers, and end by the signal instead of with status 0.
    await server._serve(sockets=[listener])  # noqa: SLF001


if __name__ == "__main__":
    main()
