"""Polls of deferred tries: one message asks for up to 100 tries, of one operator and connection."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import partial

from celery.exceptions import Ignore

from pydag_dist.engine import Due, Held
from workers import time_limit
from workers.contract.answer import as_unknown
from workers.errors import HostLacks, TaskFailed
from workers.operators import Answer, Asked, Done, Pending, Wait
from workers.pool.output.logs import close_all
from workers.pool.output.try_log import QuietLog
from workers.process import engine, until_redis_can
from workers.tries.context import context_of
from workers.tries.deferral import as_it_was, remote_operator, wait_on
from workers.tries.hand import Hand
from workers.tries.outcome import Ended, failed, storable, succeeded

# The engine gives a poll message 30 s; what is left of them is for the reports of what was found.
_TIME = 18.0  # seconds of all calls of a poll
_SOON = 1.0  # seconds until tries are polled for which there was no time now

log = logging.getLogger(__name__)


class _PolledTry:
    """A try that is polled."""

    def __init__(self, due: Due) -> None:
        self.due = due
        self.wait = Wait(**json.loads(due.handle))
        self.delay = _SOON
        self.log = QuietLog(due.held)
        self.context = as_it_was(context_of(due.held, due.spec, self.log.logger), self.wait)
        self.asked = Asked(self.context, self.wait.handle)

    def take(self, answer: Answer) -> Ended | None:
        """Note an answer about its job; how the try ended, if it did."""
        try:
            match answer:
                case Done(result):
                    return succeeded(self.context, result)
                case Pending():
                    _, longest = remote_operator(self.context).intervals
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

    def goes_on(self, group: str) -> Ended:
        """That it is polled again."""
        try:
            return wait_on(self.wait, group, self.delay)
        except TaskFailed as error:
            return Ended("lost", error=storable(str(error)))


def poll(hand: Hand, group: str, push: str) -> None:
    """Ask for the remote jobs of what is due; the hand gets what has ended, and what goes on."""
    working = engine().working
    due = until_redis_can(partial(working.claim_polls, hand.queue, group, push, hand.worker))
    if not due:
        raise Ignore(f"polls of {group}: nothing is due")
    tries: dict[Held, _PolledTry] = {}
    for given in due:
        try:
            tries[given.held] = _PolledTry(given)
        except (TypeError, ValueError) as error:  # this worker can't read its handle
            why = storable(f"the handle of its remote job can't be read: {error}")
            log.error("%s/%s: %s", given.held.run, given.held.task, why)  # noqa: TRY400
            hand.found(given.held, Ended("dead", error=why))
    with time_limit.limited(_TIME):
        for held, answer in _answers(list(tries.values())):
            if isinstance(answer, HostLacks):  # all tries of a group need the same of a worker
                _give_back(group, list(tries), answer, hand.worker)
                ends = {held: polled.log.end() for held, polled in tries.items()}
                close_all({held: of_try for held, of_try in ends.items() if of_try is not None})
                tries.clear()
                break
            if ended := tries[held].take(answer):
                hand.found(held, ended, tries.pop(held).log.end())
    for held, polled in tries.items():
        hand.found(held, polled.goes_on(group), polled.log.end())
    log.info("%s: polled %d, of which %d have ended", group, len(due), len(due) - len(tries))


def _give_back(group: str, held: list[Held], error: HostLacks, worker: str) -> None:
    log.warning("polls of %s are given back: %s", group, error)
    refuse = partial(engine().working.refuse, held, worker, f"polls:{group}", storable(str(error)))
    until_redis_can(refuse)


def _answers(tries: list[_PolledTry]) -> Iterator[tuple[Held, Answer]]:
    """The answers that there was time for, as they come."""
    asked = {polled.asked: polled.due.held for polled in tries}
    if not asked:
        return
    try:
        operator = remote_operator(tries[0].context)  # it is the same of all
    except HostLacks as error:
        yield tries[0].due.held, error
        return
    except TaskFailed as error:  # another worker may have it
        log.error("%s", error)  # noqa: TRY400  the message is meant to be enough
        return
    try:
        for question, answer in operator.poll_many(list(asked)):
            yield asked.pop(question), answer
    except Exception:
        log.exception("%s can't be polled together", tries[0].context.operator)
        for question, held in asked.items():  # so that what one raises is its own
            if time_limit.is_out():
                return
            yield held, operator.answer(question)
