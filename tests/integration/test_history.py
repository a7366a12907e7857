"""History has all that Redis had, whoever dies; and what Redis loses goes on from it."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.client import Run
from pydag_dist.engine import RunFilter
from pydag_dist.history import History
from tests.integration.test_random_dags import expected_states, random_dag, submit
from tests.support import wait_until
from tests.support.cluster import Cluster, Part, call, dag
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer, server_binary

SEED = 7
DAGS = 8


def flushed(cluster: Cluster, server: RedisServer) -> None:
    cluster.store.flushall()


def replaced(cluster: Cluster, server: RedisServer) -> None:
    server.kill()
    shutil.rmtree(server.directory)
    server.start()


def assert_same(cluster: Cluster, history: History, run: Run) -> None:
    """What history says of an ended run is what the engine says of it."""
    kept = history.snapshot(run.id)
    assert kept is not None, run.id
    live = cluster.engine.reading.snapshot(run.id)
    assert kept.tasks == live.tasks
    assert replace(kept, enqueued={}, tasks={}) == replace(live, enqueued={}, tasks={})
    (summary,) = [each for each in history.runs(1000) if each.run_id == run.id]
    assert summary in cluster.engine.runs.listing(1000).runs


def wait_counts(cluster: Cluster, run: Run, wanted: dict[str, int]) -> None:
    """Wait until so many tasks are in those states."""
    wait_until(
        lambda: wanted.items() <= cluster.engine.reading.snapshot(run.id).counts.items(),
        f"{wanted}",
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own."""
    with RedisServer(server_binary("valkey"), tmp_path / "redis") as server:
        yield server


def test_history_is_what_the_engine_says(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    with PostgresServer() as postgres:
        url = postgres.new_database()
        cluster.coordinator(PYDAG_DATABASE_URL=url)
        cluster.worker()
        runs = [submit(cluster, random_dag(chance), chance, most_ms=0) for _ in range(DAGS)]
        chosen = call("choose", "choose", tasks=["left"])
        chosen |= {"operator": "branch"}
        branched = [
            chosen,
            call("left", "choose", after=["choose"], tasks=["é", "\0"]),
            call("right", "choose", after=["choose"], tasks=[]),
        ]
        runs.append(cluster.submit(branched))
        retried = cluster.task("t", "succeed_at", number=2) | {"retries": 2, "retry_delay": 0.1}
        runs.append(cluster.submit([retried]))
        gate = cluster.directory / "gate"
        stopped = cluster.submit(
            [cluster.task("t", "hold", gate=str(gate)), cluster.task("u", "note", after=["t"])]
        )
        cluster.wait_lines("start", stopped, 1)
        stopped.cancel()
        cluster.wait_all_ended([*runs, stopped])
        gate.touch()
        stopped.resume()
        cluster.wait_all_ended([stopped])
        cluster.wait_written()
        with History(url) as history:
            for run in [*runs, stopped]:
                assert_same(cluster, history, run)
            assert history.unfinished() == []
            past = history.past(stopped.id)
            assert past is not None
            assert {each.task_id: each.try_number for each in past.tries} == {"t": 2, "u": 1}
        cluster.assert_nothing_left([*runs, stopped])


@pytest.mark.short_lease
def test_the_history_s_writer_is_killed_and_another_takes_over(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    both = [cluster.coordinator() for _ in range(2)]
    cluster.worker()

    def writers() -> list[Part]:
        return [part for part in both if "writing the history" in part.text()]

    (victim,) = wait_until(writers, "a coordinator writes")
    runs = [submit(cluster, random_dag(chance), chance, most_ms=5) for _ in range(DAGS)]
    cluster.wait_lines("ran", runs[0], 1)
    victim.kill()
    cluster.wait_all_ended(runs)
    cluster.wait_written()
    assert writers() == both
    with cluster.history() as history:
        for run in runs:
            assert_same(cluster, history, run)


def begin_what_is_dated(cluster: Cluster) -> list[Run]:
    """Without the database: a schedule starts two runs, is paused, and is to be backfilled."""
    client = cluster.client
    client.publish(dag([cluster.task("t", "note")], dag_id="often", schedule_interval=1))
    ended = RunFilter("often", ("success",))
    wait_until(lambda: len(client.runs(9, ended)) >= 2, "the schedule has started two runs")
    client.pause("often")
    wait_until(lambda: not client.runs(9, RunFilter("often", ("queued", "running"))), "they ended")
    begin = cluster.engine.publishing.now() - timedelta(minutes=1)
    client.backfill("often", begin, begin + timedelta(seconds=2.5))
    return [client.by_id(run.run_id) for run in client.runs(99, ended)]


def test_a_database_that_is_away_stops_no_run(cluster: Cluster) -> None:
    with PostgresServer() as postgres:
        url = postgres.new_database()
        postgres.kill()
        coordinator = cluster.coordinator(PYDAG_DATABASE_URL=url)
        cluster.worker()
        first = cluster.submit([cluster.task("t", "note")])
        assert cluster.wait_ended(first).state == "success"
        assert cluster.store.ttl(cluster.engine.store.run_key(first.id)) == -1
        postgres.start()
        cluster.wait_written()
        postgres.kill()
        second = cluster.submit([cluster.task("t", "note")])
        assert cluster.wait_ended(second).state == "success"
        scheduled = begin_what_is_dated(cluster)
        cluster.wait_ticks(8)
        assert cluster.store.xlen(cluster.key("history")) > 0
        assert [each.made for each in cluster.client.backfills()] == [0]  # what has run is unknown
        postgres.start()
        wait_until(lambda: not cluster.client.backfills()[0].is_open, "the backfill is done")
        cluster.assert_nothing_left([first, second])
        with History(url) as history:
            for run in (first, second, *scheduled):
                assert_same(cluster, history, run)
            changes = [change.kind for change in history.dag_changes("often", 9)]
            assert [kind for kind in changes if kind != "missed"] == ["paused", "published"]
            ended = cluster.client.backfills()
            wait_until(lambda: history.ended_backfills() == ended, "the history has its end")
            assert (history.ended_backfills()[0].made, history.ended_backfills()[0].success) == (
                3,
                3,
            )
        coordinator.check()
        assert coordinator.text().count("history waits for") == 2


@pytest.mark.parametrize("lose", [flushed, replaced])
def test_a_run_goes_on_when_redis_has_lost_it(
    server: RedisServer, tmp_path: Path, lose: Callable[[Cluster, RedisServer], None]
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        coordinator = cluster.coordinator()
        cluster.worker()
        gate = tmp_path / "gate"
        first = [f"a{i}" for i in range(20)]
        last = [f"b{i}" for i in range(20)]
        run = cluster.submit(
            [
                *(cluster.task(t, "note") for t in first),
                cluster.task("failed", "note", fail=True, after=["a0"]),
                cluster.task("hold", "hold", gate=str(gate), after=first),
                cluster.task("retried", "succeed_at", number=3, after=["hold"])
                | {"retries": 2, "retry_delay": 0.1},
                *(cluster.task(t, "note", after=["hold"]) for t in last),
            ],
            params={"k": "v"},
        )
        cluster.wait_lines("start", run, 1)
        wait_counts(cluster, run, {"success": 20, "failed": 1})
        cluster.wait_written()
        before = cluster.engine.reading.snapshot(run.id)
        lose(cluster, server)
        wait_until(
            lambda: cluster.engine.reading.run_state(run.id) == "running", "it is there again"
        )
        gate.touch()
        snapshot = cluster.wait_ended(run)
        assert snapshot.state == "failed"
        assert snapshot.counts == {"success": 42, "failed": 1}
        for task in [*first, "failed"]:
            assert snapshot.tasks[task] == before.tasks[task]
        ran = Counter(cluster.journal.tasks("ran"))
        assert ran == Counter([*first, "failed", *last, *["retried"] * 3])
        assert (snapshot.submitted_at, snapshot.started_at) == (
            before.submitted_at,
            before.started_at,
        )
        cluster.assert_nothing_left([run])
        with cluster.history() as history:
            assert_same(cluster, history, run)
        coordinator.check()


def test_random_runs_survive_losses_of_redis(server: RedisServer, tmp_path: Path) -> None:
    """Whoever waits submits again at once; what history had does not run again."""
    chance = random.Random(SEED)
    with Cluster(server.url, tmp_path) as cluster:
        for _ in range(2):
            cluster.coordinator()
        cluster.worker()
        runs: list[tuple[Run, dict[str, Any]]] = []
        while sum(len(tasks) for _, tasks in runs) < 300:
            tasks = random_dag(chance)
            runs.append((submit(cluster, tasks, chance, most_ms=100), tasks))
        waiting = threading.Thread(target=lambda: [list(run.follow()) for run, _ in runs])
        waiting.start()
        with cluster.history() as history:
            for run, _ in runs:
                wait_until(lambda run=run: history.past(run.id), "its submission is written")
        written: dict[tuple[str, str], int] = {}  # how often it had been executed by then
        for _ in range(3):
            more = len(cluster.journal.lines()) + 20
            wait_until(lambda more=more: len(cluster.journal.lines()) >= more, "tasks run")
            with cluster.history() as history:
                for run, _ in runs:
                    past = history.past(run.id)
                    assert past is not None
                    ran = Counter(cluster.journal.tasks("ran", run.id))
                    for each in past.tries:
                        written.setdefault((run.id, each.task_id), ran[each.task_id])
            cluster.store.flushall()
        waiting.join(120)
        assert not waiting.is_alive()
        # A run that had been watched to its end before Redis was lost is in the history only, until
        # its client wants it again.
        for run, _ in runs:
            list(run.follow())
        executed = Counter((line.run, line.task) for line in cluster.journal.lines())
        cluster.wait_written()
        with cluster.history() as history:
            for run, tasks in runs:
                snapshot = cluster.engine.reading.snapshot(run.id)
                states = {name: task.state for name, task in snapshot.tasks.items()}
                assert states == expected_states(tasks)
                assert_same(cluster, history, run)
        assert written
        assert {each: executed[each] for each in written} == written


def test_a_resumed_run_goes_on_as_it_was_resumed(server: RedisServer, tmp_path: Path) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        cluster.coordinator()
        cluster.worker()
        gate = tmp_path / "gate"
        run = cluster.submit(
            [
                cluster.task("good", "note"),
                cluster.task("bad", "succeed_at", number=2, after=["good"]),
                cluster.task("again", "note", after=["good"]),
                cluster.task("below", "hold", gate=str(gate), after=["again"]),
                cluster.task("last", "note", after=["bad", "below"]),
            ]
        )
        gate.touch()
        assert cluster.wait_ended(run).state == "failed"
        gate.unlink()
        run.resume("again")
        cluster.wait_lines("start", run, 2)
        wait_counts(cluster, run, {"success": 3})
        cluster.wait_written()
        cluster.store.flushall()
        wait_until(
            lambda: cluster.engine.reading.run_state(run.id) == "running", "it is there again"
        )
        gate.touch()
        snapshot = cluster.wait_ended(run)
        assert snapshot.state == "success"
        tries = {name: task.try_number for name, task in snapshot.tasks.items()}
        assert tries == {"good": 1, "bad": 2, "again": 2, "below": 2, "last": 1}
        ran = Counter(cluster.journal.tasks("ran"))
        assert ran == Counter({"good": 1, "bad": 2, "again": 2, "last": 1})


def test_what_ends_while_its_run_is_lost_does_not_run_again(
    server: RedisServer, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        coordinator = cluster.coordinator()
        cluster.worker()
        gate = tmp_path / "gate"
        run = cluster.submit([cluster.task("long", "hold", gate=str(gate))])
        cluster.wait_lines("start", run, 1)
        cluster.wait_written()
        coordinator.pause()
        cluster.store.flushall()
        gate.touch()
        cluster.wait_lines("end", run, 1)
        coordinator.resume()
        wait_until(lambda: cluster.engine.reading.run_state(run.id) == "success", "it has ended")
        assert len(cluster.journal.lines("start")) == 1


def test_a_second_database_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    cluster.coordinator()
    other = f"sqlite:///{tmp_path}/other.sqlite"
    second = cluster.start("second", ["-m", "pydag_dist", "coordinator"], PYDAG_DATABASE_URL=other)
    assert second.wait() == 2
    assert f"writes its history to {cluster.home}/history.sqlite on" in second.text()
    assert f"this one would write to {tmp_path}/other.sqlite on" in second.text()


def test_a_database_that_another_installation_writes_to_is_refused(
    cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    cluster.coordinator()
    cluster.wait_ticks(4)
    second = cluster.start(
        "second", ["-m", "pydag_dist", "coordinator"], PYDAG_KEY_PREFIX=f"{cluster.prefix}b"
    )
    assert second.wait() == 2
    assert "another installation writes its history" in second.text()
