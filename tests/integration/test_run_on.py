"""A process that goes on with short tasks by itself: on a real worker of one slot."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from pydag_dist.client import Run
from pydag_dist.engine import End
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.settings import Settings
from tests.faults.loses_answers import LosesAnswers
from tests.support import wait_until
from tests.support.cluster import Cluster, Part
from tests.support.engine_bench import Bench, task
from tests.support.redis_server import RedisServer, server_binary


class OneSlot:
    """An installation whose worker has one process."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.coordinator()
        self.worker = cluster.worker("w1", slots=1)

    def submit(self, *tasks: dict[str, Any], **fields: Any) -> Run:
        return self.cluster.submit(list(tasks), **fields)

    def gone_on(
        self, function: str, *, fields: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Run, int]:
        """A run and the process that had the message of `a` and has gone on with `b`.

        `b` leaves a line at its start. Where the host was busy while `a` ran, so that this seemed
        to take long, `b` has a message: then again.
        """
        task = self.cluster.task
        for _ in range(20):
            a, b = task("a", "note"), task("b", function, after=["a"], **kwargs)
            run = self.submit(a, b | (fields or {}))
            (line,) = self.cluster.wait_lines("start", run, 1)
            if self.cluster.store.hgetall(self.cluster.key("holds")):
                (first,) = self.cluster.journal.lines("ran", run.id)
                assert first.pid == line.pid
                return run, line.pid
            self.cluster.engine.steering.cancel(run.id)
            self.cluster.wait_ended(run)
        raise AssertionError("it never goes on")

    def states(self, run: Run) -> dict[str, str]:
        tasks = self.cluster.engine.reading.snapshot(run.id).tasks
        return {name: task.state for name, task in tasks.items()}

    def revoke(self, task_id: str) -> None:
        """As Flower's button *terminate*."""
        app = Celery("flower", set_as_current=False)
        url, prefix = self.cluster.url, self.cluster.prefix
        app.config_from_object(celery_config(Settings(redis_url=url, key_prefix=prefix)))
        app.control.revoke(task_id, terminate=True, reply=True, timeout=60, limit=1)


@pytest.fixture(scope="module")
def one(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneSlot]:
    with Cluster(redis_server.url, tmp_path_factory.mktemp("one")) as cluster:
        yield OneSlot(cluster)


def test_a_killed_process_costs_the_try_that_it_had_gone_on_with(
    one: OneSlot, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run, pid = one.gone_on("hold", gate=str(gate))
    os.kill(pid, signal.SIGKILL)
    one.cluster.wait_lines("start", run, 2)
    gate.touch()
    assert one.cluster.wait_ended(run).state == "success"
    records = [one.cluster.record(run.id, name) for name in ("a", "b")]
    assert [(r["deaths"], r["losses"], r["try"]) for r in records] == [
        ("0", "0", "1"),
        ("1", "0", "1"),
    ]
    assert one.cluster.journal.tasks("ran", run.id) == ["a"]
    assert "died of SIGKILL" in "\n".join(line.line for line in run.logs("b"))
    assert list(run.logs("a")) == []
    one.cluster.assert_nothing_left([run])


def test_a_death_costs_nothing_of_what_its_process_has_ended_or_not_begun(one: OneSlot) -> None:
    task = one.cluster.task
    names = [f"t{i:02}" for i in range(60)]
    run = one.submit(*(task(n, "note") for n in names), task("t30x", "die", how="os._exit"))
    assert one.cluster.wait_ended(run).state == "failed"
    deaths = {name: one.cluster.record(run.id, name)["deaths"] for name in names}
    losses = {name: one.cluster.record(run.id, name)["losses"] for name in names}
    assert set(deaths.values()) == set(losses.values()) == {"0"}
    assert one.cluster.record(run.id, "t30x")["deaths"] == "3"
    ran = one.cluster.journal.tasks("ran", run.id)
    assert sorted(ran) == sorted([*names, *["t30x"] * 3])
    one.cluster.assert_nothing_left([run])


@pytest.mark.parametrize("function", ["hold", "keep_lock"])
def test_a_try_that_takes_long_keeps_no_other_in_its_process(
    one: OneSlot, tmp_path: Path, function: str
) -> None:
    """The process puts the others back, or else its parent."""
    task, gate = one.cluster.task, tmp_path / "gate"
    names = [f"t{i:02}" for i in range(60)]
    long = {"hold": {"gate": str(gate)}, "keep_lock": {"seconds": 6}}
    name = f"t30{function}"  # another one each time: one that took long before has a message
    run = one.submit(*(task(n, "note") for n in names), task(name, function, **long[function]))
    one.cluster.wait_lines("start", run, 1)

    def holds_only_that() -> bool:
        (hand,) = one.cluster.store.hgetall(one.cluster.key("holds")).values() or [""]
        return list(one.cluster.leases()) == [f"{run.id}/{name}"] and len(hand.split()) <= 2

    wait_until(holds_only_that, "the others are put back", 30)
    ran = one.cluster.journal.tasks("ran", run.id)
    assert one.cluster.engine.reading.snapshot(run.id).counts["success"] == len(ran)
    gate.touch()
    assert one.cluster.wait_ended(run).state == "success"
    assert sorted(one.cluster.journal.tasks("ran", run.id)) == names
    assert {one.cluster.record(run.id, name)["losses"] for name in names} == {"0"}


@pytest.mark.parametrize("reason", ["cancel", "timeout"])
def test_a_stop_reaches_what_the_process_has_gone_on_with(
    one: OneSlot, tmp_path: Path, reason: str
) -> None:
    limit = {"timeout": 2} if reason == "timeout" else {}
    run, pid = one.gone_on("hold", fields=limit, gate=str(tmp_path / "never"))
    if reason == "cancel":
        one.cluster.engine.steering.cancel(run.id)
    one.cluster.wait_ended(run)
    end = "cancelled" if reason == "cancel" else "failed"
    assert one.states(run) == {"a": "success", "b": end}
    # The same process takes other tasks.
    other = one.submit(one.cluster.task("t", "note"))
    assert one.cluster.wait_ended(other).state == "success"
    assert [line.pid for line in one.cluster.journal.lines("ran", other.id)] == [pid]
    one.cluster.assert_nothing_left([run, other])


def test_terminate_ends_the_try_that_is_meant_and_no_other(one: OneSlot, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run, _ = one.gone_on("hold", gate=str(gate))
    one.revoke(f"{run.id}/a/1")  # it is over
    gate.touch()
    assert one.cluster.wait_ended(run).state == "success"
    run, _ = one.gone_on("hold", gate=str(tmp_path / "never"))
    one.revoke(f"{run.id}/b/1")
    one.cluster.wait_ended(run)
    assert one.states(run) == {"a": "success", "b": "cancelled"}
    assert one.cluster.record(run.id, "b")["deaths"] == "0"
    one.cluster.assert_nothing_left([run])


def test_flower_hears_of_every_task_and_of_a_long_one_before_it_ends(
    one: OneSlot, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with one.cluster.store.pubsub() as events:
        events.psubscribe(f"*{one.cluster.prefix}*celeryev/task.*")
        task = one.cluster.task
        names = [f"t{i:02}" for i in range(20)]
        chain = [task(n, "note", after=names[max(0, i - 1) : i]) for i, n in enumerate(names)]
        first = run = one.submit(*chain, task("long", "hold", after=["t19"], gate=str(gate)))
        heard: dict[str, list[str]] = {}

        def hear(name: str, kind: str) -> None:
            while kind not in heard.get(f"{run.id}/{name}/1", []):
                message = events.get_message(timeout=60)
                assert message is not None, heard
                if message["type"] != "pmessage":
                    continue
                body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
                for event in body:
                    heard.setdefault(event["uuid"], []).append(event["type"])

        hear("long", "task-started")
        assert one.states(run)["long"] == "running"
        for name in names:
            hear(name, "task-succeeded")
        gate.touch()
        hear("long", "task-succeeded")
        run = one.submit(task("alone", "note"))
        hear("alone", "task-succeeded")
    whole = ["task-received", "task-started", "task-succeeded"]
    told = {name: sorted(set(heard[f"{first.id}/{name}/1"])) for name in names}
    assert told == dict.fromkeys(names, whole)
    # Of the test before, the end of a terminated task may be heard of in here.
    ours = [found for uuid, found in heard.items() if uuid.startswith((first.id, run.id))]
    assert [found.count("task-succeeded") for found in ours] == [1] * 22
    assert one.cluster.wait_ended(run).state == "success"


def test_each_try_has_its_log_and_a_clean_process(one: OneSlot) -> None:
    names = [f"t{i}" for i in range(6)]
    tasks = [
        one.cluster.task(name, "leave_traces", after=names[max(0, i - 1) : i])
        for i, name in enumerate(names)
    ]
    run = one.submit(*tasks)
    snapshot = one.cluster.wait_ended(run)
    assert {task.result for task in snapshot.tasks.values()} == {"clean"}
    for name in names:
        assert [line.line for line in run.logs(name)] == [f"traces of {name}"]


def test_nothing_is_taken_once_the_worker_is_told_to_end(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with Cluster(redis_server.url, tmp_path) as cluster:
        cluster.coordinator()
        worker = cluster.worker("w1", slots=1, PYDAG_WORKER_RUN_ON="10")
        run = cluster.submit([cluster.task(f"t{i:03}", "note", ms=5) for i in range(900)])
        cluster.wait_lines("ran", run, 5)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert cluster.leases() == {}
        assert not cluster.store.exists(cluster.key("holds"))
        counts = cluster.engine.reading.snapshot(run.id).counts
        assert counts["ready"] + counts.get("queued", 0) + counts["success"] == 900
        assert counts["success"] < 900
        ran = cluster.journal.tasks("ran", run.id)
        assert len(ran) == len(set(ran)) == counts["success"]


@pytest.mark.short_lease
def test_an_answer_that_is_lost_costs_no_lease_and_runs_nothing_twice(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    port = int(redis_server.url.rpartition(":")[2].partition("/")[0])
    with (
        LosesAnswers(port, b"\r\nrun_on\r\n") as link,
        Cluster(redis_server.url, tmp_path) as cluster,
    ):
        cluster.coordinator()
        cluster.worker("w1", slots=2, PYDAG_REDIS_URL=link.url, PYDAG_WORKER_RUN_ON="1")
        names = [f"t{i:02}" for i in range(60)]
        run = cluster.submit([cluster.task(name, "note") for name in names])
        assert cluster.wait_ended(run).state == "success"
        assert link.lost > 5
        assert sorted(cluster.journal.tasks("ran", run.id)) == names
        records = [cluster.record(run.id, name) for name in names]
        assert {(r["losses"], r["deaths"]) for r in records} == {("0", "0")}
        cluster.assert_nothing_left([run])


def test_it_can_be_switched_off(redis_server: RedisServer, tmp_path: Path) -> None:
    with Cluster(redis_server.url, tmp_path) as cluster:
        cluster.coordinator()
        worker: Part = cluster.worker("w1", slots=1, PYDAG_WORKER_RUN_ON="0")
        run = cluster.submit([cluster.task("a", "note"), cluster.task("b", "note", after=["a"])])
        assert cluster.wait_ended(run).state == "success"
        pushes = {line.push for line in cluster.journal.lines("ran", run.id)}
        assert len(pushes) == 2
        assert "run_on" not in worker.text()
        assert not cluster.store.exists(cluster.key("holds"))


def test_messages_wait_for_a_tenth_of_a_second_and_other_runs_for_their_turn(one: OneSlot) -> None:
    """By the engine's own times: what is handed over is queued once the try before has ended."""
    note = one.cluster.task
    big = one.submit(*(note(f"t{i}", "note") for i in range(1000)))
    one.cluster.wait_lines("ran", big, 100)
    small = one.submit(note("a", "note"), note("b", "note", after=["a"]))
    records = [
        one.cluster.record(run.id, name)
        for run in (big, small)
        for name in one.cluster.wait_ended(run).tasks
    ]
    *_, last_of_small = sorted(int(record["started_at"]) for record in records[-2:])
    assert last_of_small < max(int(record["started_at"]) for record in records[:-2])
    began: list[int] = []  # of each message, how long after it a task was begun last, in µs
    handed_at = before_ended_at = "9"
    for record in sorted(records, key=lambda record: int(record["started_at"])):
        if record["queued_at"] not in (handed_at, max(record["queued_at"], before_ended_at)):
            first = int(record["started_at"])
            began.append(0)
        handed_at, before_ended_at = record["queued_at"], record["ended_at"]
        began[-1] = int(record["started_at"]) - first
    # A busy host may have kept the process from its next task for a while, but not each time.
    gone_on = sorted(filter(None, began))
    assert gone_on[len(gone_on) // 2] < 150_000, gone_on


@pytest.mark.parametrize(("shape", "most"), [("fan-out", 24), ("chain", 41)])
def test_a_release_that_goes_on_reads_and_writes_each_thing_once(
    tmp_path: Path, shape: str, most: int
) -> None:
    """How many commands of Redis a task costs: half of a short task's CPU time is theirs."""
    calls = 20
    after = {i: [f"t{i - 1}"] for i in range(1, 200)} if shape == "chain" else {}
    tasks = [task(f"t{i}", *after.get(i, [])) for i in range(200)]
    with (
        # Its own: workers of other tests may still be ending on the one of the session.
        RedisServer(server_binary("valkey"), tmp_path / "redis") as server,
        # A client that waits for less than a busy machine needs would ask again.
        redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=60) as client,
    ):
        bench = Bench(client)
        bench.slots(1)
        bench.start(*tasks)
        hand, ended = [bench.take()], 0
        client.config_resetstat()
        for _ in range(calls):
            ends = [End(held, "success", "null", lasted=0.001, ago=0) for held in hand]
            _, handed = bench.engine.working.run_on(ends, queue="python", worker="w", process=1)
            assert handed
            ended, hand = ended + len(hand), [each.held for each in handed]
        stats = client.info("commandstats")
    done = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    of_the_script = sum(done.values()) - done["fcall"] - done["config|resetstat"]
    assert done["fcall"] == calls
    assert of_the_script // ended <= most  # those of the connection are few
