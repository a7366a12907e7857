"""The time limit of calls of remote services, with all their repetitions.

One call of a try that holds a slot may be repeated for minutes. A poll of many tries and the
cancelling of a job have less time: they put `limited` around their calls, which share that time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

CALL = 300.0  # seconds in which one call is tried again

# When the time ends, by the monotonic clock, and the seconds of one call at most. There is one
# limit in a process, which does one thing at a time; its threads share it.
_limit: tuple[float, float] | None = None


@contextlib.contextmanager
def limited(seconds: float, *, call: float = 10.0) -> Iterator[None]:
    """In this block all calls have `seconds` together, and each of them `call` seconds at most."""
    global _limit  # noqa: PLW0603  calls are made far below, by operators of other packages, too
    before, _limit = _limit, (time.monotonic() + seconds, call)
    try:
        yield
    finally:
        _limit = before


def is_out() -> bool:
    """Whether the time is over: no further call should begin then."""
    return _limit is not None and time.monotonic() >= _limit[0]


def of_call() -> float:
    """Seconds that a call may take with all its repetitions."""
    if _limit is None:
        return CALL
    until, call = _limit
    return max(0.0, min(call, until - time.monotonic()))


def of_attempt(longest: float) -> float:
    """Seconds of one attempt at a call, at most `longest`: there must be time for a second one."""
    return max(1.0, min(longest, of_call() / 2))
