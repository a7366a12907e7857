"""Whatever a task does to its process: its try ends as it should, and nothing else is touched."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydag_dist.engine import RunSnapshot
from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer
from tests.tasks.callables import Line

# How the function ends -> what the engine keeps of it, to the letter or its beginning (…).
RETURNS = "python.call returned a "
FAILURES = {
    "sys.exit": "SystemExit: 3",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "BaseException": "tests.tasks.callables.Rude: and more",
    "MemoryError": "MemoryError: out of it",
    "RecursionError": "RecursionError: maximum recursion depth exceeded",
    "unpicklable": "tests.tasks.callables.CannotTravel: with a function in it",
    "no text": "tests.tasks.callables.NoText: <exception str() failed>",
    "long text": "ValueError: " + "x" * 7_988,
    "surrogate": "ValueError: half a ? character\0",
    "not JSON": f"{RETURNS}set that is not JSON (Object of type set is not JSON serializable): ",
    "NaN": f"{RETURNS}float that is not JSON (Out of range float values are not JSON compliant",
    "nested": f"{RETURNS}list that is not JSON (maximum recursion depth exceeded",
}
DEATHS = ("os._exit", "os._exit 0", "kill -9", "SIGTERM", "segfault", "abort")


class Played:
    """A cluster after every way to end, each in a run of its own, all at once on one worker."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.coordinator()
        self.worker = cluster.worker("w1", slots=8)
        runs = {how: self._submit(how) for how in (*DEATHS, *FAILURES, "surrogate result")}
        self.bystanders = [cluster.submit([cluster.task("t", "note", ms=50)]) for _ in range(100)]
        self.runs: dict[str, RunSnapshot] = {}
        for how, run in runs.items():
            self.runs[how] = cluster.wait_ended(run)
        cluster.wait_all_ended(self.bystanders)
        self.all = [*runs.values(), *self.bystanders]

    def _submit(self, how: str):
        task = self.cluster.task
        return self.cluster.submit([task("t", "die", how=how), task("next", "note", after=["t"])])

    def executions(self, run_id: str) -> list[Line]:
        return self.cluster.journal.lines("ran", run_id)


@pytest.fixture(scope="module")
def played(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    directory: Path = tmp_path_factory.mktemp("deaths")
    with Cluster(redis_server.url, directory) as cluster:
        yield Played(cluster)


@pytest.mark.parametrize("how", FAILURES)
def test_a_function_that_fails_fails_its_task_with_what_it_said(played: Played, how: str) -> None:
    run = played.runs[how]
    states = {name: task.state for name, task in run.tasks.items()}
    assert states == {"t": "failed", "next": "upstream_failed"}
    error = run.tasks["t"].error
    assert error is not None
    assert error.startswith(FAILURES[how])
    assert len(error) <= 8_000
    assert len(played.executions(run.run_id)) == 1


@pytest.mark.parametrize("how", DEATHS)
def test_a_task_whose_process_dies_three_times_is_poison(played: Played, how: str) -> None:
    run = played.runs[how]
    assert run.tasks["t"].state == "failed"
    error = run.tasks["t"].error
    assert error is not None
    assert error.startswith("poison: 3 times the worker process died")
    assert run.tasks["next"].state == "upstream_failed"
    executions = played.executions(run.run_id)
    # A process that dies before its parent has heard that it took the task costs a lease instead.
    unheard = int(played.cluster.record(run.run_id, "t")["losses"])
    assert len(executions) == 3 + unheard
    assert len({line.pid for line in executions}) == 3 + unheard


def test_a_result_with_half_a_character_is_a_result(played: Played) -> None:
    run = played.runs["surrogate result"]
    assert run.state == "success"
    assert run.tasks["t"].result == "half a \ud83d character\0"


def test_runs_beside_them_are_not_touched(played: Played) -> None:
    for run in played.bystanders:
        assert run.state == "success"
        assert len(played.executions(run.id)) == 1


def test_nothing_is_left_and_the_worker_goes_on_with_all_its_slots(played: Played) -> None:
    played.cluster.assert_nothing_left(played.all)
    assert_slots(played.cluster, 8)


def assert_slots(cluster: Cluster, count: int) -> None:
    """So many tasks run at once."""
    gate = cluster.directory / "gate"
    held = cluster.submit([cluster.task(f"t{i}", "hold", gate=str(gate)) for i in range(count)])
    cluster.wait_lines("start", held, count)
    gate.touch()
    assert cluster.wait_ended(held).state == "success"


def test_a_process_that_dies_before_its_claim_costs_a_death_and_runs_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    cluster.coordinator()
    cluster.celery_worker("-I", "tests.faults.dies_before_claim", PYDAG_TEST_DIE_ONCE=str(flag))
    run = cluster.submit([cluster.task("t", "note")])
    assert cluster.wait_ended(run).state == "success"
    assert not flag.exists()
    assert cluster.journal.tasks("ran") == ["t"]
    record = cluster.record(run.id, "t")
    assert (record["losses"], record["pushes"]) == ("0", "2")
    assert record["deaths"] in ("0", "1")  # whether the parent had heard that the task was taken
    cluster.assert_nothing_left([run])
    assert_slots(cluster, 2)


def test_processes_that_die_before_they_took_their_task_run_nothing(cluster: Cluster) -> None:
    cluster.coordinator()
    worker = cluster.worker()
    children = worker.children()
    assert len(children) == 2
    for child in children:
        os.kill(child, signal.SIGSTOP)
    run = cluster.submit([cluster.task(f"t{i}", "note") for i in range(4)])
    queue = cluster.key("q:python")
    wait_until(
        lambda: (
            cluster.engine.reading.snapshot(run.id).counts == {"queued": 4}
            and cluster.store.llen(queue) == 2
        ),
        "the worker holds two messages, and two wait",
    )
    for child in children:
        os.kill(child, signal.SIGKILL)
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("ran")) == ["t0", "t1", "t2", "t3"]
    cluster.assert_nothing_left([run])
    assert_slots(cluster, 2)
