"""The two Celery tasks of a worker: the one that executes a try, and the chord callback."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from billiard.common import terminate_handler_fired
from celery import Task, states
from celery.exceptions import Ignore, Retry, Terminated, WorkerLostError

from pydag_dist.engine import Held, Outcome
from pydag_dist.engine.celery.messages import EXECUTE, RELEASE
from workers import operators
from workers.errors import HostLacks, TaskFailed
from workers.operators import TaskContext
from workers.parent.deaths import DEATHS
from workers.pool import child, last_words
from workers.pool.output import capture
from workers.process import GivenUp, engine, until_redis_can
from workers.tries.context import task_context
from workers.tries.execution import give_back, run_or_cancel
from workers.tries.message import POLLS, held_by
from workers.tries.outcome import (
    GOOD_OUTCOMES,
    Ended,
    report,
    storable,
)
from workers.tries.polls import poll

_REPLACED = 155  # the exit status by which billiard's pool knows a process that ends as it should


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

    def run(self) -> None:
        """Claim the try, execute its operator, and leave the outcome for the chord's hook."""
        request = self.request  # looked up on a stack every time
        held, queue = held_by(request), request.delivery_info["routing_key"]
        if held.run == POLLS:
            poll(queue, held.task, held.token, request.hostname)
            return
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
        process = child.own()
        try:
            with task_context(held, claim.spec) as context:
                # From the second message of a try on, the id has the message's number, too.
                if "." in request.id.rpartition("/")[2]:
                    context = replace(context, is_repeated=True)  # noqa: PLW2901  it is the same one
                try:
                    ended = run_or_cancel(held, claim, context, queue)
                except HostLacks as error:
                    ended = give_back(held, context, error, request.hostname)
                finally:
                    lost = process.clean_up(context.log, keep_threads=_is_remote(context))
        except SystemExit:
            last_words.leave({"how": "ended at SIGTERM"})
            raise
        is_whole = (output := capture.own()) is None or output.is_whole
        if (lost or not is_whole or terminate_handler_fired()) and last_words.file() is not None:
            _end_process(held, ended)
        if isinstance(ended, Retry | Ignore):
            raise ended  # here: Celery's record of an error takes time for each frame
        request.pydag_ended = ended
        if ended.outcome not in GOOD_OUTCOMES:
            raise TaskFailed(ended.error)  # so that Flower shows a failure


def _is_remote(context: TaskContext) -> bool:
    try:
        return isinstance(operators.find(context.operator), operators.RemoteOperator)
    except TaskFailed:
        return False


def _end_process(held: Held, ended: Ended | Retry | Ignore) -> None:
    """End this process; then the parent tells the engine how its try ended."""
    kept = asdict(ended) if isinstance(ended, Ended) else None
    last_words.leave({"held": asdict(held), "ended": kept})
    os._exit(_REPLACED)


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
        held = held_by(request)
        if held.run == POLLS or isinstance(result, GivenUp):
            return  # a poll has reported what it found; the rest is due again
        ended = getattr(request, "pydag_ended", None) or _ended(state, result)
        if os.getpid() == DEATHS.parent_pid:
            DEATHS.report(held, ended)
        else:
            report(held, ended)


def _ended(state: str, result: Any) -> Ended:
    """The outcome of a try whose body could not leave one."""
    if state == states.SUCCESS:
        return Ended("success")
    if state == states.REVOKED:
        return Ended("revoked")
    if isinstance(result, WorkerLostError | Terminated):
        return Ended("dead")
    return Ended("failed", error=storable(str(result)))
