"""How long a remote service is asked again while it does not answer.

A try that runs has minutes. Who asks for many tries at once, or cancels a job, has less: it says so
around its calls, and they all share that time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

CALL = 300.0  # seconds in which one call is tried again

_CALL_OF_MANY = 10.0  # seconds of one call of those who share their time

# Of the process, which does one thing at a time; its threads share it.
_until: float | None = None


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """All calls in here have `seconds` together, and none more than ten."""
    global _until  # noqa: PLW0603  calls are made far below, by operators of other packages, too
    before, _until = _until, time.monotonic() + seconds
    try:
        yield
    finally:
        _until = before


def is_out() -> bool:
    """Whether the time is over, so that no further call should begin."""
    return _until is not None and time.monotonic() >= _until


def of_call() -> float:
    """Seconds that a call may take with all its repetitions."""
    if _until is None:
        return CALL
    return max(0.0, min(_CALL_OF_MANY, _until - time.monotonic()))
