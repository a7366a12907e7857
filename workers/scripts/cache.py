"""The script cache in Redis: each task's copy of its script's text."""

from __future__ import annotations

from collections.abc import Callable

import redis

from workers.operators.base import TaskContext


def cached(context: TaskContext, path: str, read: Callable[[], str]) -> str:
    """The text of the script `path`: from the cache if the DAG wants one, else `read` and kept.

    Without Redis the script is read: the cache saves time and must cost no task.
    """
    if not context.script_cache:
        return read()
    key = cache_key(context, path)
    try:
        text = context.redis.get(key)
    except redis.RedisError as error:
        context.log.warning("the script cache can't be read: %s", error)
        return read()
    if text is not None:
        context.log.info("script %s from the cache", path)
        return str(text)
    fresh = read()
    try:
        # In Redis, EX 0 is an error; pyDag means for ever by it.
        context.redis.set(key, fresh, ex=context.expire_cache or None)
    except redis.RedisError as error:
        context.log.warning("the script cache can't be written: %s", error)
    return fresh


def cache_key(context: TaskContext, path: str) -> str:
    """The key of a task's copy; `/` is in no id."""
    return f"{context.key_prefix}:script:{context.dag_id}/{context.task_id}/{path}"
