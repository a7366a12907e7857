"""Late binding, fair share, caps and order, as the tasks of real workers saw them."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from tests.support import wait_until
from tests.support.cluster import Cluster, Part

QUEUE = "q:python"


def one_slot(cluster: Cluster, **env: str) -> Part:
    cluster.coordinator()
    return cluster.worker(slots=1, **env)


def test_without_a_worker_tasks_stay_ready_and_with_the_first_they_run(cluster: Cluster) -> None:
    cluster.coordinator()
    run = cluster.submit([cluster.task(f"t{i}", "note") for i in range(10)])
    wait_until(lambda: cluster.engine.reading.run_state(run.id) == "running", "it is planned")
    cluster.wait_ticks(2)
    assert cluster.engine.reading.snapshot(run.id).counts == {"ready": 10}
    assert cluster.store.llen(cluster.key(QUEUE)) == 0
    cluster.worker()
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("ran")) == sorted(run.tasks)


def test_what_the_last_worker_leaves_is_ready_again(cluster: Cluster, tmp_path: Path) -> None:
    worker = one_slot(cluster)
    held = cluster.task("held", "hold", gate=str(tmp_path / "gate")) | {"priority": 1}
    run = cluster.submit([held, *(cluster.task(f"t{i}", "note") for i in range(10))])
    cluster.wait_lines("start", run, 1)
    wait_until(lambda: cluster.store.llen(cluster.key(QUEUE)) == 2, "the window is full")
    assert cluster.engine.reading.snapshot(run.id).counts == {"running": 1, "queued": 2, "ready": 8}
    worker.terminate()
    wait_until(
        lambda: cluster.engine.reading.snapshot(run.id).counts == {"running": 1, "ready": 10},
        "the messages are taken back",
    )
    assert cluster.store.llen(cluster.key(QUEUE)) == 0
    assert cluster.store.zcard(cluster.key("queued")) == 0
    (tmp_path / "gate").touch()
    assert worker.wait() == 0
    cluster.worker("w2")
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("ran")) == sorted(f"t{i}" for i in range(10))
    assert {cluster.record(run.id, f"t{i}")["pushes"] for i in range(10)} == {"1"}
    cluster.assert_nothing_left([run])


def test_a_small_run_behind_a_big_one_gets_slots_at_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.coordinator()
    # Run-on may begin tasks of the big one for a tenth of a second more.
    cluster.worker(slots=2, PYDAG_WORKER_RUN_ON="0")
    task, gate = cluster.task, str(tmp_path / "gate")
    held = [task(f"held{i}", "hold", gate=gate) | {"priority": 1} for i in range(2)]
    big = cluster.submit([*held, *(task(f"t{i}", "note") for i in range(2_000))])
    cluster.wait_lines("start", big, 2)
    small = cluster.submit([task(f"t{i}", "note") for i in range(5)])
    wait_until(lambda: cluster.engine.reading.run_state(small.id) == "running", "it is planned")
    Path(gate).touch()
    assert cluster.wait_ended(small).state == "success"
    runs = [line.run for line in cluster.journal.lines("ran")]
    last_of_small = max(at for at, run in enumerate(runs) if run == small.id)
    # Of the big run: the four messages in the window, then at most every other one.
    assert runs[:last_of_small].count(big.id) <= 12


def test_a_cap_on_processors_holds(busy_cluster: Cluster) -> None:
    run = busy_cluster.submit(
        [busy_cluster.task(f"t{i}", "work", ms=10) for i in range(40)], processors=2
    )
    active = busy_cluster.engine.store.run_key(run.id, "active")
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, busy_cluster.store.scard(active))
        return busy_cluster.engine.reading.run_state(run.id) == "success"

    wait_until(ended, "the run succeeds")
    assert most == 2
    steps = {"start": 1, "end": -1}
    lines = busy_cluster.journal.lines(run=run.id)
    assert max(accumulate(steps[line.what] for line in lines)) == 2


def test_one_slot_serves_priority_and_then_the_critical_path(cluster: Cluster) -> None:
    # Run-on begins what would become the next message, before those that are in the queue.
    one_slot(cluster, PYDAG_WORKER_RUN_ON="0")
    roots = {"a": (0, 0), "b": (0, 3), "c": (0, 1), "d": (5, 0), "e": (-5, 4)}
    tasks = []
    for name, (priority, tail) in roots.items():
        tasks.append(cluster.task(name, "note") | {"priority": priority})
        for i in range(tail):
            before = f"{name}{i - 1}" if i else name
            tasks.append(cluster.task(f"{name}{i}", "note", after=[before]) | {"priority": -10})
    run = cluster.submit(tasks)
    assert cluster.wait_ended(run).state == "success"
    assert [task for task in cluster.journal.tasks("ran") if task in roots] == list("dbcae")
