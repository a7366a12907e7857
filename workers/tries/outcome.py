"""How a try ends: what the engine keeps of what an operator returned or raised."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import redis

from pydag_dist.dag import limits
from pydag_dist.dag.planning.results import (
    all_of_kind,
    expansion_counts,
    first_of_kind,
    packed,
    reason,
    skipped,
)
from pydag_dist.engine import Deferral, End, Held, Next
from pydag_dist.engine.protocol import Left, Released
from pydag_dist.errors import Fail, Skip
from workers import operators, time_limit
from workers.contract.answer import Answer, Done, Handle
from workers.contract.context import TaskContext
from workers.errors import HostLacks, RemoteJobLost, RemoteStateUnknown, TaskFailed, TryUnknown
from workers.pool import tracebacks
from workers.pool.stopping import begin_cancelling
from workers.process import PAUSE, UNKNOWN_FOR, engine, until_redis_can
from workers.result_cache.entries import keep_result
from workers.secrecy import masks
from workers.tries.earlier import until_known

# Seconds for all calls of a cancel, which waits until the job is over, and for one of them.
CANCEL_SECONDS, CANCEL_CALL = 90.0, 60.0

T = TypeVar("T")

GOOD_OUTCOMES: Final = ("success", "skipped", "deferred")  # those that Flower shows as no failure


@dataclass(frozen=True)
class Ended:
    """How a try left its process: the outcome, the result as JSON or "", the error or "".

    `trace` is the traceback that Flower shows. A try that is deferred has a `deferral`, and its
    `error` says what Flower shows.
    """

    outcome: Left
    result: str = ""
    error: str = ""
    skips: tuple[str, ...] = ()
    expand: Mapping[str, int] = field(default_factory=dict)
    trace: str = ""
    deferral: Deferral | None = None

    def end(self, held: Held, lasted: float | None = None, ago: float = 0.0) -> End:
        """It as the engine takes it."""
        said = (self.outcome, self.result, self.error, self.skips, self.expand, self.deferral)
        return End(held, *said, lasted=lasted, ago=ago)


def ended_of(words: Mapping[str, Any]) -> Ended:
    """What `vars` said of one, when that is read from JSON."""
    deferral = words["deferral"]
    return Ended(**{**words, "deferral": deferral and Deferral(*deferral)})


@dataclass(frozen=True)
class Untold:
    """How a try ended, and when, by the monotonic clock; Redis has not heard of it.

    One that its process was handed `lasted` so many seconds.
    """

    held: Held
    ended: Ended
    lasted: float | None
    at: float
    polled: bool = False  # if that gets lost, it is polled again

    def end(self) -> End:
        """It as the engine takes it now."""
        return self.ended.end(self.held, self.lasted, time.monotonic() - self.at)


def report(held: Held, ended: Ended) -> Released:
    """Report the end of a try, repeated until Redis can do it; answers as `Working.release` does.

    If Redis does not know the run, that is repeated for a while: a coordinator may be restoring the
    run, and without its outcome the try would run again.
    """

    def call() -> tuple[list[Released], Released]:
        answer = engine().working.end(ended.end(held))
        return [answer], answer

    return _reported([Untold(held, ended, None, time.monotonic())], call)


def report_and_go_on(untold: Sequence[Untold], queue: str, worker: str) -> list[Next]:
    """Report the ends of tries likewise; what this process, which has run them, is handed.

    A Redis that is full lets tries end, and none begin.
    """

    def call() -> tuple[list[Released], list[Next]]:
        try:
            return engine().working.run_on(
                [each.end() for each in untold], queue=queue, worker=worker, process=os.getpid()
            )
        except redis.exceptions.OutOfMemoryError:
            return _handed_in(untold, worker, None), []

    return _reported(untold, call)


def hand_in(untold: Sequence[Untold], worker: str, kept: Held | None) -> None:
    """Report the ends of tries; this process takes no more, and still runs `kept`, if given."""
    _reported(untold, lambda: (_handed_in(untold, worker, kept), None))


def _handed_in(untold: Sequence[Untold], worker: str, kept: Held | None) -> list[Released]:
    ends = [each.end() for each in untold]
    return engine().working.hand_in(ends, worker, process=os.getpid(), kept=kept)


def _reported(untold: Sequence[Untold], call: Callable[[], tuple[list[Released], T]]) -> T:
    until = time.monotonic() + UNKNOWN_FOR
    while True:
        answers, answer = until_redis_can(call)
        pairs = zip(answers, untold, strict=True)
        is_lost = any(told == "unknown" and not each.polled for told, each in pairs)
        if not is_lost or time.monotonic() > until:
            return answer
        time.sleep(PAUSE)


def succeeded(context: TaskContext, result: Any) -> Ended:
    """The end of a try with a result; raises `TaskFailed` if it can't be kept."""
    skips: tuple[str, ...] = ()
    if context.branch is not None:
        skips = tuple(skipped(result, context.branch))
    text = packed(context.operator, masks.of_this_process().hide_in(result))
    expand: Mapping[str, int] = {}
    if context.expanded_by:
        expand = expansion_counts(json.loads(text or "null"), context.expanded_by)
    if context.cache_seconds is not None:
        keep_result(context, operators.find(context.operator), text)
    return Ended("success", text, skips=skips, expand=expand)


def failed(context: TaskContext, error: BaseException) -> Ended:
    """The end of a try by an error, which is logged, too."""
    if (skip := all_of_kind(error, Skip)) is not None:
        why = storable(reason(skip))
        context.log.info("skips itself: %s", why)
        return Ended("skipped", error=why)
    if isinstance(error, TaskFailed):
        context.log.error("%s", error)
        return Ended("final" if error.final else "failed", error=storable(str(error)))
    if isinstance(error, RemoteJobLost):
        context.log.error("%s", error)
        return Ended("lost", error=storable(str(error)))
    if isinstance(error, (RemoteStateUnknown, TryUnknown)):
        # Failing the try would make a new one, and with it a second remote job.
        context.log.warning("%s", error)
        return Ended("dead", error=storable(str(error)))
    trace = tracebacks.cut(error)
    context.log.error("%s", trace)
    if (fail := first_of_kind(error, Fail)) is not None:
        return Ended("final", error=storable(reason(fail)), trace=storable(trace))
    lines = traceback.format_exception_only(error)
    return Ended("failed", error=storable("".join(lines).strip()), trace=storable(trace))


def cancelled(
    context: TaskContext,
    handle: Handle | None = None,
    *,
    before: Callable[[operators.RemoteOperator], object] = lambda _: None,
) -> Ended:
    """Cancel the job that the try left running elsewhere; that there is none is success, too.

    Without a `handle` that is computed. `before` ends the jobs of earlier tries, which this try may
    not have done itself yet.

    If the job has succeeded before it could be stopped, so has the try. Raises `HostLacks` if
    another worker has to do it.
    """
    try:
        operator = operators.find(context.operator)
        if isinstance(operator, operators.RemoteOperator):
            begin_cancelling()
            with time_limit.limited(CANCEL_SECONDS, call=CANCEL_CALL):
                before(operator)
                handle = operator.handle(context) if handle is None else handle
                found = until_known(
                    context, partial(_stopped, operator, context, handle), CANCEL_SECONDS
                )
            if isinstance(found, Done):
                context.log.info("its job had succeeded before it could be stopped")
                return succeeded(context, found.result)
    except HostLacks:
        raise
    except Exception as error:
        context.log.exception("could not cancel it; it will be asked for again")
        return Ended("dead", error=storable(str(error)))
    return Ended("stopped", error="stopped")


def _stopped(
    operator: operators.RemoteOperator, context: TaskContext, handle: Handle
) -> Answer | None:
    operator.cancel(context, handle)
    return operator.look(context, handle)


def storable(error: str) -> str:
    """An error's text as Redis takes it: not too long, no secrets, no halves of characters."""
    text = masks.of_this_process().hide(error)
    return text[: limits.ERROR].encode(errors="replace").decode()
