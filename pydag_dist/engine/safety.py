"""Which Redis the engine refuses, and which of its errors pass."""

from __future__ import annotations

from typing import Any

import redis

from pydag_dist.errors import UnsafeRedis

# https://redis.io/docs/latest/develop/reference/eviction/: policies that never evict keys without
# an expiry; ours get one only after their run has ended.
_SAFE = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"})
_OLDEST = 7


def check_redis(client: redis.Redis) -> None:
    """Raises `UnsafeRedis` for an eviction policy or a version that the engine can't live with.

    INFO is asked instead of CONFIG, which hosted Redis often forbids.
    """
    info: Any = client.info()
    policy = info.get("maxmemory_policy", "noeviction")
    if policy not in _SAFE:
        raise UnsafeRedis(
            f"Redis evicts keys by {policy}, so runs could vanish when memory is short: "
            "set maxmemory-policy noeviction"
        )
    version = str(info["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < _OLDEST:
        raise UnsafeRedis(f"Redis {version} is too old: Redis 7 or Valkey 8 is needed, or newer")


# What Redis answers while it can't do what it is asked, and will be able to later; MISCONF: its
# disk is full.
_PASSING = ("BUSY", "MISCONF", "NOREPLICAS")
_PASSING_ERRORS = (
    redis.ConnectionError,  # also while it loads its file
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    redis.exceptions.ClusterDownError,  # also a replica without its primary
)


def is_passing(error: redis.RedisError) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, _PASSING_ERRORS):
        return not isinstance(error, redis.AuthenticationError)
    return str(error).startswith(_PASSING)
