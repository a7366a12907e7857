"""Cancelling a run in whatever order its tasks are met: each ends once."""

from __future__ import annotations

import redis

from tests.support.engine_bench import Bench, task


def test_an_expanded_task_ends_once_if_its_children_are_met_first(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        bench = Bench(client)
        bench.slots(1)
        expanded = [task(f"each{i}", expand={"over": [i]}) for i in range(40)]
        bench.start(task("runs", priority=1), *expanded)
        held = bench.take()
        assert held.task == "runs"
        assert bench.engine.steering.cancel("r") == "cancelling"
        assert client.hget("p:run:r", "left") == "1"
        bench.end(held, "stopped")
        snapshot = bench.engine.reading.snapshot("r")
        assert (snapshot.state, snapshot.counts) == ("cancelled", {"cancelled": 81})
