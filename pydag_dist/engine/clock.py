"""The engine's steady time, which goes on only while Redis does: see table.lua."""

from __future__ import annotations

from typing import Final

from pydag_dist.engine.store import Store

CLOCK: Final = ("ticked", "steady", "lease")  # fields of the hash `clock`
LEASE: Final = 15_000_000  # µs, unless the hash has another one; as in dispatch.lua


def steady_time(now: int, ticked: str | None, steady: str | None, lease: str | None = None) -> int:
    """The steady time when the server's clock is `now`; both in µs.

    The others are the fields `CLOCK`.
    """
    if ticked is None or steady is None:
        return now
    most = int(lease or LEASE) * 4 // 15  # `max_gap` of table.lua
    return int(steady) + max(0, min(now - int(ticked), most))


def read_times(store: Store) -> tuple[int, int, int]:
    """The server's time, the steady time and the installation's lease, in µs."""
    seconds, microseconds = store.redis.time()
    clock = store.redis.hmget(store.key("clock"), *CLOCK)
    now = seconds * 1_000_000 + microseconds
    return now, steady_time(now, *clock), int(clock[2] or LEASE)
