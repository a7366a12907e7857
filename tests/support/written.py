"""What each operation of the engine writes, noted while it runs, and the keys that there are."""

from __future__ import annotations

import functools
import re
from typing import Any

from tests.support.states import TABLE

NOTED = "noted"  # a set of "operation key", of an engine with the prefix p

_CALL = "  call = redis.call\n"
_NOTING = """
  call = function(command, ...)
    local keys = READS[command] and 0 or OF_MANY[command] and select('#', ...) or 1
    for i = 1, keys do
      local name = OPERATION .. ' ' .. (select(i, ...))
      if not KNOWN[name] then
        KNOWN[name] = true
        redis.call('SADD', 'noted', name)
      end
    end
    return redis.call(command, ...)
  end
"""
_READS = (  # and INCR, by which tests have a clock of their own
    "TIME GET HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSCAN EXISTS TTL LLEN LRANGE SCARD "
    "SISMEMBER SMEMBERS SRANDMEMBER ZCARD ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYSCORE "
    "ZLEXCOUNT ZSCORE XRANGE INCR"
)


def noting(code: str) -> str:
    """The engine's source, made to note what it writes; each key of an operation once."""
    reads = ", ".join(f"{name} = true" for name in _READS.split())
    assert _CALL in code
    code = code.replace(_CALL, _NOTING)
    perform = "local function perform(arguments)\n"
    assert perform in code
    code = code.replace(perform, f"{perform}  OPERATION = arguments[2]\n")
    tables = f"{{ {reads} }}, {{ UNLINK = true, DEL = true, RENAME = true }}, {{}}, 'none'"
    return f"local READS, OF_MANY, KNOWN, OPERATION = {tables}\n{code}"


@functools.cache
def patterns() -> dict[str, re.Pattern[str]]:
    """Key as the table of table.lua writes it -> what its names match, without the prefix."""
    text = TABLE.read_text(encoding="utf-8")
    rows = text.partition("\n-- KEYS ")[2].partition("\n--\n")[0]
    names = re.findall(r"^--   (\S+) +(?:string|hash|zset|set|list|stream) ", rows, re.MULTILINE)
    assert len(names) == len(set(names)) > 40
    # A queue "QUEUE!needs" and a worker may have colons in their names.
    with_colons = {name: re.sub(r"QUEUE|WORKER", ".+", re.escape(name)) for name in names}
    return {name: re.compile(re.sub(r"[A-Z]+", "[^:]+", p)) for name, p in with_colons.items()}


@functools.cache
def table_name(key: str) -> str:
    """The key as the table of keys writes it; "" if the table does not have it."""
    found = [n for n, pattern in patterns().items() if pattern.fullmatch(key.removeprefix("p:"))]
    return min(found, key=lambda name: (len(re.findall(r"[A-Z]+", name)), -len(name)), default="")


def written(client: Any) -> set[tuple[str, str]]:
    """Operations and the keys that they wrote, as the table of keys has them."""
    pairs = (name.split(" ", 1) for name in client.smembers(NOTED))
    return {(operation, table_name(key) or key) for operation, key in pairs}
