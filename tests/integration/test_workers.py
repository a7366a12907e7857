"""What a worker refuses to start with, and how it leaves."""

from __future__ import annotations

import pytest

from tests.support import is_alive, wait_until
from tests.support.cluster import Cluster, call


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


def test_another_lease_than_the_installations_is_refused_by_every_part(cluster: Cluster) -> None:
    first = cluster.coordinator()
    wait_until(lambda: cluster.engine.reading.members("coordinators"), "it is known")
    worker = cluster.worker(wait=False, PYDAG_LEASE="5")
    second = cluster.start("coordinator", ["-m", "pydag_dist", "coordinator"], PYDAG_LEASE="5")
    for part in (worker, second):
        assert part.wait() != 0
        assert "the lease is 5 s here (PYDAG_LEASE), and 15 s for" in " ".join(part.text().split())
        assert "Traceback" not in part.text()
    assert is_alive(first.pid)


def test_a_worker_that_is_told_to_end_finishes_its_tasks_first(cluster: Cluster) -> None:
    """Told so at once after it took them: their leases are renewed nevertheless."""
    cluster.coordinator()
    worker = cluster.worker()
    gate = cluster.directory / "gate"
    held = [cluster.task(f"t{i}", "hold", gate=str(gate)) for i in range(2)]
    later = [cluster.task(f"u{i}", "note", after=["t0"]) for i in range(5)]
    frozen = call("frozen", "frozen", after=["t0"])
    run = cluster.submit([*held, *later, frozen])
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
    counts = cluster.engine.reading.snapshot(run.id).counts
    assert counts == {"success": 2, "ready": 6}
    cluster.worker("w2")
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("start")) == ["t0", "t1"]
    assert sorted(cluster.journal.tasks("ran")) == [f"u{i}" for i in range(5)]
    # What was loaded before the fork is shared: no collection looks at it.
    assert cluster.engine.reading.snapshot(run.id).tasks["frozen"].result > 50_000
    cluster.assert_nothing_left([run])


def test_paused_workers_lose_their_leases_and_take_back_what_nobody_else_has(
    cluster: Cluster,
) -> None:
    """As a host that is suspended: one worker has a substitute for its queue, the other has not."""
    cluster.coordinator()
    paused = [cluster.worker(name, 1, [name], wait=False) for name in ("shared", "alone")]
    for worker in paused:
        cluster.wait_registered(worker, worker.name)
    runs, gates = [], [cluster.directory / f"gate-{name}" for name in ("shared", "alone")]
    for worker, gate in zip(paused, gates, strict=True):
        tasks = [
            cluster.task("t", "hold", gate=str(gate)),
            cluster.task("next", "note", after=["t"]),
        ]
        runs.append(cluster.submit([task | {"queue": worker.name} for task in tasks]))
        cluster.wait_lines("start", runs[-1], 1)
    shared, alone = runs
    for worker in paused:
        worker.pause()
    cluster.worker("substitute", 1, ["shared"])
    first, second = cluster.wait_lines("start", shared, 2)
    assert first.push != second.push
    wait_until(
        lambda: cluster.engine.reading.snapshot(alone.id).counts == {"ready": 1, "none": 1},
        "it is lost",
    )
    for worker in paused:
        worker.resume()
    wait_until(
        lambda: cluster.engine.reading.snapshot(alone.id).counts == {"running": 1, "none": 1},
        "it is taken back",
    )
    wait_until(lambda: "lease was lost" in paused[0].text(), "the other one is told")
    for gate in gates:
        gate.touch()
    for run, starts in ((shared, 2), (alone, 1)):
        snapshot = cluster.wait_ended(run)
        assert snapshot.state == "success"
        assert cluster.journal.tasks("ran", run.id) == ["next"]
        cluster.wait_lines("end", run, starts)
        assert len(cluster.journal.lines("start", run.id)) == starts
        record = cluster.record(run.id, "t")
        assert (record["try"], record["losses"]) == ("1", "1")
    cluster.assert_nothing_left(runs)
    assert cluster.engine.reading.snapshot(shared.id).tasks["t"].worker == "substitute@test"
