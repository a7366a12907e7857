"""What many viewers follow: frames that are made once, kept for a while, and counted."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic_core import to_json

from pydag_dist.web.live.viewer import Batch, Viewer

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
        self.telling_seconds = 0.0  # that the last batch of frames took, for all viewers
        self.left_at = time.monotonic()
        self.is_over = False
        self.is_failing = False
        self.lock = threading.Lock()
        self._ring: deque[bytes] = deque()
        self._bytes = 0
        self._first = 0  # number of the first frame of the ring
        self._viewers: dict[asyncio.AbstractEventLoop, dict[Viewer, None]] = {}

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
        return not self._viewers and time.monotonic() - self.left_at > LINGER_SECONDS

    def touch(self) -> None:
        """Somebody is about to look on."""
        with self.lock:
            self.left_at = time.monotonic()

    @contextlib.contextmanager
    def watched_by(self, viewer: Viewer) -> Iterator[None]:
        """Tell a viewer what is new, for as long as this lasts."""
        with self.lock:
            self._viewers.setdefault(viewer.loop, {})[viewer] = None
        try:
            yield
        finally:
            with self.lock:
                del self._viewers[viewer.loop][viewer]
                if not self._viewers[viewer.loop]:
                    del self._viewers[viewer.loop]
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
        """Tell all viewers, each in its event loop."""
        with self.lock:
            loops = list(self._viewers)
        for loop in loops:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(self._tell_viewers, loop)

    def _tell_viewers(self, loop: asyncio.AbstractEventLoop) -> None:
        began = time.thread_time()
        batches: dict[int, Batch] = {}

        def batch_from(place: int) -> Batch:
            if place not in batches:
                batches[place] = self._batch(place)
            return batches[place]

        for viewer in list(self._viewers.get(loop, ())):
            viewer.told(batch_from)
        self.telling_seconds = time.thread_time() - began

    def _batch(self, place: int) -> Batch:
        """A chunk of a body with the frames from there on, and the place after them.

        None if each viewer has to see for itself what to do.
        """
        frames = None if self.is_over else self.after(place)
        if frames is None:
            return None
        end = place + len(frames)
        return chunk(with_id(frames, f"{self.id}-{end}")) if frames else b"", end

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


def with_id(frames: Sequence[bytes], number: str) -> bytes:
    """Frames that are sent together: the id is the last thing that a viewer learns of them."""
    return b"".join([*frames[:-1], b"id: ", number.encode(), b"\n", frames[-1]])


def chunk(content: bytes) -> bytes:
    """A chunk of a body, as HTTP/1.1 has it."""
    return b"%x\r\n%s\r\n" % (len(content), content)
