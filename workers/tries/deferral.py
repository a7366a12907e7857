"""Deferred tries, which are given back while their remote jobs run: how that begins and ends."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from pydag_dist.dag.ids import group_name
from pydag_dist.engine import Claim, Deferral, Held
from pydag_dist.engine.protocol import Deferred
from workers import operators
from workers.errors import TaskFailed
from workers.operators import RemoteOperator, TaskContext, Wait
from workers.process import engine, until_redis_can
from workers.tries.context import with_params
from workers.tries.earlier import end_earlier_jobs, kept_wait
from workers.tries.outcome import Ended, cancelled

MAX_PARAMS = 1_000_000  # bytes of the params of a deferred try, as JSON

_FIRST = 0.5  # seconds until the first poll at least


def remote_operator(context: TaskContext) -> RemoteOperator:
    """The operator of a deferred try."""
    operator = operators.find(context.operator)
    if not isinstance(operator, RemoteOperator):
        raise TaskFailed(f"operator {context.operator!r} of this worker has no remote jobs")
    return operator


def params_to_keep(context: TaskContext) -> dict[str, Any] | None:
    """What polls of a try need of its rendered params; raises `TaskFailed` if that is too much."""
    operator = operators.find(context.operator)
    if not isinstance(operator, RemoteOperator):
        return None
    kept = operator.params_of_polls(context)
    if (length := len(json.dumps(kept))) > MAX_PARAMS:
        raise TaskFailed(
            f"the params of {context.operator} become {length:,} bytes, and at most "
            f"{MAX_PARAMS:,} are kept until its remote job has ended: let its templates name less"
        )
    return kept


def cancel(held: Held, claim: Claim, context: TaskContext) -> Ended:
    """Cancel the job that the try left running, by its handle: the kept one, or computed."""
    before = partial(end_earlier_jobs, held, claim, context)
    if (wait := kept_wait(held)) is None:
        return cancelled(with_params(held, claim.spec, context), before=before)
    return cancelled(as_it_was(context, wait), wait.handle, before=before)


def as_it_was(context: TaskContext, wait: Wait) -> TaskContext:
    """The context of a try as it was when the try was deferred, with the params that were kept."""
    return context if wait.params is None else replace(context, params=wait.params)


def defer(held: Held, context: TaskContext, wait: Wait) -> Deferred:
    """Give a try back for the first time; answers as `Working.defer` does."""
    wait.interval = max(wait.interval, _FIRST)
    group = group_name(remote_operator(context).group(context, wait.handle))
    given = Deferral(held, group, wait.interval, json.dumps(vars(wait)))
    (answer,) = until_redis_can(partial(engine().working.defer, [given]))
    return answer
