"""Coordinators share submissions, take over from one that died, and end when told to."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from pydag_dist.coordinator import Coordinator
from pydag_dist.engine import Engine
from pydag_dist.engine.protocol import PLANNERS
from pydag_dist.settings import Settings
from tests.support import wait_until
from tests.support.cluster import Cluster, Part, call, dag
from tests.support.local_bigquery import LocalBigQuery

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
        lambda: all(cluster.engine.reading.run_state(run.id) == "running" for run in runs),
        "all planned",
    )
    for part in both:
        part.terminate()
        assert part.wait() == 0
    assert sorted(planned(both[0]) + planned(both[1])) == sorted(run.id for run in runs)
    assert cluster.store.xlen(cluster.key("submissions")) == 0


@pytest.mark.short_lease
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
    tasks = cluster.engine.store.run_key(run.id, "tasks")
    wait_until(lambda: cluster.store.hlen(tasks), "the first chunk is planned")
    (planner,) = cluster.store.xpending_range(
        cluster.key("submissions"), "coordinators", "-", "+", 10
    )
    (victim,) = [part for part in both if planner["consumer"].endswith(f"-{part.pid}")]
    victim.signal(signal.SIGSTOP)
    assert 0 < cluster.store.hlen(tasks) < BIG
    assert cluster.engine.reading.run_state(run.id) == "queued"
    victim.kill()
    snapshot = cluster.wait_ended(run)
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
    assert cluster.engine.reading.snapshot(run.id).enqueued == {
        "coordinator": 1,
        "chord": 19,
        "tick": 0,
    }


@pytest.mark.short_lease
def test_without_coordinators_a_big_run_ends_though_tries_fail_jobs_wait_and_a_worker_dies(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten columns of 50 tasks; in each, five fail at first, and one waits for a remote job."""
    with LocalBigQuery(tmp_path) as bigquery:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.url)
        bigquery.fault(method="run", delay=3, count=None)
        coordinators = [cluster.coordinator() for _ in range(2)]
        queues = ["python", "bigquery"]
        workers = [cluster.worker(name, queues=queues, wait=False) for name in ("w1", "w2")]
        for worker in workers:
            cluster.wait_registered(worker)
        tries = {f"t{i}": 2 if i // 50 == i % 10 else 1 for i in range(500)}
        tasks = []
        for i, (name, number) in enumerate(tries.items()):
            task = cluster.task(name, "succeed_at", number=number) | {"retries": 1}
            if 250 <= i < 260:
                task |= {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}}
            after = [f"t{j}" for j in range(i % 10, i, 10)][-5:]
            tasks.append(task | {"retry_delay": 0.1, "dependencies": after})
        tries["t255"] = 1  # its job succeeds at once
        run = cluster.submit(tasks)
        cluster.wait_lines("ran", run, 50)
        for coordinator in coordinators:
            coordinator.kill()
        cluster.wait_lines("ran", run, 200)
        workers[0].kill()
        snapshot = cluster.wait_ended(run)
        jobs = [job["id"] for job in bigquery.journal()]
    assert snapshot.counts == {"success": 500}
    assert {name: task.try_number for name, task in snapshot.tasks.items()} == tries
    assert len(set(jobs)) == len(jobs) == 10
    ran = Counter((line.task, line.try_number) for line in cluster.journal.lines("ran", run.id))
    assert len(ran) == sum(tries.values()) - 10
    assert ran.total() <= len(ran) + 2  # the slots of the worker that died
    cluster.assert_nothing_left([run])


def test_a_planner_that_was_overtaken_leaves_the_submission_to_the_newer_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    coordinator = Coordinator(Settings(redis_url=redis_url, key_prefix="p", home=tmp_path))
    engine = coordinator._engine
    engine.store.redis.xgroup_create("p:submissions", PLANNERS, id="0", mkstream=True)
    graph = dag([call("t", "note")])
    engine.steering.submit("r", graph.to_json(), graph.dag_id)
    chunk, newer = engine.planning.plan_chunk, Engine(engine.store.redis, "p")
    monkeypatch.setattr(
        engine.planning,
        "plan_chunk",
        lambda *arguments: newer.planning.plan_begin("r") and chunk(*arguments),
    )
    coordinator._submissions.step()
    assert engine.reading.run_state("r") == "queued"
    assert engine.store.redis.xlen("p:submissions") == 1
    assert engine.store.redis.xpending("p:submissions", PLANNERS)["pending"] == 1
