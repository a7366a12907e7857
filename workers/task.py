"""The Celery tasks of a worker: one executes a try, one is the chord callback, one estimates."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from celery import Task, states
from celery.exceptions import Ignore, Retry, Terminated, WorkerLostError

from pydag_dist.engine import Held, Outcome
from pydag_dist.engine.celery.estimates import ESTIMATE, reply
from pydag_dist.engine.celery.messages import EXECUTE, RELEASE
from workers.errors import TaskFailed
from workers.parent.deaths import DEATHS
from workers.pool import going_on
from workers.process import GivenUp, engine, until_redis_can
from workers.tries.claimed import run_claimed
from workers.tries.hand import is_wanted
from workers.tries.message import POLLS, held_by
from workers.tries.outcome import (
    GOOD_OUTCOMES,
    Ended,
    report,
    storable,
)
from workers.tries.run_on import poll_and_go_on, release_and_go_on


class Execute(Task):  # type: ignore[misc]  # Celery has no types
    """Execute one try of one task of a DAG."""

    name = EXECUTE
    Request = "workers.parent.request:TryRequest"
    acks_late = False
    reject_on_worker_lost = False
    ignore_result = True
    max_retries = None
    throws = (TaskFailed,)  # logged in one line: the traceback is in the task's own log

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Let Flower show the traceback of the task, without what called it."""
        del task_id, args, kwargs
        ended = getattr(self.request, "pydag_ended", None)
        einfo.traceback = (ended and ended.trace) or str(exc)

    def run(self) -> str | None:
        """Claim the try, execute its operator, and leave the outcome for the chord's hook.

        The answer is why the try was given back or deferred, if so: Flower shows that as a retry.
        Celery's own exception for that would cost more than a millisecond.
        """
        request = self.request  # looked up on a stack every time
        held, queue = held_by(request), request.delivery_info["routing_key"]
        going_on.begin_message()
        request.pydag_began = time.monotonic()
        if held.run == POLLS:
            poll_and_go_on(self.app, request, held)
            return None
        claim = until_redis_can(
            partial(
                engine().working.claim,
                held.run,
                held.task,
                held.try_number,
                held.token,
                request.hostname,
                process=os.getpid(),
            )
        )
        if isinstance(claim, str):
            raise Ignore(f"{held.run}/{held.task}: {claim}")
        ended = run_claimed(
            held,
            claim,
            worker=request.hostname,
            is_wanted=partial(is_wanted, queue),
            # From the second message of a try on, the id has the message's number, too.
            is_repeated="." in request.id.rpartition("/")[2],
        )
        if isinstance(ended, Ignore):
            raise ended  # here: Celery's record of an error takes time for each frame
        if isinstance(ended, Retry):
            return str(ended)
        request.pydag_ended = ended
        if ended.outcome == "deferred":
            return ended.error
        if ended.outcome not in GOOD_OUTCOMES:
            raise TaskFailed(ended.error)  # so that Flower shows a failure
        return None


class Release(Task):  # type: ignore[misc]  # Celery has no types
    """The chord callback: record how a try ended, and release what became ready.

    `DagBackend` runs it in place; sent as an ordinary task it does the same.
    """

    name = RELEASE
    ignore_result = True
    acks_late = False
    reject_on_worker_lost = False

    def run(
        self, run: str, task: str, try_number: int, *, token: str, outcome: Outcome, error: str = ""
    ) -> str:
        """Release a try; answers as `Working.release` does."""
        return report(Held(run, task, int(try_number), token), Ended(outcome, error=error))

    def in_place(self, request: Any, state: str, result: Any) -> None:
        """What Celery's tracer (in a child) or request (in the parent) reports of a try."""
        held, ended = held_by(request), getattr(request, "pydag_ended", None)
        given_back = ended is None and isinstance(result, str)
        if held.run == POLLS or given_back or isinstance(result, GivenUp):
            return  # a poll has reported what it found, and the rest is due again
        ended = ended or _ended(state, result)
        if os.getpid() == DEATHS.parent_pid:
            DEATHS.report(held, ended)
        elif ended.outcome in GOOD_OUTCOMES:
            release_and_go_on(self.app, request, held, ended)
        else:  # Celery handles an error now, which errors of other tries must not stand beside
            report(held, ended)


class Estimate(Task):  # type: ignore[misc]  # Celery has no types
    """Say what a DAG's queries will read, to a `pydag web` that waits for it."""

    name = ESTIMATE
    ignore_result = True
    acks_late = False
    reject_on_worker_lost = False

    def run(self, *, dag: str, params: dict[str, Any], logical_date: str, **asked: str) -> None:
        """Dry-run its queries, and answer under the name that was given."""
        from workers import estimate  # noqa: PLC0415  it imports Google's clients

        answer = estimate.answer(dag, params, logical_date)
        until_redis_can(partial(reply, engine().store, asked["reply"], answer))


def _ended(state: str, result: Any) -> Ended:
    """The outcome of a try whose body could not leave one."""
    if state == states.SUCCESS:
        return Ended("success")
    if state == states.REVOKED:
        return Ended("revoked")
    if isinstance(result, WorkerLostError | Terminated):
        return Ended("dead")
    return Ended("failed", error=storable(str(result)))
