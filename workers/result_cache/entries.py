"""`cache: "inputs"`: the result of an earlier run is used again while its inputs are the same.

`<prefix>:cache:<digest>` keeps an entry for each operator, text and params: the versions of what
was read before the run, and of what was written after it. All of them must still be the same.

`<prefix>:cache-of:<run>:<task>:<try>` keeps what a try that runs has read. It is made before the
try's effect and never changed, so whoever executes the try again, perhaps after its job has ended,
can't take later inputs, or the try's own effect, for what it started from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from workers import time_limit
from workers.contract.context import TaskContext
from workers.contract.operator import Operator
from workers.errors import TaskFailed
from workers.process import until_redis_can
from workers.result_cache.cached_operator import CachedOperator, NotCached, Version

_FORMAT = 1  # of entries: those of another one are not found
_LARGEST = 60_000  # bytes of a result as JSON: what is added must find room
_STARTED = 7 * 86400  # seconds that it is known what a try has read
_KNOWN = 3600  # seconds that it is still known after the try has ended
_LOOK = 10.0  # seconds for looking at what was written
_SLACK = 1.0  # seconds between a job's end and the last change that it made

_SHOWN = 5  # names


def cached_result(context: TaskContext, operator: Operator) -> dict[str, Any] | None:
    """The result of an earlier run that can be used again; None if the task has to run."""
    if context.cache_seconds is None:
        return None
    started = _key_of_try(context)
    if until_redis_can(partial(context.redis.exists, started)):
        return None  # executed again: this try has begun its work
    note: dict[str, Any] = {}
    try:
        inputs = _cached_operator(context, operator).inputs(context)
        note = {
            "key": _key(context, inputs.about),
            "reads": _states(inputs.reads),
            "writes": list(inputs.writes),
        }
        if result := _unchanged(context, operator, note):
            return result
    except (NotCached, TaskFailed) as why:
        context.log.info("not cached: %s", why)
        note = {}
    except Exception as error:  # noqa: BLE001  the task itself may well succeed
        context.log.warning("not cached: %s: %s", type(error).__name__, error)
        note = {}
    # If this stays unknown, so it must when the try is executed again.
    until_redis_can(
        partial(context.redis.set, started, json.dumps(note), nx=True, ex=_lifetime(context))
    )
    return None


def keep_result(context: TaskContext, operator: Operator, result: str) -> None:
    """Keep the result of a try that ran, JSON; what goes wrong is only logged."""
    if context.cache_seconds is None:
        return
    started = _key_of_try(context)
    text: Any = until_redis_can(partial(context.redis.get, started))
    until_redis_can(partial(context.redis.expire, started, _KNOWN))
    note = json.loads(text or "{}")
    if not note:
        return
    try:
        # Who polls many has less time, and others wait for it.
        with time_limit.limited(min(_LOOK, time_limit.of_call())):
            written = _written(context, operator, note["writes"], result)
    except Exception as why:  # noqa: BLE001  the task has succeeded, whatever comes
        context.log.warning("its result is not kept: %s", why)
        return
    entry = {
        "run": context.run_id,
        "versions": note["reads"] | _states(written),
        "result": json.loads(result),
    }
    seconds = max(1, round(context.cache_seconds))
    until_redis_can(partial(context.redis.set, note["key"], json.dumps(entry), ex=seconds))


def _unchanged(
    context: TaskContext, operator: Operator, note: Mapping[str, Any]
) -> dict[str, Any] | None:
    text: Any = until_redis_can(partial(context.redis.get, note["key"]))
    if text is None:
        context.log.info("nothing is cached of it")
        return None
    entry = json.loads(text)
    written = _cached_operator(context, operator).written(context, note["writes"])
    now, then = note["reads"] | _states(written), entry["versions"]
    changed = sorted(name for name in now.keys() | then if now.get(name) != then.get(name))
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        names = ", ".join(changed[:_SHOWN])
        context.log.info("changed since run %s: %s%s", entry["run"], names, more)
        return None
    context.log.info("nothing that it reads or writes has changed since run %s", entry["run"])
    result = {**entry["result"], "cached_from": entry["run"]}
    if "bytes_billed" in result:
        result["bytes_billed"] = 0  # of this run
    return result


def _written(
    context: TaskContext, operator: Operator, names: list[str], result: str
) -> dict[str, Version]:
    if len(result) > _LARGEST or not isinstance(json.loads(result or "null"), dict):
        raise NotCached("it is too long, or no object")
    cached = _cached_operator(context, operator)
    ended = cached.ended_at(context)
    written = cached.written(context, names)
    for name in names:
        if name not in written:
            raise NotCached(f"{name} is not there")
        if ended is not None and written[name].changed > ended + _SLACK:
            raise NotCached(f"{name} was changed by others since")
    return written


def _cached_operator(context: TaskContext, operator: Operator) -> CachedOperator:
    if not isinstance(operator, CachedOperator):
        raise NotCached(f"operator {context.operator} does not tell what it reads")
    return operator


def _states(versions: Mapping[str, Version]) -> dict[str, str]:
    return {name: version.state for name, version in versions.items()}


def _lifetime(context: TaskContext) -> int:
    return max(_STARTED, round(context.cache_seconds or 0))


def _key(context: TaskContext, about: Mapping[str, Any]) -> str:
    what = json.dumps([_FORMAT, context.operator, about], sort_keys=True)
    return f"{context.key_prefix}:cache:{hashlib.sha256(what.encode()).hexdigest()}"


def _key_of_try(context: TaskContext) -> str:
    return f"{context.key_prefix}:cache-of:{context.run_id}:{context.task_id}:{context.try_number}"
