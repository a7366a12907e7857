"""Run-on: a process ends its try and goes on with the next ready tasks of the same queue.

The script that ends tries hands others over: no message is pushed, taken and claimed for them.
It happens in the chord's hook, so for Celery all of it is part of the message that came first.
After the seconds of the setting `run_on` the process takes a message again: no message waits for
longer than that, and the task that was begun last.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from pydag_dist.engine import Held
from pydag_dist.engine.protocol import GOES_ON_AFTER
from workers.pool import going_on
from workers.process import shutdown_since, worker_settings
from workers.tries import events
from workers.tries.claimed import run_claimed
from workers.tries.hand import Hand, end_of_hand
from workers.tries.message import header_of
from workers.tries.outcome import Ended
from workers.tries.polls import poll

_POLLED = Ended("success")  # the end of a message that asks to poll

_memory = 0  # KiB of a process after which Celery replaces it; 0: as much as it wants
_is_counted = False  # whether Celery replaces processes after so many messages


def begin_pool(*, max_tasks: int | None, max_memory: int | None) -> None:
    """In the parent, before it forks: when Celery replaces a process by another."""
    global _memory, _is_counted
    _memory, _is_counted = max_memory or 0, bool(max_tasks)


def release_and_go_on(app: Any, request: Any, held: Held, ended: Ended) -> None:
    """Report the end of a message's try; go on with other tries as long as this process may."""
    hand = Hand(request.delivery_info["routing_key"], request.hostname)
    hand.ended(held, ended)
    _go_on(app, request, hand, ended)


def poll_and_go_on(app: Any, request: Any, asked: Held) -> None:
    """Poll what a message asks for, report what that has found, and go on likewise."""
    hand = Hand(request.delivery_info["routing_key"], request.hostname)
    try:
        poll(hand, asked.task, asked.token)
        _go_on(app, request, hand, _POLLED)
    finally:
        end_of_hand()


def _go_on(app: Any, request: Any, hand: Hand, ended: Ended) -> None:
    settings = worker_settings()
    until = time.monotonic() + settings.run_on
    if not _may_go_on(ended, until):
        hand.give_back()
        going_on.stay()  # its parent tells Flower of this end
        return
    hand.refill()
    if (following := hand.take()) is None:
        going_on.stay()
        return
    going_on.went_on()
    telling = events.of_this_process(app, hand.worker)
    if ended is not _POLLED:  # what polls is shown nowhere
        # The parent hears of its end when all that follows is over.
        telling.ended(request.id, ended, time.monotonic() - request.pydag_began)
    of_message = request.id, request.pydag
    try:
        while following is not None:
            began = time.monotonic()
            # What a function sees of Celery's current task is the try that runs.
            request.id, request.pydag = following.celery_id, header_of(following.held)
            telling.began(following)
            answer = run_claimed(
                following.held,
                following.claim,
                worker=hand.worker,
                is_repeated=following.pushes > 1,
                is_wanted=hand.is_wanted,
            )
            lasted = time.monotonic() - began
            telling.ended(following.celery_id, answer, lasted)
            if not isinstance(answer, Ended):  # given back
                hand.give_back()
                return
            hand.ended(following.held, answer, lasted)
            if not _may_go_on(answer, until):
                hand.give_back()
                return
            if not hand.is_fresh():
                hand.refill()
            following = hand.take()
    finally:
        end_of_hand()
        request.id, request.pydag = of_message


def _may_go_on(ended: Ended, until: float) -> bool:
    return (
        time.monotonic() < until
        and ended.outcome in GOES_ON_AFTER
        and not shutdown_since()
        and not _is_counted
        and (not _memory or _used() < _memory)
        and going_on.go_on()
    )


def _used() -> float:
    """The most memory that this process has had, in KiB, as Celery measures it."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1024 if sys.platform == "darwin" else used
