"""One who looks on: where that one is in what is told, and how it learns that there is more."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

Batch = tuple[bytes, int] | None


class Wire(Protocol):
    """A connection that can be written to without a task of its own."""

    def tell(self, chunk: bytes) -> bool:
        """Send it; False, and nothing is sent, if the other side does not keep up."""


class Viewer:
    """Used by its event loop only. `place` is the number of the next frame that it gets.

    While it waits, what is new is written to its `wire`, if it has one: for all viewers of a topic
    in one go, and the bytes are made once.
    """

    def __init__(self, place: int | None, wire: Wire | None) -> None:
        self.place = place
        self.said_at = time.monotonic()
        self.loop = asyncio.get_running_loop()
        self._wire = wire
        self._news = asyncio.Event()
        self._waits = False

    def told(self, batch_from: Callable[[int], Batch]) -> None:
        """There are more frames; `batch_from` makes of those from a place on what a wire gets."""
        if self._waits and self._wire and self.place is not None:
            batch = batch_from(self.place)
            if batch and (not batch[0] or self._wire.tell(batch[0])):
                self.place = batch[1]
                self.said_at = time.monotonic()
                return
        self._news.set()

    async def wait(self, has_news: Callable[[], bool], seconds: float) -> None:
        """Return when there is what `told` could not tell, or after that time."""
        self._news.clear()
        if has_news():
            return
        self._waits = True
        try:
            # `wait_for` would make a task each time.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        finally:
            self._waits = False
