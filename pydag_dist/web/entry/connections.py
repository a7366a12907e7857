"""Connections that do nothing are closed: heads and bodies that drip, and who never reads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import time
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEAD_SECONDS: Final = 15.0  # from the connection, or the last answer, to a whole head of a request
BODY_SECONDS: Final = 60.0  # from the head to the end of its body
READ_SECONDS: Final = 60.0  # without a byte that the other side has taken
LOOK_SECONDS: Final = 1.0
SPARED_FILES: Final = 100  # of this process's, for Redis, the database and the interface
WANTED_FILES: Final = 10_000


class Connection(H11Protocol):
    """A connection that knows since when it waits for the other side."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._since = self._stuck_at = time.monotonic()
        self._asked: object = None
        app = self.app

        async def wired(scope: Scope, receive: Receive, send: Send) -> None:
            scope["wire"] = self  # for what is told to many at once: see `live.viewer.Wire`
            await app(scope, receive, send)

        self.app = wired

    def tell(self, chunk: bytes) -> bool:
        """Write a chunk of the answer that is being sent; False if the other side is too slow."""
        if self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write(chunk)
        return True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse it at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()

    def pause_writing(self) -> None:
        """Note since when the other side does not read."""
        self._stuck_at = time.monotonic()
        super().pause_writing()

    def late(self, now: float) -> bool:
        """Whether the other side has let this one wait for too long."""
        cycle = self.cycle
        if cycle is not self._asked:
            self._asked, self._since = cycle, now
        if self.flow.write_paused:
            return now - self._stuck_at > READ_SECONDS
        if cycle is not None and not cycle.response_complete:
            return bool(cycle.more_body) and now - self._since > BODY_SECONDS
        return now - self._since > HEAD_SECONDS

    def on_response_complete(self) -> None:
        """Wait for the next request's head from now."""
        self._since, self._asked = time.monotonic(), self.cycle
        super().on_response_complete()

    def drop(self) -> None:
        """Close it, and forget what was not sent."""
        self.transport.abort()


def most_connections() -> int:
    """So many that files are left for everything else."""
    return max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARED_FILES)


def allow_many() -> None:
    """Let this process have as many files as it may, up to what is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def drop_late(connections: set[Any]) -> None:
    """Look at all connections again and again, for as long as the process runs."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = time.monotonic()
        dropped = [each for each in connections if isinstance(each, Connection) and each.late(now)]
        for each in dropped:
            each.drop()
        if dropped:
            log.info("%d connections were closed: they waited for the other side", len(dropped))
