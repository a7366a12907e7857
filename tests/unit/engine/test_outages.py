"""A full Redis is named as such, and an outage is told once although calls in between succeed."""

from __future__ import annotations

import threading
import time
from typing import Any

import fakeredis
import pytest
import redis

from pydag_dist.client.retrying import Retries
from pydag_dist.coordinator import repeating
from pydag_dist.engine.connection import FULL, Outage
from pydag_dist.engine.connection.outage import QUIET
from pydag_dist.errors import RedisAway

OOM = "command not allowed when used memory > 'maxmemory'."
ERRORS = [
    redis.OutOfMemoryError(OOM),
    redis.ResponseError(f"Transaction discarded because of: OOM {OOM}"),
]


def test_an_outage_begins_when_its_trouble_is_new_or_comes_after_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    outage, told = Outage(), []
    for passed, trouble in [(0, "a"), (5, "a"), (9, "a"), (1, "b"), (1, "b"), (QUIET + 1, "b")]:
        now += passed
        told.append(outage.begins_with(trouble))
    assert told == [True, False, False, True, False, True]


@pytest.mark.parametrize("error", ERRORS)
def test_a_loop_that_a_full_redis_lets_do_every_second_step_says_so_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(repeating, "AWAY", 0)
    stopping, steps = threading.Event(), 0

    def step() -> float:
        nonlocal steps
        steps += 1
        if steps > 6:
            stopping.set()
        if steps % 2:
            raise error
        return 0

    store: Any = type("Store", (), {"disconnect": lambda _: None})()
    repeating.repeat(step, store, stopping, "no tick")
    assert caplog.messages == [f"no tick: {FULL}"]


@pytest.mark.parametrize("error", ERRORS)
def test_a_client_names_a_full_redis_and_what_to_do(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pydag_dist.client.retrying.PAUSE", 0)

    def ask() -> None:
        raise error

    with pytest.raises(RedisAway, match=r"could not do it for 0 s \(it is full \(maxmemory\)"):
        Retries(fakeredis.FakeRedis(), 0.01).call(ask, "It goes on.")
    assert FULL in caplog.messages[0]
    assert "can't be reached" not in caplog.text
