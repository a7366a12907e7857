"""Running the embedded installation in this process until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pydag_dist.local.home import Home
from pydag_dist.local.ports import Ports, past_proxies
from pydag_dist.local.seed import example_dir
from pydag_dist.local.stack import Stack

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.5
EXAMPLE_ROWS = 10_000


class Stopped(Exception):
    """Somebody asked this process to stop."""


class StopRequest:
    """Whether Ctrl-C was pressed, SIGTERM came, or the terminal was closed."""

    def __init__(self) -> None:
        self._asked = False
        # A handler may interrupt the wait where an Event holds its lock, and then hang.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def check(self) -> None:
        """Raise `Stopped` if it was asked for."""
        if self._asked:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Return after that time, or raise `Stopped` as soon as it is asked for."""
        self.check()
        with contextlib.suppress(queue.Empty):
            self._signals.get(timeout=seconds)
        self.check()

    def note(self, signal_number: int, frame: FrameType | None) -> None:
        """Take note of a signal, at once the second time; a handler for `signal.signal`."""
        del frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._signals.put(signal_number)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Inside, a signal to stop is only noted: whatever stands half done can be undone in order.

    The second one is a `KeyboardInterrupt`.
    """
    request = StopRequest()
    before = {number: signal.signal(number, request.note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running(
    home: Home, ports: Ports, request: StopRequest, *, fresh: bool = False
) -> Iterator[Stack]:
    """The embedded installation, healthy; it is stopped at the end, whatever happens inside.

    `fresh` forgets what was in the home before.
    """
    os.environ |= past_proxies()  # this process asks the parts, too
    with home.locked():
        if fresh:
            home.clear()
        stack = Stack(home, ports, forks=True)
        try:
            stack.start(request.check)
            yield stack
        finally:
            stack.stop()


def seed_once(stack: Stack, request: StopRequest) -> None:
    """Upload the example pipeline's scripts and data, unless this home had them before."""
    done = stack.home.path / "seeded"
    if not done.exists():
        stack.seed(example_dir(), EXAMPLE_ROWS, request.check)
        done.touch()


def supervise(stack: Stack, request: StopRequest) -> None:
    """Return never: raises `Stopped` when asked to, `LocalServiceError` when a part has died."""
    while True:
        stack.check()
        request.wait(LOOK_SECONDS)
