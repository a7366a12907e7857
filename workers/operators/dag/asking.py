"""What operators ask the engine for, of many tasks at once; and what it means if it can't tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis

from pydag_dist.engine import Engine, is_transient
from workers.contract.answer import Asked, Done, Handle, Pending
from workers.contract.context import TaskContext
from workers.contract.operator import RemoteOperator
from workers.errors import RemoteStateUnknown


class EngineOperator(RemoteOperator):
    """Waits for runs: whatever its tasks wait for, the engine is asked by `poll_many` for all."""

    def group(self, context: TaskContext, handle: Handle) -> str:  # noqa: ARG002
        """All are asked for together."""
        return context.operator

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for what one task waits for."""
        [(_, answer)] = self.poll_many([Asked(context, handle)])
        if isinstance(answer, Exception):
            raise answer
        return answer


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
