"""All keys of an installation as they are at one time, read by one call."""

from __future__ import annotations

import json
from typing import Any, cast

# A hundred reads for each step of a history were most of what a history costs. The values of
# streams and strings are not told: they are long, and what is the same is seen in the other keys.
DUMP = """
local told = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind = redis.call('TYPE', key).ok
  local value = {}
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1) end
  told[#told + 1] = { key, kind, value }
end
return cjson.encode(told)
"""


class Keys:
    """What Redis would answer; a name is a key without the prefix."""

    def __init__(self, client: Any, prefix: str) -> None:
        told = json.loads(client.eval(DUMP, 0, f"{prefix}:"))
        self._values: dict[str, Any] = {
            key.removeprefix(f"{prefix}:"): self._value(kind, value or [])
            for key, kind, value in told
        }

    @staticmethod
    def _value(kind: str, value: list[str]) -> Any:
        if kind == "hash":
            return dict(zip(value[::2], value[1::2], strict=True))
        if kind == "zset":
            return dict(zip(value[::2], map(float, value[1::2]), strict=True))
        return set(value) if kind == "set" else value

    def hash(self, name: str) -> dict[str, str]:
        """The fields of a hash; none if the key is not there."""
        return cast("dict[str, str]", self._values.get(name, {}))

    def zset(self, name: str) -> dict[str, float]:
        """Member -> score, in the order of Redis."""
        return cast("dict[str, float]", self._values.get(name, {}))

    def set(self, name: str) -> set[str]:
        """The members of a set."""
        return cast("set[str]", self._values.get(name, set()))

    def list(self, name: str) -> list[str]:
        """The elements of a list."""
        return cast("list[str]", self._values.get(name, []))

    def __contains__(self, name: str) -> bool:
        return name in self._values
