"""The script cache in Redis: each task's copy of its script's text, and of which generation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis

from workers.contract.context import TaskContext


def cached_text(
    context: TaskContext,
    path: str,
    generation: Callable[[], str],
    read: Callable[[], tuple[str, str]],
) -> str:
    """The text of the script `path`: from the cache if the DAG wants one, else `read` and kept.

    `read` returns the text and its generation. A copy serves for as long as the DAG says, unless
    `generation` tells, by a call that moves no text, that the script has changed since.
    Without Redis the script is read: the cache saves time and must cost no task.
    """
    if not context.script_cache:
        return read()[0]
    key = key_of_text(context, path)
    try:
        kept = context.redis.get(key)
    except redis.RedisError as error:
        context.log.warning("the script cache can't be read: %s", error)
        return read()[0]
    if (copy := _copy(kept)) is not None:
        if copy["generation"] == generation():
            context.log.info("script %s from the cache", path)
            return str(copy["text"])
        context.log.info("script %s has changed since it was cached", path)
    text, now = read()
    try:
        # In Redis, EX 0 is an error; pyDag means for ever by it.
        new = json.dumps({"generation": now, "text": text})
        context.redis.set(key, new, ex=context.expire_cache or None)
    except redis.RedisError as error:
        context.log.warning("the script cache can't be written: %s", error)
    return text


def _copy(kept: Any) -> dict[str, str] | None:
    try:
        copy = json.loads(kept or "null")
    except ValueError:
        return None  # an earlier version kept the text alone
    return copy if isinstance(copy, dict) and copy.keys() == {"generation", "text"} else None


def key_of_text(context: TaskContext, path: str) -> str:
    """The key of a task's copy; `/` is in no id."""
    return f"{context.key_prefix}:script:{context.dag_id}/{context.task_id}/{path}"
