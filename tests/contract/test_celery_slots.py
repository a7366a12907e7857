"""Without acknowledgements a worker takes exactly what its free slots can run, and keeps no list.

`kombu.Queue(no_ack=True)`, `worker_disable_prefetch` and a Request class whose `acknowledge` only
sets the flag, together.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.celery_worker import QUEUES, Sender, Worker
from tests.support import wait_until


@pytest.fixture
def two_slots(broker_url, tmp_path):
    with Worker(broker_url, tmp_path / "log", queues=",".join(QUEUES)) as worker:
        yield worker


@pytest.fixture
def waiting(sender: Sender) -> Iterator[list[str]]:
    """Five tasks in each of three queues, that end when they are let go."""
    yield [sender.send("hold", queue=queue) for queue in QUEUES for _ in range(5)]
    sender.store.delete(*QUEUES)


def running(sender: Sender, ids: list[str]) -> list[str]:
    return [i for i in ids if sender.store.llen(f"started:{i}") and not sender.hooks(i)]


def in_queues(sender: Sender) -> int:
    return sum(sender.store.llen(queue) for queue in QUEUES)


def test_a_worker_takes_exactly_its_free_slots_from_several_queues(sender, two_slots, waiting):
    for done in range(4):
        now = wait_until(lambda: len(r := running(sender, waiting)) == 2 and r, "two run")
        # The answer comes from the loop that takes messages: it had the time to take more.
        assert sender.reserved(two_slots) == sorted(now)
        assert in_queues(sender) == 13 - done
        sender.let_go(now[0])
        sender.wait_hooks(now[0])


def test_after_a_lost_connection_it_still_takes_exactly_its_free_slots(sender, two_slots, waiting):
    before = wait_until(lambda: len(r := running(sender, waiting)) == 2 and r, "two run")
    two_slots.cut_connections()
    wait_until(lambda: two_slots.text().count("Connected to redis") == 2, "it connects again")
    sender.let_go(before[0])
    sender.wait_hooks(before[0])
    now = wait_until(lambda: len(r := running(sender, waiting)) == 2 and r, "two run")
    assert sender.reserved(two_slots) == sorted(now)
    assert in_queues(sender) == 12
    assert sender.store.keys("unacked*") == []


def test_a_running_task_without_acks_is_in_no_unacked_list(sender, two_slots, waiting):
    wait_until(lambda: len(running(sender, waiting)) == 2, "two run")
    assert sender.store.keys("unacked*") == []


@pytest.mark.parametrize(("name", "removals"), [("succeed", 0), ("succeed_with_acks", 20)])
def test_only_our_request_class_saves_the_acknowledgement(sender, worker, name, removals):
    sender.store.config_resetstat()
    for task_id in [sender.send(name) for _ in range(20)]:
        sender.wait_hooks(task_id)
    wait_until(lambda: sender.reserved(worker) == [], "all are done in the parent, too")
    stats = sender.store.info("commandstats")
    assert stats.get("cmdstat_hdel", {"calls": 0})["calls"] == removals


def test_a_killed_worker_s_running_tasks_come_back_from_nowhere(sender, broker_url, tmp_path):
    """Which is why the engine has leases."""
    with Worker(broker_url, tmp_path / "log", queues="two", concurrency=1):
        task_id = sender.send("hold", queue="two")
        sender.wait_started(task_id)
    assert in_queues(sender) == 0
    assert sender.store.keys("unacked*") == []
