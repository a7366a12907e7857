"""How long a remote service is asked again while it does not answer.

A try that runs has minutes. Who asks for many tries at once, or cancels a job, has less: it says so
around its calls, and they all share that time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

CALL = 300.0  # seconds in which one call is tried again

# Until when, and how long a call; of the process, which does one thing at a time. Threads share it.
_limit: tuple[float, float] | None = None


@contextlib.contextmanager
def limited(seconds: float, *, call: float = 10.0) -> Iterator[None]:
    """All calls in here have `seconds` together, each of them `call` seconds at most."""
    global _limit  # noqa: PLW0603  calls are made far below, by operators of other packages, too
    before, _limit = _limit, (time.monotonic() + seconds, call)
    try:
        yield
    finally:
        _limit = before


def is_out() -> bool:
    """Whether the time is over, so that no further call should begin."""
    return _limit is not None and time.monotonic() >= _limit[0]


def of_call() -> float:
    """Seconds that a call may take with all its repetitions."""
    if _limit is None:
        return CALL
    until, call = _limit
    return max(0.0, min(call, until - time.monotonic()))


def of_attempt(longest: float) -> float:
    """Seconds of one attempt at it, `longest` at most: there must be time for another."""
    return max(1.0, min(longest, of_call() / 2))
