"""What many viewers follow: frames that are made once, kept for a while, and counted."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from pydantic_core import to_json

RING_FRAMES: Final = 2_000
RING_BYTES: Final = 4_000_000
LINGER_SECONDS: Final = 30.0  # that a topic is kept without viewers, who may come back


def frame(kind: str, content: Any) -> bytes:
    """A frame without its id."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), to_json(content))


class Topic(ABC):
    """Frames in their order. One thread writes, event loops read.

    A frame's place is its number; `id` tells a place of this topic from one of another process.
    """

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self.viewers = 0
        self.left_at = time.monotonic()
        self.is_over = False
        self.is_failing = False
        self.lock = threading.Lock()
        self._ring: deque[bytes] = deque()
        self._bytes = 0
        self._first = 0  # number of the first frame of the ring
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @abstractmethod
    def snapshot(self) -> bytes:
        """A frame with all that there is now; called with the lock."""

    @property
    def end(self) -> int:
        """The number that the next frame gets."""
        return self._first + len(self._ring)

    @property
    def is_idle(self) -> bool:
        """Whether nobody looks on, and nobody has for a while."""
        return not self.viewers and time.monotonic() - self.left_at > LINGER_SECONDS

    def touch(self) -> None:
        """Somebody is about to look on."""
        with self.lock:
            self.left_at = time.monotonic()

    def come(self) -> None:
        """Somebody looks on from now."""
        with self.lock:
            self.viewers += 1

    def go(self) -> None:
        """Somebody doesn't any more."""
        with self.lock:
            self.viewers -= 1
            self.left_at = time.monotonic()

    def add(self, *frames: bytes) -> None:
        """Append frames; called with the lock."""
        for one in frames:
            self._ring.append(one)
            self._bytes += len(one)
        while len(self._ring) > RING_FRAMES or (self._bytes > RING_BYTES and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft())
            self._first += 1

    def wake(self) -> None:
        """Tell all who wait; they may be of several event loops."""
        with self.lock:
            waiting, self._waiting = self._waiting, {}
        of_loops: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        for event, loop in waiting.items():
            of_loops.setdefault(loop, []).append(event)
        for loop, events in of_loops.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(_set, events)

    def after(self, place: int) -> list[bytes] | None:
        """The frames from that number on; None if they are not all there any more."""
        with self.lock:
            if not self._first <= place <= self.end:
                return None
            return [self._ring[at - self._first] for at in range(place, self.end)]

    def all_now(self) -> tuple[bytes, int]:
        """A snapshot, and the number of the first frame that comes after it."""
        with self.lock:
            return self.snapshot(), self.end

    def place_of(self, event_id: str) -> int | None:
        """The number of the first frame that a viewer with that id has not, if it is there."""
        topic, _, number = event_id.partition("-")
        if topic != self.id or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        place = int(number)
        with self.lock:
            return place if self._first <= place <= self.end else None

    async def wait(self, place: int, seconds: float) -> None:
        """Return when there is a frame of that number, or after that time."""
        event = asyncio.Event()
        with self.lock:
            if place < self.end or self.is_over:
                return
            self._waiting[event] = asyncio.get_running_loop()
        try:
            # `wait_for` would make a task for each viewer and frame.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        finally:
            with self.lock:
                self._waiting.pop(event, None)


def _set(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()
