"""The two Celery tasks of a worker: the one that executes a try, and the chord callback."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from billiard.common import terminate_handler_fired
from celery import Task, states
from celery.exceptions import Ignore, Terminated, WorkerLostError
from celery.worker.request import Request

from pydag_dist.engine import Held, Outcome
from pydag_dist.engine.messages import EXECUTE, RELEASE
from workers import operators, patience
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.logs import log_key, task_log
from workers.operators.base import TaskContext
from workers.operators.branch import skipped
from workers.process import engine, settings, until_redis_can, worker_settings
from workers.stopping import Stopped, cancelling, stoppable
from workers.templates import children, rendered

CANCEL_PATIENCE = 90.0  # seconds for all calls of a cancel, which waits until the job is over
MAX_ERROR = 8_000  # characters of an error that the engine keeps
MAX_RESULT = 65_536  # bytes of a result as JSON: results are for facts, not for data

_OF_PARAMS = frozenset({"params", "template", "expand"})  # of a spec: what becomes of its params


@dataclass(frozen=True)
class Ended:
    """How a try ended: the outcome, the result as JSON or "", the error or ""."""

    outcome: Outcome
    result: str = ""
    error: str = ""
    skips: tuple[str, ...] = ()
    expand: Mapping[str, int] = field(default_factory=dict)


class UnacknowledgedRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A request of a queue without acknowledgement: there is nothing to tell the broker."""

    def __init__(self, message: Any, **options: Any) -> None:
        # The body as the parent has decoded it, so that the child need not do it again.
        super().__init__(message, **(options | {"body": message.payload, "decoded": True}))

    def acknowledge(self) -> None:
        """Note that it is settled."""
        self.acknowledged = True

    def reject(self, requeue: bool = False) -> None:  # noqa: ARG002  Celery's signature
        """Note that it is settled."""
        self.acknowledged = True


def held_by(request: Any) -> Held:
    """The try that a message is about; the message's push is the fencing token."""
    header = request.pydag
    return Held(header["run"], header["task"], int(header["try"]), header["push"])


class Execute(Task):  # type: ignore[misc]  # Celery has no types
    """Execute one try of one task of a DAG."""

    name = EXECUTE
    Request = "workers.task:UnacknowledgedRequest"
    acks_late = False
    reject_on_worker_lost = False
    ignore_result = True
    max_retries = None
    throws = (TaskFailed,)  # logged in one line: the traceback is in the task's own log

    def run(self) -> None:
        """Claim the try, execute its operator, and leave the outcome for the chord's hook."""
        request = self.request  # looked up on a stack every time
        held = held_by(request)
        answer = until_redis_can(
            partial(
                engine().claim,
                held.run,
                held.task,
                held.try_number,
                held.token,
                request.hostname,
                process=os.getpid(),
            )
        )
        if isinstance(answer, str):
            raise Ignore(f"{held.run}/{held.task}: {answer}")
        with _context(held, answer.spec) as context:
            ended = _execute(held, context) if answer.order == "run" else _cancel(context)
        request.pydag_ended = ended
        if ended.outcome != "success":
            raise TaskFailed(ended.error)  # so that Flower shows a failure


@contextlib.contextmanager
def _context(held: Held, spec: dict[str, Any]) -> Iterator[TaskContext]:
    redis_client = engine().redis
    key = log_key(settings().key_prefix, held.run, held.task, held.try_number)
    with task_log(redis_client, key, settings().retention) as log:
        try:
            params = rendered(held, spec, partial(_results, held.run))
        except TaskFailed as error:
            log.error("%s", error)  # noqa: TRY400  the message is meant to be enough
            raise
        yield TaskContext(
            run_id=held.run,
            task_id=held.task,
            try_number=held.try_number,
            log=log,
            settings=worker_settings(),
            redis=redis_client,
            key_prefix=settings().key_prefix,
            params=params,
            **{name: value for name, value in spec.items() if name not in _OF_PARAMS},
        )


def _results(run: str, tasks: Sequence[str]) -> dict[str, Any]:
    return until_redis_can(partial(engine().results, run, tasks))


def _execute(held: Held, context: TaskContext) -> Ended:
    log = context.log
    try:
        with stoppable(held):
            result = operators.find(context.operator).execute(context)
        return _succeeded(context, result)
    except Stopped:
        log.warning("told to stop")
        return _cancel(context)
    except TaskFailed as error:
        log.error("%s", error)  # noqa: TRY400  the message is meant to be enough
        return Ended("failed", error=_storable(str(error)))
    except RemoteStateUnknown as error:
        # Failing the try would make a new one, and with it a second remote job.
        log.warning("%s", error)
        return Ended("dead", error=_storable(str(error)))
    except BaseException as error:
        if terminate_handler_fired():
            raise  # somebody ends this process: the try isn't over, and runs elsewhere
        # An exit would look like a dead child, MemoryError ends Celery's parent.
        log.exception("%s", type(error).__name__)
        lines = traceback.format_exception_only(error)
        return Ended("failed", error=_storable("".join(lines).strip()))


def _succeeded(context: TaskContext, result: Any) -> Ended:
    skips: tuple[str, ...] = ()
    if context.branch is None:
        packed = _packed(context.operator, result)
    else:
        skips, packed = tuple(skipped(result, context.branch)), json.dumps(result)
    if not context.expanded_by:
        return Ended("success", packed, skips=skips)
    expand = children(json.loads(packed or "null"), context.expanded_by)
    return Ended("success", packed, skips=skips, expand=expand)


def _cancel(context: TaskContext) -> Ended:
    """Cancel what the try left running elsewhere; nothing there is success."""
    operator = operators.find(context.operator)
    try:
        if isinstance(operator, operators.RemoteOperator):
            with cancelling(), patience.limited(CANCEL_PATIENCE):
                operator.cancel(context, operator.handle(context))
    except Exception as error:
        context.log.exception("could not cancel it; it will be asked for again")
        return Ended("dead", error=_storable(str(error)))
    return Ended("stopped", error="stopped")


def _packed(operator: str, result: Any) -> str:
    """What an operator returned as JSON, None as an empty text."""
    if result is None:
        return ""
    try:
        packed = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskFailed(
            f"{operator} returned a {type(result).__name__} that is not JSON ({error}): "
            "return None, or text, numbers, booleans, lists and objects of these"
        ) from None
    if len(packed) > MAX_RESULT:
        raise TaskFailed(
            f"{operator} returned {len(packed):,} bytes of JSON, and at most {MAX_RESULT:,} are "
            "kept: write data to a table or a file, and return its name"
        )
    return packed


def _storable(error: str) -> str:
    """An error's text as Redis takes it: not too long, and without halves of characters."""
    return error[:MAX_ERROR].encode(errors="replace").decode()


class Release(Task):  # type: ignore[misc]  # Celery has no types
    """The chord callback: record how a try ended, and release what became ready.

    `DagBackend` runs it in place; sent as an ordinary task it does the same.
    """

    name = RELEASE
    ignore_result = True
    acks_late = False
    reject_on_worker_lost = False

    # Set in the worker's parent only, whose loop must not wait for Redis. None: look up.
    parent_pid: int | None = None
    for_parent: queue.SimpleQueue[tuple[Held, Ended] | None] = queue.SimpleQueue()

    def run(
        self, run: str, task: str, try_number: int, *, token: str, outcome: Outcome, error: str = ""
    ) -> str:
        """Release a try; answers as `Engine.release` does."""
        return self.release(Held(run, task, int(try_number), token), Ended(outcome, error=error))

    def release(self, held: Held, ended: Ended) -> str:
        """Tell the engine, for as long as it takes."""
        return until_redis_can(
            partial(
                engine().release,
                held,
                ended.outcome,
                ended.result,
                ended.error,
                skips=ended.skips,
                expand=ended.expand,
            )
        )

    def in_place(self, request: Any, state: str, result: Any) -> None:
        """What Celery's tracer (in a child) or request (in the parent) reports of a try."""
        held = held_by(request)
        ended = getattr(request, "pydag_ended", None) or _ended(state, result)
        if os.getpid() == self.parent_pid:
            self.for_parent.put((held, ended))
        else:
            self.release(held, ended)


def _ended(state: str, result: Any) -> Ended:
    """The outcome of a try whose body could not leave one."""
    if state == states.SUCCESS:
        return Ended("success")
    if state == states.REVOKED:
        return Ended("revoked")
    if isinstance(result, WorkerLostError | Terminated):
        return Ended("dead")
    return Ended("failed", error=_storable(str(result)))
