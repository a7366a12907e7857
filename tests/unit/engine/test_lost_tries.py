"""A run is cancelled, or a task marked, while a try waits whose worker is gone; on fakeredis."""

from __future__ import annotations

import pytest

from pydag_dist.engine import Claim
from tests.support.engine_bench import QUERY, task


def state_of(bench):
    return bench.engine.reading.snapshot("r").tasks["a"].state


@pytest.mark.parametrize("slots", [0, 1])  # it is ready, or its next message is pushed
@pytest.mark.parametrize("mark", ["", "success", "failed"])
def test_a_worker_cancels_the_remote_job_of_a_try_whose_worker_died(bench, slots, mark):
    bench.slots(1, "bigquery")
    bench.start(task("a") | QUERY)
    held = bench.take("bigquery")
    bench.slots(slots, "bigquery")
    bench.end(held, "dead", error="its process died of SIGKILL")
    assert state_of(bench) == ("queued" if slots else "ready")

    if mark:
        bench.engine.steering.mark("r", "a", mark, "ana@host")
    else:
        assert bench.engine.steering.cancel("r") == "cancelling"
    assert state_of(bench) == "cancelling"
    bench.slots(1, "bigquery")
    bench.tick()
    order = bench.pop("bigquery")
    while bench.client.llen("p:q:bigquery"):  # of messages that are older, none is claimed
        order = bench.pop("bigquery")
    claim = bench.engine.working.claim(*vars(order).values(), "w", process=1)
    assert isinstance(claim, Claim)
    assert claim.order == "cancel"
    bench.end(order, "stopped")
    assert bench.engine.reading.run_state("r") == (mark or "cancelled")
    assert not bench.client.exists("p:queued", "p:leases")


@pytest.mark.parametrize(
    ("kind", "queue", "has_begun"),
    [({}, "python", False), ({}, "python", True), (QUERY, "bigquery", False)],
)
def test_what_left_nothing_elsewhere_is_cancelled_at_once(bench, kind, queue, has_begun):
    bench.slots(1, queue)
    bench.start(task("a") | kind)
    if has_begun:
        bench.end(bench.take(queue), "dead")
    assert bench.engine.steering.cancel("r") == "cancelled"
