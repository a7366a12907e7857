"""Repeating a client's calls while a Redis that was there is away."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import redis

from pydag_dist.engine import address, is_refusal, is_transient, refusal
from pydag_dist.engine.connection import FULL, is_full
from pydag_dist.engine.script import NotLoaded
from pydag_dist.errors import RedisAway

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_SECONDS = 600.0  # that a client goes on asking a Redis that has answered before
# A blocking read is cut into pieces, so that a stream that was trimmed or restored to an earlier
# time costs a look at the state now and then, and never a wait for ever.
BLOCK_SECONDS = 5.0
PAUSE = 0.5  # seconds before Redis is asked again

# Of this thread only: others may wait for other runs of the same client.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def until(deadline: float | None) -> Iterator[None]:
    """In here calls are given up at that time of the monotonic clock at the latest."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def rest_of(began: float, seconds: float) -> float:
    """How many seconds are left to a call that began at that time and may take so many."""
    end = began + seconds
    if (deadline := _deadline.get()) is not None:
        end = min(end, deadline)
    return max(0.0, end - time.monotonic())


def no_answer(error: redis.RedisError, client: redis.Redis) -> RedisAway:
    """The sentence for people of a Redis that has never answered."""
    where = address(client)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return RedisAway(
            f"The certificate of Redis at {where} is not trusted ({error}): name its authority by "
            "?ssl_ca_certs=FILE at the end of PYDAG_REDIS_URL, and the host as the certificate "
            "does."
        )
    return RedisAway(
        f"No Redis answers at {where} ({error}). Set PYDAG_REDIS_URL to the installation's Redis; "
        'for one on this machine run `pydag up`, and then `eval "$(pydag env)"` in this terminal.'
    )


class Retries:
    """Repeats the calls of one client for as long as they may still succeed.

    A Redis that never answered is not waited for: its address is wrong, or nobody has started it.
    """

    def __init__(self, client: redis.Redis, seconds: float = RETRY_SECONDS) -> None:
        self._client = client
        self._seconds = seconds
        self._has_answered = False
        self.interruptions = 0
        """How many calls had to be repeated."""

    def of(self, target: T, goes_on: str) -> T:
        """`target`, whose methods repeat their calls; `goes_on` ends the error of the last one."""
        return cast("T", _Retrying(self, target, goes_on))

    until = staticmethod(until)

    def call(self, ask: Callable[[], T], goes_on: str) -> T:
        """The answer. `RedisAway` when there is none in time, `RedisRefused`."""
        began = time.monotonic()
        is_warned = False
        while True:
            try:
                answer = ask()
            except redis.RedisError as error:
                self._check(error, began, goes_on)
                self.interruptions += 1
                if not is_warned:
                    what = (
                        f"can't do it now: {FULL}"
                        if is_full(error)
                        else f"can't be reached ({error})"
                    )
                    shown = "Redis at %s %s; waiting for it up to %.0f s"
                    log.warning(shown, address(self._client), what, self._rest(began))
                is_warned = True
                time.sleep(min(PAUSE, self._rest(began)))
            else:
                self._has_answered = True
                if is_warned:
                    log.warning("Redis is there again")
                return answer

    def _check(self, error: redis.RedisError, began: float, goes_on: str) -> None:
        if is_refusal(error) and not (
            self._has_answered and isinstance(error, redis.AuthenticationError)
        ):
            raise refusal(error, self._client) from None
        if not (is_transient(error) or is_refusal(error)):
            raise error
        answered = isinstance(error, redis.ResponseError | redis.BusyLoadingError | NotLoaded)
        if not (self._has_answered or answered):
            raise no_answer(error, self._client) from error
        if self._rest(began) <= 0:
            where, waited = address(self._client), time.monotonic() - began
            what, why = ("do it", FULL) if is_full(error) else ("be reached", error)
            raise RedisAway(
                f"Redis at {where} could not {what} for {waited:.0f} s ({why}). {goes_on}"
            ) from error

    def _rest(self, began: float) -> float:
        return rest_of(began, self._seconds)


class _Retrying:
    """Looks like another object, whose methods it calls again while they may still succeed."""

    def __init__(self, retries: Retries, target: Any, goes_on: str) -> None:
        self._retries = retries
        self._target = target
        self._goes_on = goes_on

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*args: Any, **options: Any) -> Any:
            return self._retries.call(lambda: found(*args, **options), self._goes_on)

        return call
