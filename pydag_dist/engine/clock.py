"""The engine's steady time, which goes on only while Redis does: see table.lua."""

from __future__ import annotations

from typing import Final

from pydag_dist.engine.store import Store

MAX_GAP: Final = 4_000_000  # µs; as in table.lua


def steady_time(now: int, ticked: str | None, steady: str | None) -> int:
    """The steady time when the server's clock is `now`; both in µs.

    `ticked` and `steady` are the fields of the hash `clock`.
    """
    if ticked is None or steady is None:
        return now
    return int(steady) + max(0, min(now - int(ticked), MAX_GAP))


def read_times(store: Store) -> tuple[int, int]:
    """The server's time and the steady time, in µs."""
    seconds, microseconds = store.redis.time()
    clock = store.redis.hmget(store.key("clock"), "ticked", "steady")
    now = seconds * 1_000_000 + microseconds
    return now, steady_time(now, *clock)
