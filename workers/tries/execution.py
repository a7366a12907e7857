"""A claimed try, from its claim to its end: run, or cancelled; deferred, or given back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from billiard.common import terminate_handler_fired
from celery.exceptions import Ignore, Retry

from pydag_dist.dag.operators import is_sensor
from pydag_dist.engine import Claim, Held
from workers import operators
from workers.errors import HostLacks, TaskFailed
from workers.operators import Done, TaskContext, Wait
from workers.pool.stopping import Stopped, not_now, stoppable
from workers.process import GivenUp, engine, until_redis_can
from workers.result_cache.entries import cached_result
from workers.tries import earlier
from workers.tries.context import with_params
from workers.tries.deferral import cancel, deferred, params_to_keep
from workers.tries.outcome import Ended, cancelled, failed, storable, succeeded

INLINE = 5.0  # seconds that a remote job may hold a slot which nobody else waits for
REPEATED = 60.0  # seconds for which a try that is executed again asks again after a refusal


def run_or_cancel(
    held: Held, claim: Claim, context: TaskContext, is_wanted: Callable[[], bool]
) -> Ended:
    """Run the try, or cancel what it left running, as the claim orders; how it left this process.

    `is_wanted`: whether anything waits for the slot in which it runs.
    """
    try:
        if claim.order == "cancel":
            return cancel(held, claim, context)
        context = with_params(held, claim.spec, context)
        kept = params_to_keep(context) if "template" in claim.spec else None
        with stoppable(held):
            answer = _execute(held, claim, context, is_wanted)
        if isinstance(answer, Done):
            return succeeded(context, answer.result)
    except Stopped:
        context.log.warning("told to stop")
        return cancelled(context, before=partial(earlier.end_earlier_jobs, held, claim, context))
    except HostLacks:
        raise
    except BaseException as error:
        if terminate_handler_fired() or isinstance(error, GivenUp):
            raise  # somebody ends this process: the try isn't over, and runs elsewhere
        # An exit would look like a dead child, MemoryError ends Celery's parent.
        return failed(context, error)
    answer.params, answer.try_number = kept, held.try_number
    try:
        return deferred(context, answer)
    except TaskFailed as error:  # its job is not to run on without anybody who asks for it
        ended = cancelled(context, answer.handle)
        return failed(context, error) if ended.outcome == "stopped" else ended


def _execute(
    held: Held, claim: Claim, context: TaskContext, is_wanted: Callable[[], bool]
) -> Done | Wait:
    """The result; or the wait for a remote job, if the slot should not be held for that."""
    operator = operators.find(context.operator)
    if held.try_number > 1 and isinstance(operator, operators.RemoteOperator):
        done = earlier.end_earlier_jobs(held, claim, context, operator)
        if done is not None:
            return done
    if (result := cached_result(context, operator)) is not None:
        return Done(result)
    if not isinstance(operator, operators.RemoteOperator):
        return Done(operator.execute(context))
    if is_sensor(context.operator):
        # A sensor that holds a slot counts against its run's `processors`. It may wait for a task
        # of the same run, which could not start then, so it is deferred at once.
        return operator.start(context, lambda: False)
    until = time.monotonic() + INLINE

    def may_wait() -> bool:
        with not_now():
            return not is_wanted() and time.monotonic() < until

    start = partial(operator.start, context, may_wait)
    # A try that never began before may be repeated, too: its refusal should be known before long.
    return earlier.until_known(context, start, REPEATED) if context.is_repeated else start()


def give_back(held: Held, context: TaskContext, error: HostLacks, worker: str) -> Retry | Ignore:
    """Let another worker run the try."""
    need, why = error.need or "other:unnamed", storable(str(error))
    if storable(need) != need:  # a secret is in it, and others read it
        need = "other:hidden"
    context.log.warning("given back by %s: %s", worker, why)
    (answer,) = until_redis_can(partial(engine().working.refuse, [held], worker, need, why))
    if answer == "ok":
        return Retry(f"given back: {why}")
    return Ignore(f"{held.run}/{held.task}: {answer}")
