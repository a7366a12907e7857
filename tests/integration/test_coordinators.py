"""Coordinators share submissions, take over from one that died, and end when told to."""

from __future__ import annotations

import re
import signal

from tests.cluster import Cluster, Part
from tests.support import wait_until

BIG = 20_000


def planned(part: Part) -> list[str]:
    """The runs that a coordinator says it planned."""
    return re.findall(r"(\S+): planned, \d+ tasks", part.text())


def test_two_coordinators_share_submissions_and_plan_each_once(cluster: Cluster) -> None:
    both = [cluster.coordinator() for _ in range(2)]
    runs = []

    def both_planned() -> bool:
        runs.append(cluster.submit([cluster.task("t", "note")]))
        return all(map(planned, both))

    wait_until(both_planned, "both have planned a run")
    wait_until(
        lambda: all(cluster.engine.run_state(run.id) == "running" for run in runs), "all planned"
    )
    for part in both:
        part.terminate()
        assert part.wait() == 0
    assert sorted(planned(both[0]) + planned(both[1])) == sorted(run.id for run in runs)
    assert cluster.store.xlen(cluster.key("submissions")) == 0


def test_a_coordinator_takes_over_what_another_one_was_planning(cluster: Cluster) -> None:
    """A big fan-out from a task that fails, so that it ends by one cascade."""
    both = [cluster.coordinator() for _ in range(2)]
    cluster.worker(wait=False)
    run = cluster.submit(
        [
            cluster.task("t0", "note", fail=True),
            *(cluster.task(f"t{i}", "note", after=["t0"]) for i in range(1, BIG)),
        ]
    )
    tasks = cluster.engine.run_key(run.id, "tasks")
    wait_until(lambda: cluster.store.hlen(tasks), "the first chunk is planned")
    (planner,) = cluster.store.xpending_range(
        cluster.key("submissions"), "coordinators", "-", "+", 10
    )
    (victim,) = [part for part in both if planner["consumer"].endswith(f"-{part.pid}")]
    victim.signal(signal.SIGSTOP)
    assert 0 < cluster.store.hlen(tasks) < BIG
    assert cluster.engine.run_state(run.id) == "queued"
    victim.kill()
    snapshot = cluster.wait_ended(run, timeout=120)
    assert snapshot.state == "failed"
    assert snapshot.counts == {"failed": 1, "upstream_failed": BIG - 1}
    assert cluster.journal.tasks("ran") == ["t0"]
    (other,) = [part for part in both if part is not victim]
    assert planned(other) == [run.id]
    assert planned(victim) == []
    cluster.assert_nothing_left([run])


def test_killing_all_coordinators_stops_no_run(cluster: Cluster) -> None:
    coordinator = cluster.coordinator()
    cluster.worker()
    gate = cluster.directory / "gate"
    chain = [cluster.task("t0", "hold", gate=str(gate))]
    chain += [cluster.task(f"t{i}", "note", after=[f"t{i - 1}"]) for i in range(1, 20)]
    run = cluster.submit(chain)
    cluster.wait_lines("start", run, 1)
    coordinator.kill()
    gate.touch()
    assert cluster.wait_ended(run).state == "success"
    assert cluster.engine.snapshot(run.id).enqueued == {"coordinator": 1, "chord": 19, "tick": 0}
