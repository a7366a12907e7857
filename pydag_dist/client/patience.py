"""How a client waits for a Redis that was there: as long as it is patient, and saying so once."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import redis

from pydag_dist.engine import address, is_passing, is_refusal, refusal
from pydag_dist.engine.script import NotLoaded
from pydag_dist.errors import RedisAway

T = TypeVar("T")
log = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds that a client waits for a Redis that it has met
PAUSE = 0.5  # seconds before Redis is asked again

# Of this thread only: others may wait for other runs of the same client.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Patience:
    """Repeats the calls of one client for as long as they may still succeed.

    A Redis that never answered is not waited for: its address is wrong, or nobody has started it.
    """

    def __init__(self, client: redis.Redis, seconds: float = PATIENCE) -> None:
        self._client = client
        self._seconds = seconds
        self._has_met = False
        self.interruptions = 0
        """How many calls had to be repeated."""

    def of(self, target: T, goes_on: str) -> T:
        """`target`, whose methods are patient; `goes_on` is told to who is waiting in vain."""
        return cast("T", _Patient(self, target, goes_on))

    @contextmanager
    def until(self, deadline: float | None) -> Iterator[None]:
        """In here calls are given up at that time of the monotonic clock at the latest."""
        before = _deadline.set(deadline)
        try:
            yield
        finally:
            _deadline.reset(before)

    def call(self, ask: Callable[[], T], goes_on: str) -> T:
        """The answer. `RedisAway` when there is none in time, `RedisRefused`."""
        began = time.monotonic()
        told = False
        while True:
            try:
                answer = ask()
            except redis.RedisError as error:
                self._check(error, began, goes_on)
                self.interruptions += 1
                if not told:
                    what = "Redis at %s can't be reached (%s); waiting for it up to %.0f s"
                    log.warning(what, address(self._client), error, self._rest(began))
                told = True
                time.sleep(min(PAUSE, self._rest(began)))
            else:
                self._has_met = True
                if told:
                    log.warning("Redis is there again")
                return answer

    def _check(self, error: redis.RedisError, began: float, goes_on: str) -> None:
        if is_refusal(error) and not (
            self._has_met and isinstance(error, redis.AuthenticationError)
        ):
            raise refusal(error, self._client) from None
        if not (is_passing(error) or is_refusal(error)):
            raise error
        answered = isinstance(error, redis.ResponseError | redis.BusyLoadingError | NotLoaded)
        where = address(self._client)
        if not (self._has_met or answered):
            raise RedisAway(
                f"No Redis answers at {where} ({error}). Set PYDAG_REDIS_URL to the "
                "installation's Redis; for one on this machine run `pydag up`, and then "
                '`eval "$(pydag env)"` in this terminal.'
            ) from error
        if self._rest(began) <= 0:
            waited = time.monotonic() - began
            raise RedisAway(
                f"Redis at {where} could not be reached for {waited:.0f} s ({error}). {goes_on}"
            ) from error

    def _rest(self, began: float) -> float:
        until = began + self._seconds
        if (deadline := _deadline.get()) is not None:
            until = min(until, deadline)
        return max(0.0, until - time.monotonic())


class _Patient:
    """Looks like another object, whose methods it calls patiently."""

    def __init__(self, patience: Patience, target: Any, goes_on: str) -> None:
        self._patience = patience
        self._target = target
        self._goes_on = goes_on

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*args: Any, **options: Any) -> Any:
            return self._patience.call(lambda: found(*args, **options), self._goes_on)

        return call
