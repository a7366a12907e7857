"""Deferred tasks and their polls, driven by hand on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pydag_dist.engine import Claim, Deferral, Due, Held
from pydag_dist.why import why_task
from tests.support.engine_bench import QUERY, Bench, task

GROUP = "bigquery.query:test"
POLL_BATCH = 100
WAIT_TABLE = {"operator": "bigquery.wait_table", "params": {"table": "p.d.t"}}


def waits(held: Held, delay: float = 5) -> Deferral:
    return Deferral(GROUP, delay, json.dumps({"job": held.task}))


class Polls(Bench):
    """Tasks on the queue bigquery, whose worker has two slots."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.slots(2, "bigquery")

    def defer(self, held: Held, delay: float = 5) -> None:
        assert self.engine.working.defer(held, waits(held, delay)) == "ok"

    def defer_all(self, count: int) -> None:
        for _ in range(count):
            self.defer(self.take("bigquery"))

    def due_now(self) -> None:
        """Time passes for every timer."""
        for member in self.client.zrange("p:timers", 0, -1):
            self.client.zadd("p:timers", {member: 0})
        self.tick()

    def poll_messages(self) -> list[dict[str, str]]:
        listed = self.client.lrange("p:q:bigquery", 0, -1)
        headers = [json.loads(message)["headers"]["pydag"] for message in listed]
        return [header for header in headers if header["run"] == "*"]

    def claim_poll(self) -> list[Due]:
        header = json.loads(self.client.rpop("p:q:bigquery"))["headers"]["pydag"]
        assert (header["run"], header["task"]) == ("*", GROUP)
        return self.engine.working.claim_polls("bigquery", GROUP, header["push"], "w")

    def state(self, task: str = "a") -> str:
        return self.engine.reading.snapshot("r").tasks[task].state


@pytest.fixture
def polls(redis_url: str) -> Iterator[Polls]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Polls(client)


def queries(count: int) -> list[dict[str, Any]]:
    return [task(f"q{i:04}", **QUERY) for i in range(count)]


def test_a_deferred_task_is_polled_until_its_job_is_over(polls: Polls) -> None:
    polls.start(task("a", **QUERY), task("b", "a"))
    polls.defer(polls.take("bigquery"))
    assert polls.state() == "deferred"
    assert polls.client.exists("p:leases") == 0
    assert polls.poll_messages() == []
    polls.due_now()
    (due,) = polls.claim_poll()
    assert (due.held.task, json.loads(due.handle)) == ("a", {"job": "a"})
    assert due.spec["operator"] == "bigquery.query"
    polls.defer(due.held)
    polls.due_now()
    (due,) = polls.claim_poll()
    polls.end(due.held, result='{"rows": 7}')
    assert polls.state() == "success"
    assert polls.state("b") == "ready"
    assert polls.client.exists("p:timers", "p:due:bigquery", "p:groups:bigquery") == 0
    polls.slots(1)
    assert polls.engine.working.results(polls.take(), ["a"]) == {"a": {"rows": 7}}


def test_one_message_polls_a_hundred_and_polls_take_half_of_a_window(polls: Polls) -> None:
    polls.start(*queries(4 * POLL_BATCH + 50))
    polls.defer_all(4 * POLL_BATCH + 50)
    polls.due_now()
    polled = []
    while messages := polls.poll_messages():
        assert len(messages) <= 2  # two slots are a window of four
        polled.append(polls.claim_poll())
    assert [len(batch) for batch in polled] == [POLL_BATCH] * 4 + [50]
    assert len({due.held.task for batch in polled for due in batch}) == 4 * POLL_BATCH + 50


def test_a_poll_whose_message_is_lost_or_whose_worker_dies_is_made_again(polls: Polls) -> None:
    polls.start(task("a", **QUERY))
    polls.defer(polls.take("bigquery"))
    polls.due_now()
    (number,) = polls.client.hkeys("p:polls:bigquery")
    polls.client.delete("p:q:bigquery")
    polls.client.delete("p:polls:bigquery")
    polls.client.hset("p:polls:bigquery", "1-1", GROUP)  # pushed long ago
    polls.tick()
    assert polls.engine.working.claim_polls("bigquery", GROUP, number, "w") == []
    (first,) = polls.claim_poll()
    polls.due_now()  # it was never reported
    (second,) = polls.claim_poll()
    assert polls.engine.working.release(first.held, "failed") == "ended"
    polls.end(second.held)
    assert polls.state() == "success"


def test_nobody_else_gets_what_is_polled_twice(polls: Polls) -> None:
    polls.start(task("a", **QUERY))
    polls.defer(polls.take("bigquery"))
    polls.due_now()
    (header,) = polls.poll_messages()
    assert len(polls.engine.working.claim_polls("bigquery", GROUP, header["push"], "w")) == 1
    assert polls.engine.working.claim_polls("bigquery", GROUP, header["push"], "w") == []


def test_a_sensor_does_not_count_while_it_waits(polls: Polls) -> None:
    polls.start(task("a", **WAIT_TABLE), task("b", **QUERY), processors=1)
    held = polls.take("bigquery")
    assert (held.task, polls.state("b")) == ("a", "ready")
    polls.defer(held)
    assert polls.state("b") == "queued"


def test_a_deferred_job_counts(polls: Polls) -> None:
    polls.start(task("a", **QUERY), task("b", **QUERY), processors=1)
    polls.defer(polls.take("bigquery"))
    assert polls.state("b") == "ready"


def test_a_cancelled_run_asks_a_worker_to_cancel_deferred_jobs(polls: Polls) -> None:
    polls.start(task("a", **QUERY))
    polls.defer(polls.take("bigquery"))
    assert polls.engine.steering.cancel("r") == "cancelling"
    held = polls.pop("bigquery")
    claim = polls.engine.working.claim(*vars(held).values(), "w", process=1)
    assert claim.order == "cancel"
    polls.end(held, "stopped")
    assert polls.engine.reading.run_state("r") == "cancelled"


def test_the_timeout_of_a_deferred_task_is_its_last_timer(polls: Polls) -> None:
    polls.start(task("a", timeout=100, **QUERY))
    held = polls.take("bigquery")
    polls.defer(held, delay=500)
    started = polls.engine.reading.snapshot("r").tasks["a"].started_at
    assert started is not None
    due = polls.client.zscore("p:timers", "poll/r/a") / 1e6
    assert abs(due - started - 100) < 0.001


def test_wanted_says_whether_anything_waits_for_a_slot(polls: Polls) -> None:
    assert not polls.engine.working.has_work("bigquery")
    polls.start(task("a", **QUERY), task("b", **QUERY))
    first = polls.take("bigquery")
    assert polls.engine.working.has_work("bigquery")
    second = polls.take("bigquery")
    assert not polls.engine.working.has_work("bigquery")
    polls.defer(first)
    assert not polls.engine.working.has_work("bigquery")
    polls.due_now()
    assert polls.engine.working.has_work("bigquery")
    polls.end(second)


def test_a_resumed_run_looks_for_the_job_of_a_poisoned_try(polls: Polls) -> None:
    polls.start(task("a", **QUERY))
    for _ in range(3):
        polls.end(polls.take("bigquery"), "dead")
    assert polls.engine.reading.run_state("r") == "failed"
    polls.engine.steering.resume("r")
    polls.plan()
    assert polls.pop("bigquery").try_number == 1


def test_a_lost_job_ends_its_task_without_another_try_and_a_resumed_run_asks_for_it(
    polls: Polls,
) -> None:
    polls.start(task("a", retries=3, **QUERY))
    polls.defer(polls.take("bigquery"))
    polls.due_now()
    (due,) = polls.claim_poll()
    polls.engine.working.release(due.held, "lost", error="nobody knows")
    assert polls.engine.reading.run_state("r") == "failed"
    assert why_task(polls.engine.reading, "r", "a").endswith("(try 1 of 4): nobody knows")
    polls.engine.steering.resume("r")
    polls.plan()
    held = polls.take("bigquery")
    assert held.try_number == 1
    polls.end(held)
    assert polls.engine.reading.run_state("r") == "success"


def test_a_claim_says_which_tries_succeeded_and_are_to_run_again(polls: Polls) -> None:
    def settled() -> int:
        held = polls.pop("bigquery")
        claim = polls.engine.working.claim(*vars(held).values(), "w", process=1)
        assert isinstance(claim, Claim)
        polls.end(held, "success" if held.try_number in (1, 2) else "failed")
        return claim.settled

    polls.start(task("a", **QUERY))
    assert settled() == 0
    for expected in (1, 2):
        polls.engine.steering.resume("r", from_task="a")
        polls.plan()
        assert settled() == expected
    polls.engine.steering.resume("r")  # what failed is no success that is to be had again
    polls.plan()
    assert settled() == 2
    polls.engine.steering.resume("r", from_task="a")
    polls.plan()
    assert settled() == 4
