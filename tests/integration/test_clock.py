"""Steady time: what is waited for, while the server's clock steps and Redis comes and goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pydag_dist.engine import Deferral, Held
from tests.faults.faulty_server import FaultyServer, needs_faketime
from tests.support import wait_until
from tests.support.engine_bench import QUERY, Bench, task, with_own_clock

HOUR = 3600.0
GAP = 3.0  # seconds between two ticks that count in full
MAX_GAP = 4.0
LEASE, UNNAMED = 15.0, 6.0
BEGIN = 1_800_000_000.0  # epoch seconds


class Clock(Bench):
    """A bench whose time passes when it is told to."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        with_own_clock(self.engine)
        client.set("p:now", round(BEGIN * 1e6))

    def step(self, seconds: float) -> None:
        """The server's clock steps, or so long nobody ticks."""
        self.client.incrby("p:now", round(seconds * 1e6))

    def pass_time(self, seconds: float) -> None:
        """Time passes, with ticks."""
        ticks = math.ceil(seconds / GAP)
        for _ in range(ticks):
            self.away(seconds / ticks)

    def away(self, seconds: float) -> None:
        """Redis is away for so long, or its clock steps; then there is a tick."""
        self.step(seconds)
        assert self.engine.tick()

    def state(self, name: str, run: str = "r") -> str:
        return self.engine.reading.snapshot(run).tasks[name].state

    def steady(self) -> float:
        return int(self.client.hget("p:clock", "steady")) / 1e6

    def renew(self, *held: Held, looked_ago: float | None = 0.0, worker: str = "w") -> list[str]:
        return self.engine.working.renew(worker, 2, ["python"], held, looked_ago=looked_ago)


@pytest.fixture
def clock(redis_url: str) -> Iterator[Clock]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        clock = Clock(client)
        clock.slots(2)
        assert clock.engine.tick()
        yield clock


@pytest.mark.parametrize("step", [-2 * HOUR, -1.0, 1.0, HOUR])
def test_a_step_of_the_clock_expires_no_lease_and_leaves_none_for_longer(
    clock: Clock, step: float
) -> None:
    clock.start(task("a"))
    clock.take()
    clock.away(step)
    assert clock.state("a") == "running"
    clock.pass_time(LEASE - MAX_GAP - 1)
    assert clock.state("a") == "running"
    clock.pass_time(MAX_GAP + 1.1)
    assert clock.state("a") == "ready"  # its worker's slots are gone, too


@pytest.mark.parametrize("step", [-2 * HOUR, HOUR])
def test_a_retry_waits_for_its_delay_whatever_the_clock_does(clock: Clock, step: float) -> None:
    clock.start(task("a", retries=1, retry_delay=6.0))
    clock.end(clock.take(), "failed")
    clock.away(step)
    assert clock.state("a") == "up_for_retry"
    clock.pass_time(6.1)
    assert clock.state("a") == "queued"


@pytest.mark.parametrize("step", [-2 * HOUR, HOUR])
def test_timeouts_are_of_time_that_passed(clock: Clock, step: float) -> None:
    clock.slots(4, "bigquery")
    clock.start(task("a", timeout=6), task("b", timeout=6, **QUERY), timeout=12)
    a, b = clock.take(), clock.take("bigquery")
    assert clock.engine.working.defer(b, Deferral("g", 500, "{}")) == "ok"
    clock.away(step)
    assert clock.renew(a) == ["yours"]
    clock.pass_time(1)
    assert (clock.state("a"), clock.state("b")) == ("running", "deferred")
    clock.pass_time(6)
    assert clock.renew(a) == ["cancel"]
    assert clock.state("b") == "cancelling"
    assert clock.engine.reading.run_state("r") == "running"
    clock.pass_time(6)
    assert clock.engine.reading.run_state("r") == "cancelling"


def test_what_people_are_told_is_the_server_s_time(clock: Clock) -> None:
    clock.away(-2 * HOUR)
    clock.start(task("a"))
    clock.end(clock.take())
    run = clock.engine.reading.snapshot("r")
    for at in (run.submitted_at, run.started_at, run.ended_at, run.tasks["a"].started_at):
        assert at == pytest.approx(BEGIN - 2 * HOUR, abs=1)


def test_leases_of_the_dead_run_out_though_redis_is_away_again_and_again(clock: Clock) -> None:
    clock.start(task("a"), task("b"))
    clock.take()
    live = clock.take()
    for _ in range(4):
        assert clock.state("a") == "running"
        clock.away(600)
        assert clock.renew(live, worker="w2") == ["yours"]
        assert clock.state("b") == "running"
    assert clock.state("a") == "queued"


def test_calls_before_the_first_tick_after_an_outage_find_time_that_stands(clock: Clock) -> None:
    clock.start(task("a"), task("b"))
    held = clock.take()
    clock.step(HOUR)
    other = clock.take()
    lease = clock.client.zscore("p:leases", "r/b") / 1e6
    assert lease == clock.steady() + MAX_GAP + LEASE
    assert clock.renew(held, other) == ["yours", "yours"]
    for i in range(50):
        clock.engine.steering.submit(f"q{i}", "{}", "test")
    assert len({clock.engine.planning.plan_begin(f"q{i}") for i in range(50)}) == 50


def test_slot_time_is_neither_negative_nor_of_a_step(clock: Clock) -> None:
    clock.start(*[task(name) for name in "abc"])
    for step in (-2 * HOUR, HOUR, -1.0):
        held = clock.take()
        clock.away(step)
        clock.end(held)
    used = float(clock.client.hget("p:run:r", "share/python").split()[0]) / 1e6
    assert 0 <= used < 2 * MAX_GAP
    score = clock.client.hget("p:windows", "mean/python")
    assert 0 <= float(score) / 1e6 < 2 * MAX_GAP


def test_a_webhook_is_due_after_its_delay_whatever_the_clock_does(clock: Clock) -> None:
    clock.engine.steering.submit("r", "{}", "test", hooks=True)
    clock.engine.planning.plan_refuse("r", "no")
    clock.away(-2 * HOUR)
    clock.pass_time(1)
    assert clock.engine.webhooks.take(30) == ("r", "ended", 0)
    clock.engine.webhooks.later("r", "ended", 5)
    clock.away(HOUR)
    assert clock.engine.webhooks.take() is None
    clock.pass_time(2)
    assert clock.engine.webhooks.take() == ("r", "ended", 1)
    clock.engine.webhooks.done("r", "ended")
    clock.engine.webhooks.later("r", "ended", 5)
    assert not clock.client.exists("p:webhooks")


def test_a_message_that_got_lost_is_missed_after_its_grace(clock: Clock) -> None:
    clock.start(task("a"))
    clock.pop()
    clock.away(-2 * HOUR)
    clock.pass_time(3)
    assert clock.client.llen("p:q:python") == 0
    clock.pass_time(3)
    assert clock.client.llen("p:q:python") == 1


def test_what_a_living_worker_does_not_name_is_given_to_others(clock: Clock) -> None:
    clock.start(task("a"), task("b"))
    held, _ended_but_lost = clock.take(), clock.take()
    for _ in range(2):
        clock.pass_time(GAP)
        assert clock.renew(held) == ["yours"]
    assert (clock.state("a"), clock.state("b")) == ("running", "queued")


def test_nothing_is_taken_from_whoever_looked_before_it_was_claimed(clock: Clock) -> None:
    clock.start(task("a"), task("b"))
    first, second = clock.take(), clock.take()
    clock.pass_time(9)
    assert clock.renew(looked_ago=9.5 - UNNAMED + 4) == []  # it looked before the claims
    assert clock.renew(first, looked_ago=None) == ["yours"]  # it may hold more
    assert clock.renew(first, looked_ago=0, worker="other") == ["yours"]  # not its own
    assert clock.state("b") == "running"
    assert clock.renew(first, second) == ["yours", "yours"]


def test_a_claim_that_its_worker_has_not_seen_yet_is_left_to_it(clock: Clock) -> None:
    clock.start(task("a"))
    held = clock.take()
    clock.pass_time(GAP)
    assert clock.renew() == []
    assert clock.state("a") == "running"
    assert clock.renew(held) == ["yours"]


def test_a_worker_started_again_under_its_name_lets_go_what_it_held(clock: Clock) -> None:
    clock.slots(2, "bigquery")
    clock.start(task("a"), task("b", **QUERY))
    clock.take()
    b = clock.take("bigquery")
    assert clock.engine.steering.cancel("r") == "cancelling"
    assert clock.renew(b) == ["cancel"]
    clock.pass_time(UNNAMED)
    clock.renew()
    assert (clock.state("a"), clock.state("b")) == ("cancelled", "cancelling")
    assert clock.client.llen("p:q:bigquery") == 1  # somebody is to cancel its job


def test_an_older_redis_makes_no_push_number_twice(clock: Clock) -> None:
    """Restored to before, steady time comes again, up to the same microsecond."""
    for run in ("q0", "q1"):
        clock.engine.steering.submit(run, "{}", "test")
    first = clock.engine.planning.plan_begin("q0")
    later = 777_123_456  # µs
    clock.client.hincrby("p:clock", "ticked", later)
    clock.client.incrby("p:now", later - 1)
    again = clock.engine.planning.plan_begin("q1")
    assert first is not None
    assert again is not None
    assert first.partition("-")[0] == again.partition("-")[0]
    assert first != again


def test_what_redis_itself_dates_is_dated_anew_when_its_clock_went_back(tmp_path: Path) -> None:
    needs_faketime()
    with (
        FaultyServer(tmp_path / "redis") as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        bench: Any = Bench(client)
        bench.engine.steering.submit("r", "{}", "test")
        client.xgroup_create("p:submissions", "coordinators", id="0")
        client.xreadgroup("coordinators", "dead", {"p:submissions": ">"})
        client.set("p:history:writer", "dead", ex=15)
        client.set("p:database", "some", ex=30)
        bench.tick()
        server.set_clock(-7200)
        wait_until(bench.engine.tick, "there is a tick, and not only in two hours")
        take_over = lambda: client.xautoclaim("p:submissions", "coordinators", "live", 1)[1]  # noqa: E731
        wait_until(take_over, "another coordinator takes the submission over")
        assert not client.exists("p:history:writer")
        assert 0 < client.ttl("p:database") <= 30
