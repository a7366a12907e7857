"""What earlier tries of a task left running is over before a new try starts its own job.

So no two jobs of one task ever run side by side, whatever became of the worker that knew the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pydag_dist.dag.operators import is_sensor
from pydag_dist.engine import Claim, Held
from workers import patience
from workers.context import with_params
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators import Answer, Done, Pending, RemoteOperator, TaskContext

_PATIENCE = 300.0  # seconds, as of any call in a slot
_PAUSES = (0.5, 10.0)  # seconds between two questions, the first and the longest

T = TypeVar("T")


def settled(
    held: Held, claim: Claim, context: TaskContext, operator: RemoteOperator
) -> Done | None:
    """The result of an earlier try's job, if that has succeeded: then it must not run again.

    Otherwise that job is stopped, and over. Raises `RemoteStateUnknown` while that can't be told.
    """
    # Whoever started a job had seen to it that those before it were over.
    first = held.try_number if is_sensor(context.operator) else claim.settled + 1
    for number in range(held.try_number - 1, first - 1, -1):
        found = until_known(context, _settle(held, claim, context, operator, number))
        if isinstance(found, Done):
            context.log.info("the job of try %d has succeeded: its result is taken", number)
            return found
        if found is not None:
            break
    return None


def _settle(
    held: Held, claim: Claim, context: TaskContext, operator: RemoteOperator, number: int
) -> Callable[[], Answer | None]:
    try:  # a template may have the number of the try
        earlier = with_params(replace(held, try_number=number), claim.spec, context)
    except TaskFailed:
        earlier = context
    earlier = replace(earlier, try_number=number)

    def settle() -> Answer | None:
        found = operator.settle(earlier, operator.handle(earlier))
        if isinstance(found, Pending):
            raise RemoteStateUnknown(f"the job of try {number} was told to stop: {found.state}")
        if isinstance(found, RemoteStateUnknown):
            raise found
        return found

    return settle


def until_known(context: TaskContext, ask: Callable[[], T], seconds: float | None = None) -> T:
    """What `ask` returns, which is asked again for so long while nobody knows."""
    until = time.monotonic() + (_PATIENCE if seconds is None else seconds)
    pause, longest = _PAUSES
    while True:
        try:
            return ask()
        except RemoteStateUnknown as error:
            if time.monotonic() + pause > until or patience.is_out():
                raise
            context.log.warning("%s; asking again", error)
        time.sleep(pause)
        pause = min(pause * 2, longest)
