"""Redis goes away in the middle of a run and comes back: the run ends, and nothing runs twice."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer, server_binary

TASKS = 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own."""
    with RedisServer(server_binary("valkey"), tmp_path / "redis") as server:
        yield server


@pytest.mark.parametrize("seconds", [0, 10])
def test_a_run_survives_redis_being_killed_and_away(
    server: RedisServer, tmp_path: Path, seconds: int
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        cluster.coordinator()
        workers = [cluster.worker(name, wait=False) for name in ("w1", "w2")]
        parents = {i: [f"t{j}" for j in range(max(0, i - 8), i - 4)] for i in range(TASKS)}
        run = cluster.submit(
            [cluster.task(f"t{i}", "note", ms=20, after=parents[i]) for i in range(TASKS)]
        )
        cluster.wait_lines("ran", run, TASKS // 4)
        server.kill()
        time.sleep(seconds)  # the length of the fault, not a wait for anything
        server.start()
        assert cluster.wait_ended(run).state == "success"
        ran = Counter(cluster.journal.tasks("ran", run.id))
        assert len(ran) == TASKS
        for task, count in ran.items():
            assert count <= 1 + int(cluster.record(run.id, task)["losses"])
        cluster.assert_nothing_left([run])
        for worker in workers:
            worker.check()
            pauses = re.findall(r"Trying again in ([\d.]+) second", worker.text())
            assert set(pauses) <= {"1.00"}
            assert pauses or seconds == 0


def test_a_claim_whose_answer_came_too_late_is_the_process_s_own(
    server: RedisServer, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        cluster.coordinator()
        options = ("-c", "1", "-I", "tests.faults.stalls_redis")
        env = {"PYDAG_TEST_STALLS": str(server.pid), "PYDAG_WORKER_RUN_ON": "0"}
        worker = cluster.celery_worker(*options, **env)
        run = cluster.submit([cluster.task("t", "note"), cluster.task("u", "note", after=["t"])])
        wait_until(lambda: "Redis can't do it now: Timeout" in worker.text(), "the claim's timeout")
        os.kill(server.pid, signal.SIGCONT)
        # Else it would wait for its lease.
        assert cluster.wait_ended(run).state == "success"
        assert cluster.journal.tasks("ran") == ["t", "u"]
        assert cluster.record(run.id, "u")["losses"] == "0"


def test_a_full_redis_lets_tasks_end_and_goes_on_when_it_has_room(
    server: RedisServer, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        coordinator, worker = cluster.coordinator(), cluster.worker()
        gate = tmp_path / "gate"
        held = [cluster.task(f"held{i}", "hold", gate=str(gate)) for i in range(2)]
        after = [cluster.task(f"t{i}", "note", after=["held0", "held1"]) for i in range(10)]
        run = cluster.submit([*held, *after])
        cluster.wait_lines("start", run, 2)
        coordinator.signal(signal.SIGSTOP)
        unplanned = cluster.submit([cluster.task("t", "note")])
        cluster.store.config_set("maxmemory", "1mb")
        coordinator.signal(signal.SIGCONT)
        gate.touch()
        wait_until(
            lambda: cluster.engine.reading.snapshot(run.id).counts.get("success") == 2,
            "both have ended",
        )
        for part in (coordinator, worker):
            wait_until(lambda part=part: "it is full (maxmemory)" in part.text(), "it is refused")
        assert "WARNING no webhooks: command" not in coordinator.text()
        cluster.store.config_set("maxmemory", "0")
        for each in (run, unplanned):
            assert cluster.wait_ended(each).state == "success"
        assert sorted(cluster.journal.tasks("ran")) == sorted(["t", *(f"t{i}" for i in range(10))])
        cluster.assert_nothing_left([run, unplanned])
        coordinator.check()
        worker.check()
