"""The process: it listens until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from pydag_dist.errors import PydagError
from pydag_dist.settings import Settings, link_file
from pydag_dist.web.app import create_app
from pydag_dist.web.entry.access import LocalKeys
from pydag_dist.web.entry.connections import Connection, allow_many, drop_late
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site

BACKLOG: Final = 2048
LOOK_SECONDS: Final = 1.0
# A DAG of 50,000 tasks is a million objects in no circle, which take twice the time if all are
# looked at as often as usual.
COLLECTED: Final = (50_000, 20, 50)


def serve(settings: Settings, web: WebSettings, on_start: Callable[[str, str], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C.

    `on_start` is told the address, and the one that lets a browser in.
    """
    web.check()
    gc.set_threshold(*COLLECTED)
    listening = listen(web.address, web.port)
    port = listening.getsockname()[1]
    host = f"[{web.address}]" if ":" in web.address else web.address
    keys = LocalKeys(link_file(settings.home, port) if web.mode == "local" else None)
    app = create_app(Site(settings, web), keys)
    config = uvicorn.Config(
        app, log_config=None, proxy_headers=False, server_header=False, access_log=False,
        timeout_graceful_shutdown=3, backlog=BACKLOG, http=Connection, ws="none",
    )  # fmt: skip
    allow_many()
    address = f"http://{host}:{port}{web.prefix}/"
    if web.mode == "local":  # the others write nothing, and may not be able to
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys.listens(address)
    on_start(address, keys.link if web.mode == "local" else address)
    # uvicorn raises the signal that ended it once more, for whoever handled it before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        _Server(config).run(sockets=[listening])
    finally:
        keys.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()  # to end

    async def main_loop(self) -> None:
        """Run until it is told to stop, and close connections that do nothing meanwhile.

        uvicorn looks ten times a second whether it is to end: most of what an idle one does.
        """
        looking = asyncio.create_task(drop_late(self.server_state.connections))
        try:
            while not await self.on_tick(0):  # 0 makes the header Date, too, as every tenth does
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), LOOK_SECONDS)
        finally:
            looking.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal to end, and wake up for that."""
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._told.set)


def links(settings: Settings) -> list[str]:
    """Addresses with a key: of each process with the same home that runs in mode local."""
    found = []
    for file in sorted(settings.home.glob(link_file(settings.home, "*").name)):
        with contextlib.suppress(OSError):
            link = file.read_text("utf-8").strip()
            if _answers(link):
                found.append(link)
    if not found:
        raise PydagError(
            f"no `pydag web` in mode local runs with the home {settings.home}: start one"
        )
    return found


def _answers(link: str) -> bool:
    """Whether somebody listens there: the file of a process that was killed stays."""
    try:
        place = urlsplit(link)
        socket.create_connection((place.hostname or "", place.port or 0), LOOK_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def listen(address: str, port: int) -> socket.socket:
    """A socket that accepts connections there; `PydagError` if that can't be."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol: small answers took 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((address, port))
    except OSError as error:
        raise PydagError(
            f"{address}:{port} can't be listened on ({error.strerror}): give another --port, or "
            "PYDAG_WEB_PORT"
        ) from None
    return found
