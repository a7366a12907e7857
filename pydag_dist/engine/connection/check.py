"""Which Redis the engine can't live with."""

from __future__ import annotations

from typing import Any

import redis

from pydag_dist.engine.connection.errors import is_refusal, refusal
from pydag_dist.errors import UnsafeRedis

# https://redis.io/docs/latest/develop/reference/eviction/: policies that never evict keys without
# an expiry; ours get one only after their run has ended.
_SAFE = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"})
_OLDEST = 7


def check_redis(client: redis.Redis) -> None:
    """Raises `UnsafeRedis` for an eviction policy or a version that the engine can't live with.

    INFO is asked instead of CONFIG, which hosted Redis often forbids. `RedisRefused` if the URL's
    user must not do it.
    """
    try:
        info: Any = client.info()
    except redis.RedisError as error:
        if is_refusal(error):
            raise refusal(error, client) from None
        raise
    policy = info.get("maxmemory_policy", "noeviction")
    if policy not in _SAFE:
        raise UnsafeRedis(
            f"Redis evicts keys by {policy}, so runs could vanish when memory is short: "
            "set maxmemory-policy noeviction"
        )
    version = str(info["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < _OLDEST:
        raise UnsafeRedis(f"Redis {version} is too old: Redis 7 or Valkey 8 is needed, or newer")
