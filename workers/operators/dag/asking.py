"""What operators ask the engine for: its roles, and what it means if Redis can't answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis

from pydag_dist.engine import Engine, is_transient
from workers.contract.context import TaskContext
from workers.errors import RemoteStateUnknown


def engine_of(context: TaskContext) -> Engine:
    """The engine of the worker that lends the context."""
    return Engine(context.redis, context.key_prefix)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """What Redis can't say is unknown; it says nothing of a run."""
    try:
        yield
    except redis.RedisError as error:
        raise RemoteStateUnknown(
            f"Redis can't tell it now: {error}", lasting=not is_transient(error)
        ) from error
