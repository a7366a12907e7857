"""Before a new try starts its job, the jobs that earlier tries of its task left running end.

So two jobs of one task never run side by side, whatever became of the worker that started the
first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pydag_dist.dag.operators import is_sensor
from pydag_dist.engine import Claim, Held
from workers import time_limit
from workers.contract.answer import as_unknown
from workers.errors import HostLacks, RemoteJobLost, RemoteStateUnknown, TaskFailed
from workers.operators import Answer, Done, Pending, RemoteOperator, TaskContext, Wait
from workers.process import engine, until_redis_can
from workers.tries.context import with_params

_ASK_FOR = 300.0  # seconds for which an earlier try's job is asked for while nobody knows
_PAUSES = (0.5, 10.0)  # seconds between two questions, the first and the longest

T = TypeVar("T")


def end_earlier_jobs(
    held: Held, claim: Claim, context: TaskContext, operator: RemoteOperator
) -> Done | None:
    """The result of an earlier try's job, if that has succeeded: then it must not run again.

    Otherwise, or if the task is to run again all the same, that job is stopped, and over. Raises
    `RemoteStateUnknown` while that can't be told.
    """
    if is_sensor(context.operator):
        return None
    # The try that started a job has seen to it that the jobs before its own were over.
    for number in range(held.try_number - 1, 0, -1):
        found = until_known(context, _settling(held, claim, context, operator, number))
        if isinstance(found, Done) and number > claim.settled:
            context.log.info("the job of try %d has succeeded: its result is taken", number)
            return found
        if found is not None:
            break
    return None


def kept_wait(held: Held) -> Wait | None:
    """The wait of a try that was deferred, if no later try of its task was; it is kept in Redis."""
    try:
        text = until_redis_can(partial(engine().working.deferred_handle, held.run, held.task))
        wait = Wait(**json.loads(text))
    except (TypeError, ValueError):
        return None
    return wait if wait.try_number == held.try_number else None


def _settling(
    held: Held, claim: Claim, context: TaskContext, operator: RemoteOperator, number: int
) -> Callable[[], Answer | None]:
    before = replace(held, try_number=number)
    try:  # a template may have the number of the try
        earlier = with_params(before, claim.spec, context)
    except TaskFailed:
        earlier = context
    earlier = replace(earlier, try_number=number)
    wait = kept_wait(before)
    if wait and wait.params is not None:
        earlier = replace(earlier, params=wait.params)
    handle = wait.handle if wait else operator.handle(earlier)

    def settle() -> Answer | None:
        try:
            found = operator.settle(earlier, handle)
        except HostLacks:
            raise
        except Exception as error:
            raise as_unknown(earlier, error) from error
        if isinstance(found, Pending):
            raise RemoteStateUnknown(f"the job of try {number} was told to stop: {found.state}")
        if isinstance(found, RemoteStateUnknown):
            raise found
        return found

    return settle


def until_known(context: TaskContext, ask: Callable[[], T], seconds: float | None = None) -> T:
    """What `ask` returns; while it raises `RemoteStateUnknown`, it is asked again for `seconds`."""
    until = time.monotonic() + (_ASK_FOR if seconds is None else seconds)
    pause, longest = _PAUSES
    while True:
        try:
            return ask()
        except RemoteJobLost:
            raise
        except RemoteStateUnknown as error:
            if time.monotonic() + pause > until or time_limit.is_out():
                raise
            context.log.warning("%s; asking again", error)
        time.sleep(pause)
        pause = min(pause * 2, longest)
