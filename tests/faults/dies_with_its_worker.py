"""For ``celery worker -I``: the whole worker dies, like a host, at a moment of a deferred task.

Once, at the moment ``PYDAG_TEST_DIE_AT``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from workers.operators.bigquery.query import Query
from workers.tries import hand

MOMENTS = ("before the submit", "after the submit", "after the defer", "before a poll", "in a poll")
MOMENT = os.environ.get("PYDAG_TEST_DIE_AT")


def _die() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)  # the kernel kills this process with its parent


def _around(function: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        if before == MOMENT:
            _die()
        answer = function(*arguments)
        if after == MOMENT:
            _die()
        return answer

    return called


def _poll_many(self: Query, asked: Any) -> Any:
    if MOMENT == "before a poll":
        _die()
    yield from poll_many(self, asked)
    if MOMENT == "in a poll":
        _die()


if MOMENT:
    poll_many = Query.poll_many
    Query.poll_many = _poll_many  # type: ignore[method-assign]
    Query.submit = _around(Query.submit, "before the submit", "after the submit")  # type: ignore[method-assign]
    hand.report_and_go_on = _around(hand.report_and_go_on, "", "after the defer")
