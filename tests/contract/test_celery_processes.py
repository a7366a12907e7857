"""What outlives what: a worker's parent, its children, their children, and Redis itself."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
import redis
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

from tests.contract.celery_worker import Sender, Worker, is_alive
from tests.support import wait_until
from tests.support.redis_server import RedisServer, server_binary


def test_killing_the_parent_takes_its_children_along_but_not_theirs(broker_url, sender, tmp_path):
    worker = Worker(broker_url, tmp_path / "log").wait_ready()
    plain, bound = sender.send("own_child", False), sender.send("own_child", True)
    children = [psutil.Process(sender.wait_started(i)) for i in (plain, bound)]
    without_signal, with_signal = (
        psutil.Process(int(sender.store.blpop(f"child:{i}", 30)[1])) for i in (plain, bound)
    )

    worker.end(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, children)), "the prefork children are gone")
    # PR_SET_PDEATHSIG: the kernel kills it when the prefork child ends.
    wait_until(lambda: not is_alive(with_signal), "the child with a death signal is gone")
    assert is_alive(without_signal)

    without_signal.kill()
    worker.stop()


def test_a_stopped_child_leaves_the_parent_s_loop_going(sender, worker):
    task_id = sender.send("hold")
    child = sender.wait_started(task_id)
    os.kill(child, signal.SIGSTOP)
    try:
        assert sender.reserved(worker) == [task_id]
    finally:
        os.kill(child, signal.SIGCONT)
    sender.let_go(task_id)
    sender.wait_hooks(task_id)


def test_a_stopped_parent_leaves_the_child_to_finish_and_record(sender, worker):
    task_id = sender.send("hold")
    sender.wait_started(task_id)
    worker.signal(signal.SIGSTOP)
    try:
        sender.let_go(task_id)
        assert sender.wait_hooks(task_id)[0]["state"] == "SUCCESS"
    finally:
        worker.signal(signal.SIGCONT)
    sender.wait_hooks(sender.send("succeed"))


@pytest.fixture
def own_server(tmp_path):
    with RedisServer(server_binary("valkey"), tmp_path / "redis") as server:
        yield server


def test_after_a_restart_of_redis_the_worker_and_its_running_task_go_on(own_server, tmp_path):
    with (
        Sender(own_server.url) as sender,
        Worker(own_server.url, tmp_path / "log", concurrency=2) as worker,
    ):
        running = sender.send("hold")
        sender.wait_started(running)
        own_server.restart()
        sent_after = sender.send("succeed")
        assert sender.wait_hooks(sent_after)[0]["state"] == "SUCCESS"
        sender.let_go(running)
        assert [call["state"] for call in sender.wait_hooks(running)] == ["SUCCESS"]
        assert worker.poll() is None


def test_inspect_raises_once_on_a_connection_that_redis_closed(own_server, tmp_path):
    with Sender(own_server.url) as sender, Worker(own_server.url, tmp_path / "log") as worker:
        assert sender.reserved(worker) == []
        own_server.restart()
        wait_until(sender.store.pubsub_numpat, "the worker listens to remote control again")
        with pytest.raises(redis.ConnectionError):
            sender.reserved(worker)
        assert sender.reserved(worker) == []


def test_the_backoff_of_a_lost_connection_can_be_capped_by_the_app_s_connection_class():
    """Kombu sleeps up to 30 s between attempts, and Celery gives no setting for it."""
    asked = []

    class Impatient(Connection):
        def _ensure_connection(self, *args, interval_max=5, **kwargs):
            asked.append(interval_max)
            return super()._ensure_connection(*args, interval_max=interval_max, **kwargs)

    class OurAMQP(AMQP):
        Connection = Impatient

    with (
        Celery(broker="memory://", amqp=OurAMQP, set_as_current=False) as app,
        app.connection_for_read() as connection,
    ):
        # As Celery's consumer does it.
        connection.ensure_connection(None, 1, callback=None)
    assert asked == [5]
    assert Connection._ensure_connection.__defaults__[2:5] == (2, 2, 30)
