"""How full and how busy an installation is, in numbers: what metrics tell."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydag_dist.engine.members import read_members
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.store import CLOCK, Role, steady_time

QUEUES: Final = 200  # that are measured; authors name them
_MESSAGE: Final = re.compile(r'"run": ?"([^"*]+)", ?"task": ?"([^"]+)"')


@dataclass
class QueueNumbers:
    """A queue: messages in its list, runs that wait for a slot of it, runs that have it at all.

    `slots` are those of live workers. `oldest` is for how many seconds the task of the next message
    has been ready; None without one.
    """

    messages: int = 0
    waiting_runs: int = 0
    runs: int = 0
    slots: int = 0
    oldest: float | None = None


@dataclass
class Numbers:
    """An installation at one moment. Lags and ages are in seconds, 0 if nothing waits."""

    round_trip: float
    queues: dict[str, QueueNumbers] = field(default_factory=dict)
    workers: int = 0
    coordinators: int = 0
    busy_slots: int = 0
    running: int = 0  # tries that somebody holds
    queued: int = 0
    waiting: int = 0  # retries, polls of remote jobs, and runs' timeouts, until their time comes
    submissions: int = 0
    submissions_lag: float = 0
    history_events: int = 0
    history_lag: float = 0
    webhooks: int = 0
    schedule_lag: float = 0
    lost_leases: int = 0
    log_bytes: int = 0
    memory: int = 0
    memory_limit: int = 0


class Measuring(Role):
    """Numbers of everything that waits, or is under way."""

    def numbers(self) -> Numbers:
        """All of them, in a few round trips; of more than `QUEUES` queues the first by name."""
        began = time.perf_counter()
        whole, micro = self._redis.time()
        found = Numbers(round_trip=time.perf_counter() - began)
        now, key = whole * 1_000_000 + micro, self._key
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(key("clock"), *CLOCK, "lost_leases")
            pipe.smembers(key("queues"))
            pipe.zcard(key("leases"))
            pipe.zcard(key("queued"))
            pipe.zcard(key("timers"))
            pipe.zcard(key("webhooks"))
            pipe.zcount(key("late"), "-inf", now)
            pipe.hget(key("logs"), "")
            pipe.zrange(key("schedules"), 0, 0, withscores=True)
            for stream in ("submissions", "history"):
                pipe.xlen(key(stream))
                pipe.xrange(key(stream), count=1)
            clock, queues, *counts, logs, schedules, waiting, first, late, event = pipe.execute()
        found.running, found.queued, found.waiting, ended, are_late = counts
        found.webhooks = ended + are_late
        found.lost_leases, found.log_bytes = int(clock[3] or 0), int(logs or 0)
        found.schedule_lag = max(0.0, (now - schedules[0][1]) / 1e6) if schedules else 0.0
        found.submissions, found.submissions_lag = waiting, _age(first, now)
        found.history_events, found.history_lag = late, _age(event, now)
        memory = self._redis.info("memory")
        found.memory = int(memory["used_memory"])
        found.memory_limit = int(memory.get("maxmemory", 0))
        found.queues = self._queues(sorted(queues)[:QUEUES], now, steady_time(now, *clock[:3]))
        workers = read_members(self.store, "workers")
        found.workers, found.busy_slots = len(workers), sum(m.busy for m in workers.values())
        found.coordinators = len(read_members(self.store, "coordinators"))
        return found

    def _queues(self, names: list[str], now: int, steady: int) -> dict[str, QueueNumbers]:
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self._key("windows"), [f"runs/{name}" for name in names] or ["-"])
            for name in names:
                pipe.llen(self._key(f"q:{name}"))
                pipe.lindex(self._key(f"q:{name}"), -1)
                pipe.zcard(self._key(f"fair:{name}"))
                pipe.hgetall(self._key(f"slots:{name}"))
            runs, *rest = pipe.execute()
        found, next_ones = {}, {}
        for at, name in enumerate(names):
            messages, message, waiting, slots = rest[4 * at : 4 * at + 4]
            live = _live(slots, steady)
            found[name] = QueueNumbers(messages, waiting, int(runs[at] or 0), live)
            if message and (named := _MESSAGE.search(message)):
                next_ones[name] = named.groups()
        if next_ones:
            with self._redis.pipeline(transaction=False) as pipe:
                for run, task in next_ones.values():
                    pipe.hget(self._run_key(run, "tasks"), task)
                records = pipe.execute()
            for name, packed in zip(next_ones, records, strict=True):
                ready_at = unpack_record(packed).get("ready_at") if packed else ""
                found[name].oldest = max(0.0, (now - int(ready_at)) / 1e6) if ready_at else None
        return found


def _live(slots: Mapping[str, str], steady: int) -> int:
    pairs = (tuple(map(int, kept.split())) for kept in slots.values())
    return sum(count for count, expiry in pairs if expiry > steady)


def _age(first: list[Any], now: int) -> float:
    """Of a stream's first entry, whose id begins with its milliseconds."""
    return max(0.0, now / 1e6 - int(first[0][0].partition("-")[0]) / 1e3) if first else 0.0
