"""A claimed try in its process: its context, its run, and the clean-up after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace

from billiard.common import terminate_handler_fired
from celery.exceptions import Ignore, Retry

from pydag_dist.engine import Claim, Held
from workers import operators
from workers.errors import HostLacks, TaskFailed
from workers.operators import TaskContext
from workers.pool import child, last_words
from workers.pool.output import capture
from workers.tries import events
from workers.tries.context import task_context
from workers.tries.execution import give_back, run_or_cancel
from workers.tries.outcome import Ended

_REPLACED = 155  # the exit status by which billiard's pool knows a process that ends as it should


def run_claimed(
    held: Held, claim: Claim, *, worker: str, is_repeated: bool, is_wanted: Callable[[], bool]
) -> Ended | Retry | Ignore:
    """Run a claimed try, or cancel it; how it left, or what Celery hears if it is given back.

    Ends this process if what the try has left behind can't be undone; the parent reports the end of
    the try then. `is_wanted`: whether anything waits for the slot. `is_repeated`: another message
    of the same try was there before.
    """
    process = child.own()
    try:
        with task_context(held, claim.spec) as context:
            if is_repeated:
                context = replace(context, is_repeated=True)  # noqa: PLW2901  it is the same one
            try:
                ended = run_or_cancel(held, claim, context, is_wanted)
            except HostLacks as error:
                ended = give_back(held, context, error, worker)
            finally:
                lost = process.clean_up(context.log, keep_threads=_is_remote(context))
    except SystemExit:
        last_words.leave({"how": "ended at SIGTERM"})
        raise
    is_whole = (output := capture.own()) is None or output.is_whole
    if (lost or not is_whole or terminate_handler_fired()) and last_words.file() is not None:
        _end_process(held, ended)
    return ended


def _is_remote(context: TaskContext) -> bool:
    try:
        return isinstance(operators.find(context.operator), operators.RemoteOperator)
    except TaskFailed:
        return False


def _end_process(held: Held, ended: Ended | Retry | Ignore) -> None:
    """End this process; then the parent tells the engine how its try ended."""
    kept = asdict(ended) if isinstance(ended, Ended) else None
    last_words.leave({"held": asdict(held), "ended": kept})
    events.flush()
    os._exit(_REPLACED)
