"""Messages are hints: copies, losses and strangers change nothing about a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from pydag_dist.client import Run
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.settings import Settings
from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer

QUEUE = "q:python"


Held = tuple[Cluster, Run, Path]


@pytest.fixture(scope="module")
def one_worker(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with Cluster(redis_server.url, tmp_path_factory.mktemp("messages")) as cluster:
        cluster.coordinator()
        cluster.worker(slots=2)
        yield cluster


@pytest.fixture
def two_of_a_hundred(one_worker: Cluster, tmp_path: Path) -> Iterator[Held]:
    """A run whose first two tasks hold the only worker's slots until a gate opens."""
    gate = tmp_path / "gate"
    task = one_worker.task
    held = [task(f"held{i}", "hold", gate=str(gate)) | {"priority": 1} for i in range(2)]
    run = one_worker.submit([*held, *(task(f"t{i}", "note") for i in range(98))])
    one_worker.wait_lines("start", run, 2)
    yield one_worker, run, gate
    gate.touch()  # whatever happened, the next test needs the slots


def waiting_messages(cluster: Cluster, count: int = 4) -> list[str]:
    """The messages on the queue's list, once the window of twice the slots is full."""
    wait_until(lambda: cluster.store.llen(cluster.key(QUEUE)) == count, "the window is full")
    return cluster.store.lrange(cluster.key(QUEUE), 0, -1)


def assert_each_ran_once(cluster: Cluster, run: Run) -> None:
    assert cluster.wait_ended(run).state == "success"
    assert sorted(cluster.journal.tasks("ran", run.id)) == sorted(f"t{i}" for i in range(98))
    assert sorted(cluster.journal.tasks("end", run.id)) == ["held0", "held1"]
    cluster.assert_nothing_left([run])


def test_copies_of_messages_run_nothing_twice(two_of_a_hundred: Held) -> None:
    cluster, run, gate = two_of_a_hundred
    for message in waiting_messages(cluster):
        # In front of the others, so that copies meet their originals while these run; and behind.
        cluster.store.rpush(cluster.key(QUEUE), message, message)
        cluster.store.lpush(cluster.key(QUEUE), message)
    gate.touch()
    assert_each_ran_once(cluster, run)


def test_lost_messages_are_pushed_again(two_of_a_hundred: Held) -> None:
    cluster, run, gate = two_of_a_hundred
    lost = [json.loads(m)["headers"]["pydag"]["task"] for m in waiting_messages(cluster)]
    cluster.store.delete(cluster.key(QUEUE))
    gate.touch()
    assert_each_ran_once(cluster, run)
    assert {cluster.record(run.id, task)["pushes"] for task in lost} == {"2"}
    assert cluster.engine.reading.snapshot(run.id).enqueued["tick"] >= len(lost)


@pytest.mark.parametrize("stranger", [{"run": "ghost-run"}, {"task": "ghost-task"}, {"try": "7"}])
def test_messages_of_what_nobody_knows_are_ignored(
    two_of_a_hundred: Held, stranger: dict[str, str]
) -> None:
    cluster, run, gate = two_of_a_hundred
    message = json.loads(waiting_messages(cluster)[-1])
    message["headers"]["pydag"] |= stranger
    cluster.store.rpush(cluster.key(QUEUE), json.dumps(message))
    gate.touch()
    assert_each_ran_once(cluster, run)


def foreign_app(cluster: Cluster) -> Celery:
    settings = Settings(redis_url=cluster.url, key_prefix=cluster.prefix)
    app = Celery("stranger", set_as_current=False)
    app.config_from_object(celery_config(settings))
    return app


def test_foreign_celery_tasks_are_refused_and_the_worker_goes_on(two_of_a_hundred: Held) -> None:
    cluster, run, gate = two_of_a_hundred
    waiting_messages(cluster)
    with foreign_app(cluster) as app:
        for _ in range(3):
            app.send_task("somebody.elses", queue="python")
        app.send_task("pydag.execute", queue="python")  # without our header
        app.send_task("pydag.release", args=["too", "few"], queue="python")
    gate.touch()
    assert_each_ran_once(cluster, run)


# What is no JSON object at all ends the worker: kombu reads messages in the worker's own loop.
GARBAGE = {
    "empty": "{}",
    "no headers": '{"body": "e30=", "content-type": "application/json", "properties": {}}',
    "no body": '{"headers": {"task": "pydag.execute", "id": "a/b/1"}, "properties": {}}',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_worker_survives_what_is_no_message(one_worker: Cluster, what: str) -> None:
    one_worker.store.lpush(one_worker.key(QUEUE), GARBAGE[what])
    wait_until(lambda: one_worker.store.llen(one_worker.key(QUEUE)) == 0, "the worker took it")
    run = one_worker.submit([one_worker.task("t", "note")])
    assert one_worker.wait_ended(run).state == "success"
