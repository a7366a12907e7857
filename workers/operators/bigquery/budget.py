"""A DAG's `budget_bytes`: what its queries have billed in a run, and may yet.

The hash `<prefix>:budget:<run>` has for each task "try:bytes", what that try's query will bill and
later what it did bill, and under "" the sum. Bytes are taken before the query is inserted, by one
script, so that tasks that start together don't spend the same bytes twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.process import settings, until_redis_can

# task, try, bytes, budget or 0, seconds to live -> what others have taken, or -1: taken
_TAKE = """
local key, task, try = KEYS[1], ARGV[1], ARGV[2]
local bytes, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local before = tonumber(string.match(redis.call('HGET', key, task) or '0:0', ':(%d+)$'))
local others = tonumber(redis.call('HGET', key, '') or 0) - before
if budget > 0 and others + bytes > budget then return others end
redis.call('HSET', key, task, try .. ':' .. string.format('%.0f', bytes))
redis.call('HSET', key, '', string.format('%.0f', others + bytes))
redis.call('EXPIRE', key, ARGV[5])
return -1
"""


def take(context: TaskContext, estimate: Callable[[], int]) -> None:
    """Take what this try's query will bill from the budget, once however often it is executed.

    Raises `TaskFailed` if there isn't so much left.
    """
    if context.budget_bytes is None:
        return
    found = until_redis_can(partial(context.redis.hget, _key(context), context.task_id))
    if str(found or "").startswith(f"{context.try_number}:"):
        return  # executed again: its query may have run, and be dry-run no more
    wanted = estimate()
    others = _set(context, wanted, context.budget_bytes)
    if others >= 0:
        raise TaskFailed(
            f"budget_bytes of DAG {context.dag_id} is {context.budget_bytes:,}: its run has billed "
            f"or started {others:,}, and this query would bill {wanted:,}",
            final=True,
        )


def settle(context: TaskContext, billed: int) -> None:
    """Replace what was taken by what this try's query has billed."""
    if context.budget_bytes is not None:
        _set(context, billed, 0)


def _set(context: TaskContext, count: int, budget: int) -> int:
    values = (context.task_id, context.try_number, count, budget, settings().retention)
    take_bytes: Any = partial(context.redis.eval, _TAKE, 1, _key(context), *values)
    return int(until_redis_can(take_bytes))


def _key(context: TaskContext) -> str:
    return f"{context.key_prefix}:budget:{context.run_id}"
