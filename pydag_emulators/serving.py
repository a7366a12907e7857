"""The process of an emulator: its options, how it says that it answers, and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pydag_emulators.errors import CannotStart

_GRACE_SECONDS = 3
_DATE_SECONDS = 1  # between two looks at the clock


def options(emulator: str, service: str, *, data: str) -> argparse.ArgumentParser:
    """A parser of the options of all emulators; `data` says what the data directory holds."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pydag_emulators.{emulator}",
        description=f"A local {service}. It serves until SIGTERM or SIGINT.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses a free one")
    parser.add_argument("--data", type=Path, required=True, help=f"the directory of {data}")
    return parser


def run(serve: Callable[[], None]) -> int:
    """Serve; the exit status: 0 after a signal to end, 1 with a line on stderr that says why."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve()
    except (CannotStart, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def announce(host: str, port: int) -> None:
    """Say on stdout that requests are answered from now on."""
    sys.stdout.write(f"listening on {host}:{port}\n")
    sys.stdout.flush()


def serve_http(app: ASGIApp, host: str, port: int) -> None:
    """Answer HTTP requests until SIGTERM or SIGINT."""
    asyncio.run(_serve_http(app, host, port))


async def _serve_http(app: ASGIApp, host: str, port: int) -> None:
    listener = socket.create_server((host, port), backlog=2048)
    # Without this, every answer waits 40 ms for the client's acknowledgement of its first packet.
    # asyncio sets it only on sockets that name their protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    # serve() would install its own handlers, and end by the signal instead of with status 0.
    await server._serve(sockets=[listener])  # noqa: SLF001


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        # uvicorn looks ten times a second, which is most of what an idle emulator does.
        while not await self.on_tick(0):  # 0 makes the header Date, too, as every tenth does
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _DATE_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            announce(*sockets[0].getsockname()[:2])
