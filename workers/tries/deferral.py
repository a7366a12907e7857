"""Deferred tries, which are given back while their remote jobs run: how that begins and ends."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from pydag_dist.dag import limits
from pydag_dist.dag.ids import group_name
from pydag_dist.engine import Claim, Deferral, Held
from workers import operators
from workers.errors import TaskFailed
from workers.operators import RemoteOperator, TaskContext, Wait
from workers.tries.context import with_params
from workers.tries.earlier import end_earlier_jobs, kept_wait
from workers.tries.outcome import Ended, cancelled

MAX_PARAMS = 50_000  # bytes of the params of a deferred try, as JSON: its handle is kept, too

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


def deferred(context: TaskContext, wait: Wait) -> Ended:
    """The end of a try in its process, which is given up for the first time."""
    wait.interval = max(wait.interval, _FIRST)
    group = group_name(remote_operator(context).group(context, wait.handle))
    return wait_on(wait, group, wait.interval)


def wait_on(wait: Wait, group: str, delay: float) -> Ended:
    """Likewise of any try: it is polled in so many seconds, with others of the group.

    Raises `TaskFailed` if more is to be kept of it than Redis takes.
    """
    if (length := len(handle := json.dumps(vars(wait)))) > limits.HANDLE_BYTES:
        raise TaskFailed(
            f"what is kept of its remote job has {length:,} bytes, and at most "
            f"{limits.HANDLE_BYTES:,} are kept: let its handle and its params have less"
        )
    why = f"deferred: {wait.state or 'its remote job was submitted'}"
    return Ended("deferred", error=why, deferral=Deferral(group, delay, handle))
