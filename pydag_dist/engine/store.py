"""The engine's connection to one installation: its client, its keys, its script, and its clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis

from pydag_dist.dag.ids import is_id
from pydag_dist.engine.protocol import RunPart, Source
from pydag_dist.engine.script import Script
from pydag_dist.errors import UnknownRun

CLOCK: Final = ("ticked", "steady", "lease")  # fields of the hash `clock`
LEASE: Final = 15_000_000  # µs, unless the hash has another one; as in dispatch.lua


class Store:
    """An installation's state in Redis, under one prefix of keys.

    `redis` is a client that decodes responses. `source` is counted for the messages that calls of
    this store push. Threads may share one.
    """

    def __init__(self, client: redis.Redis, prefix: str = "pydag", source: Source = "tick") -> None:
        self.redis: Any = client  # redis-py types replies as awaitable-or-not
        self.prefix = prefix
        self.script = Script(client)
        self._source = source

    def disconnect(self) -> None:
        """Make new connections from now on: where one leads nowhere, the others do, too."""
        self.redis.connection_pool.disconnect()

    def call(self, operation: str, *arguments: str | float) -> Any:
        """Do an operation of the script; its answer. See `Script` for what it raises."""
        return self.script(self.prefix, operation, self._source, *arguments)

    def finish(self, run_id: str, more: int) -> None:
        """Do what is left of a transition that is too big for one call of the script."""
        while more:
            more = self.call("work", run_id)

    def key(self, name: str) -> str:
        """The full name of one of the engine's keys."""
        return f"{self.prefix}:{name}"

    def run_key(self, run_id: str, part: RunPart | None = None) -> str:
        """The full name of one of a run's keys; `UnknownRun` for what can't be a run's id."""
        if not is_id(run_id):
            raise unknown_run(run_id)
        return self.key(f"run:{run_id}" + (f":{part}" if part else ""))


class Role:
    """A part of what can be done with the state in Redis; `Engine` says which parts there are.

    Methods that change the state are one atomic script each. All raise redis-py's errors when
    Redis can't answer.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        # Bound once: they are called for each task.
        self._redis = store.redis
        self._call = store.call
        self._finish = store.finish
        self._key = store.key
        self._run_key = store.run_key


def unknown_run(run_id: str) -> UnknownRun:
    """The error that says that Redis does not have the run."""
    return UnknownRun(
        f"Redis has no run {run_id}: it was never submitted here, or it ended longer ago "
        "than the retention"
    )


def flat(fields: Mapping[str, Any]) -> list[Any]:
    """Names and values in turn."""
    return [part for pair in fields.items() for part in pair]


def whole_answers(replies: list[Any]) -> list[Any]:
    """Answers of a pipeline, None for what a key of a wrong type could not say."""
    for reply in replies:
        if isinstance(reply, redis.RedisError) and "WRONGTYPE" not in str(reply):
            raise reply
    return [None if isinstance(reply, redis.RedisError) else reply for reply in replies]


def steady_time(now: int, ticked: str | None, steady: str | None, lease: str | None = None) -> int:
    """The steady time (see table.lua) when the server's clock is `now`; both in µs.

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
