"""Random DAGs on real workers: every state is the reference model's, every task runs once."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from pydag_dist.client import Run
from tests.support import wait_until
from tests.support.cluster import Cluster

DAGS = int(os.environ.get("PYDAG_TEST_DAGS", "50"))
KILLS = int(os.environ.get("PYDAG_TEST_KILLS", "4"))
SEED = int(os.environ.get("PYDAG_TEST_SEED", "1"))
BIGGEST = 200
SLOTS = 2
TASKS_PER_KILL = 200

# State -> try, error and result.
OUTCOMES = {
    "success": (1, None, "noted"),
    "failed": (1, "ValueError: told to fail", None),
    "upstream_failed": (1, None, None),
}


def random_dag(chance: random.Random) -> dict[str, tuple[list[str], bool]]:
    """Task -> its upstream tasks, and whether it fails; parents first, from chains to wide DAGs."""
    count = chance.choice([1, 2, chance.randint(3, 40), chance.randint(40, BIGGEST)])
    reach = chance.choice([1, 3, 10, BIGGEST])
    most = chance.choice([1, 2, 5])
    failing = chance.choice([0, 0, 0.02, 0.1])
    tasks: dict[str, tuple[list[str], bool]] = {}
    for i in range(count):
        near = list(tasks)[-reach:]
        parents = chance.sample(near, min(len(near), chance.randint(0, most)))
        tasks[f"t{i}"] = (parents, chance.random() < failing)
    return tasks


def expected_states(tasks: dict[str, tuple[list[str], bool]]) -> dict[str, str]:
    """What the rule `all_success` makes of the tasks that fail."""
    states: dict[str, str] = {}
    for name, (parents, fails) in tasks.items():
        if any(states[parent] != "success" for parent in parents):
            states[name] = "upstream_failed"
        else:
            states[name] = "failed" if fails else "success"
    return states


def submit(
    cluster: Cluster, tasks: dict[str, tuple[list[str], bool]], chance: random.Random, most_ms: int
) -> Run:
    return cluster.submit(
        [
            {
                **cluster.task(
                    name, "note", after=parents, fail=fails, ms=chance.randint(0, most_ms)
                ),
                "priority": chance.randint(-2, 2),
            }
            for name, (parents, fails) in tasks.items()
        ],
        processors=chance.choice([0, 0, 1, 3]),
        weight=chance.choice([1.0, 2.0]),
    )


def check(
    cluster: Cluster, runs: list[tuple[Run, dict[str, tuple[list[str], bool]]]]
) -> Counter[tuple[str, str]]:
    """Wait for the runs and compare their states; (run, task) -> how often it was executed."""
    ended = cluster.wait_all_ended([run for run, _ in runs], timeout=240)
    executed = Counter((line.run, line.task) for line in cluster.journal.lines())
    for snapshot, (run, tasks) in zip(ended, runs, strict=True):
        wanted = expected_states(tasks)
        assert {name: task.state for name, task in snapshot.tasks.items()} == wanted, run.id
        assert snapshot.state == ("failed" if "failed" in wanted.values() else "success")
        ran = {task for run_id, task in executed if run_id == run.id}
        assert ran == {name for name, state in wanted.items() if state != "upstream_failed"}
        for task in snapshot.tasks.values():
            outcome = (task.try_number, task.error, task.result)
            assert outcome == OUTCOMES[task.state]
    cluster.assert_nothing_left([run for run, _ in runs])
    return executed


def test_every_state_is_the_models_and_every_task_runs_once(busy_cluster: Cluster) -> None:
    chance = random.Random(SEED)
    runs = []
    for _ in range(DAGS):
        tasks = random_dag(chance)
        runs.append((submit(busy_cluster, tasks, chance, most_ms=0), tasks))
    executed = check(busy_cluster, runs)
    assert set(executed.values()) == {1}


@pytest.mark.short_lease
def test_killed_workers_change_no_state_and_repeat_only_what_lost_its_lease(
    cluster: Cluster,
) -> None:
    chance = random.Random(SEED)
    cluster.coordinator()
    workers = [cluster.worker(name, SLOTS) for name in ("w1", "w2")]
    runs, count = [], 0
    while count < (KILLS + 1) * TASKS_PER_KILL:
        tasks = random_dag(chance)
        runs.append((submit(cluster, tasks, chance, most_ms=30), tasks))
        count += len(tasks) - list(expected_states(tasks).values()).count("upstream_failed")
    for kill in range(KILLS):
        more = len(cluster.journal.lines()) + TASKS_PER_KILL // 2
        wait_until(lambda more=more: len(cluster.journal.lines()) >= more, "workers work")
        victim = workers.pop(chance.randrange(2))
        victim.kill()
        name = chance.choice([victim.name, f"w{kill + 3}"])
        workers.append(cluster.worker(name, SLOTS, wait=False))
    executed = check(cluster, runs)
    repeats = {task: count - 1 for task, count in executed.items() if count > 1}
    assert sum(repeats.values()) <= KILLS * SLOTS
    for (run, task), count in repeats.items():
        assert count <= int(cluster.record(run, task)["losses"])
