"""Deferred tries: given back while their remote jobs run, and polled many at a time.

A poll message asks a worker for the state of up to 100 tries, of one operator and connection.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from celery.exceptions import Ignore

from pydag_dist.engine import Deferral, Due, Held
from workers import operators, patience
from workers.context import task_context, with_params
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators import Answer, Asked, Done, Pending, RemoteOperator, TaskContext, Wait
from workers.operators.base import as_unknown
from workers.outcome import Ended, failed, report, succeeded
from workers.process import engine, until_redis_can

POLLS = "*"  # the run in a poll message's header

# The engine gives a poll 30 s; the rest is for telling it what was found.
_TIME = 18.0  # seconds of all calls of a poll
_FIRST = 0.5  # seconds until the first poll at least
_SOON = 1.0  # seconds until those are polled for whom there was no time

_NOT_IN_GROUPS = re.compile(r"[^A-Za-z0-9_.:-]")

log = logging.getLogger(__name__)


def remote(context: TaskContext) -> RemoteOperator:
    """The operator of a deferred try."""
    operator = operators.find(context.operator)
    if not isinstance(operator, RemoteOperator):
        raise TaskFailed(f"operator {context.operator!r} of this worker has no remote jobs")
    return operator


def defer(held: Held, context: TaskContext, wait: Wait) -> str:
    """Give a try back for the first time; answers as `Engine.defer` does."""
    wait.interval = max(wait.interval, _FIRST)
    group = _NOT_IN_GROUPS.sub("-", remote(context).group(context, wait.handle))
    given = Deferral(held, group, wait.interval, json.dumps(vars(wait)))
    (answer,) = until_redis_can(partial(engine().defer, [given]))
    return answer


class _Try:
    """A try that is polled."""

    def __init__(self, due: Due) -> None:
        self.due = due
        self.wait = Wait(**json.loads(due.handle))
        self.delay = _SOON
        self._open = ExitStack()
        self.context = self._open.enter_context(task_context(due.held, due.spec))

    def asked(self) -> Asked:
        """As its operator is asked for it; raises `TaskFailed`."""
        self.context = with_params(self.due.held, self.due.spec, self.context)
        return Asked(self.context, self.wait.handle)

    def hear(self, answer: Answer) -> Ended | None:
        """How it ended, if it did."""
        try:
            match answer:
                case Done(result):
                    return succeeded(self.context, result)
                case Pending():
                    _, longest = remote(self.context).intervals
                    self.delay = self.wait.interval
                    self.wait.goes_on(self.context, answer, longest)
                    return None
                case TaskFailed():
                    return failed(self.context, answer)
                case error:
                    self.delay = self.wait.interval
                    self.wait.is_unknown(self.context, as_unknown(self.context, error))
                    return None
        except Exception as error:  # noqa: BLE001  of a lost job, or a result that can't be kept
            return failed(self.context, error)

    def deferral(self, group: str) -> Deferral:
        """What the engine gets of it now."""
        return Deferral(self.due.held, group, self.delay, json.dumps(vars(self.wait)))

    def close(self) -> None:
        """Send the last lines of its log."""
        self._open.close()


def poll(queue: str, group: str, push: str, worker: str) -> None:
    """Ask for the remote jobs of what is due; report what has ended, and give the rest back."""
    due = until_redis_can(partial(engine().claim_polls, queue, group, push, worker))
    if not due:
        raise Ignore(f"polls of {group}: nothing is due")
    tries = {one.held: _Try(one) for one in due}
    with patience.limited(_TIME):
        for held, answer in _answers(list(tries.values())):
            if ended := tries[held].hear(answer):
                tries.pop(held).close()
                report(held, ended, patience_if_unknown=0)  # others wait; it is polled again
    if tries:
        given = [one.deferral(group) for one in tries.values()]
        until_redis_can(partial(engine().defer, given))
    for one in tries.values():
        one.close()
    log.info("%s: polled %d, of which %d have ended", group, len(due), len(due) - len(tries))


def _answers(tries: list[_Try]) -> Iterator[tuple[Held, Answer]]:
    """The answers that there was time for, as they come."""
    asked = {}
    for one in tries:
        try:
            asked[one.asked()] = one.due.held
        except TaskFailed as error:
            yield one.due.held, RemoteStateUnknown(str(error), lasting=True)
    if not asked:
        return
    try:
        operator = remote(tries[0].context)  # it is the same of all
    except TaskFailed as error:  # another worker may have it
        log.error("%s", error)  # noqa: TRY400  the message is meant to be enough
        return
    for question, answer in operator.poll_many(list(asked)):
        yield asked[question], answer
