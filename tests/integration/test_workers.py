"""What a worker refuses to start with, and how it leaves."""

from __future__ import annotations

import pytest

from tests.cluster import Cluster
from tests.support import wait_until


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_another_pool_is_refused(cluster: Cluster, pool: str) -> None:
    worker = cluster.celery_worker("-P", pool, wait=False)
    assert worker.wait() == 1
    assert "prefork pool only" in worker.text()
    assert "Leave out -P" in worker.text()
    assert "Traceback" not in worker.text()


def test_a_redis_that_evicts_keys_is_refused_by_every_part(cluster: Cluster) -> None:
    cluster.store.config_set("maxmemory-policy", "allkeys-lru")
    try:
        parts = [
            cluster.start("coordinator", ["-m", "pydag_dist", "coordinator"]),
            cluster.worker(wait=False),
        ]
        statuses = [part.wait() for part in parts]
    finally:
        cluster.store.config_set("maxmemory-policy", "noeviction")
    for part, status in zip(parts, statuses, strict=True):
        assert status != 0
        assert "Redis evicts keys by allkeys-lru" in part.text()
        assert "set maxmemory-policy noeviction" in part.text()
        assert "Traceback" not in part.text()


def test_a_worker_that_is_told_to_end_finishes_its_tasks_first(cluster: Cluster) -> None:
    """Told so at once after it took them: their leases are renewed nevertheless."""
    cluster.coordinator()
    worker = cluster.worker()
    gate = cluster.directory / "gate"
    held = [cluster.task(f"t{i}", "hold", gate=str(gate)) for i in range(2)]
    later = [cluster.task(f"u{i}", "note", after=["t0"]) for i in range(5)]
    run = cluster.submit([*held, *later])
    cluster.wait_lines("start", run, 2)
    worker.terminate()
    leases = cluster.leases()
    assert sorted(leases) == [f"{run.id}/t0", f"{run.id}/t1"]
    wait_until(lambda: not cluster.slots(), "its slots are given back while it works")
    wait_until(
        lambda: (
            all(until > leases[task] for task, until in cluster.leases().items())
            and len(cluster.leases()) == 2
        ),
        "its leases are renewed",
    )
    assert cluster.store.llen(cluster.key("q:python")) == 0
    gate.touch()
    assert worker.wait() == 0
    assert sorted(cluster.journal.tasks("end")) == ["t0", "t1"]
    counts = cluster.engine.snapshot(run.id).counts
    assert counts == {"success": 2, "ready": 5}
    cluster.worker("w2")
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("start")) == ["t0", "t1"]
    assert sorted(cluster.journal.tasks("ran")) == [f"u{i}" for i in range(5)]
    cluster.assert_nothing_left([run])
