"""Real Celery workers as processes, and a client that sends them tasks by name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis
from celery import Celery, signature
from kombu import Connection, Queue

from tests.support import wait_until
from tests.support.process import Process

ROOT = Path(__file__).parents[2]
QUEUES = ("one", "two", "three")


class Worker(Process):
    """A prefork worker of the contract app."""

    def __init__(
        self,
        url: str,
        log: Path,
        *options: str,
        concurrency: int = 2,
        queues: str = "one",
        keyprefix: str = "",
    ) -> None:
        self.name = f"{uuid.uuid4().hex[:8]}@contract"
        self.store = redis.Redis.from_url(url, decode_responses=True)
        command = [sys.executable, "-m", "celery", "-A", "tests.contract.celery_app", "worker"]
        command += ["-n", self.name, "-c", str(concurrency), "-Q", queues, "-l", "INFO"]
        command += ["--without-gossip", "--without-mingle", *options]
        env = {**os.environ, "CONTRACT_REDIS_URL": url, "CONTRACT_KEYPREFIX": keyprefix}
        super().__init__(command, log, cwd=ROOT, env=env)
        self.start()

    def wait_ready(self) -> Self:
        self.wait_until(lambda: self.store.llen(f"ready:{self.name}"), "it is ready")
        # Its loop subscribes to remote control a moment after Celery calls it ready.
        wait_until(
            lambda: any(client["psub"] != "0" for client in self.clients()),
            "the worker listens to remote control",
        )
        return self

    def clients(self) -> list[dict[str, str]]:
        """Redis's view of the connections of the worker's parent."""
        sockets = psutil.Process(self.pid).net_connections("tcp")
        ours = {f"{socket.laddr.ip}:{socket.laddr.port}" for socket in sockets}
        return [client for client in self.store.client_list() if client["addr"] in ours]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children()

    def cut_connections(self) -> None:
        """Let Redis close every connection of the worker's parent, and of nobody else."""
        for client in self.clients():
            self.store.client_kill_filter(_id=client["id"])

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it at once: no test here is about an orderly shutdown."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.pid).children(recursive=True)
        self.end(signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # A child holds the parent's sockets: until it is gone, Redis pops messages for the dead.
        wait_until(lambda: not any(map(is_alive, family)), "the children are gone")
        self.store.close()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Sender:
    """Sends tasks by name and reads back what the contract app noted about them."""

    def __init__(self, url: str, keyprefix: str = "") -> None:
        self.store = redis.Redis.from_url(url, decode_responses=True)
        self.app = Celery("sender", broker=url, backend="disabled://", set_as_current=False)
        self.app.conf.update(
            broker_transport_options={"global_keyprefix": keyprefix},
            task_create_missing_queues=False,
            task_default_queue="one",
            task_queues=[*(Queue(name, no_ack=True) for name in QUEUES), Queue("acked")],
        )

    def send(self, name: str, *args: Any, header: Any = None, **options: Any) -> str:
        """Send the task as a part of our chord; its id."""
        task_id = options.pop("task_id", str(uuid.uuid4()))
        headers = {} if header is None else {"pydag": header}
        self.app.send_task(
            name,
            args,
            task_id=task_id,
            headers=headers,
            ignore_result=True,
            chord=signature("release", args=(task_id,), immutable=True),
            **options,
        )
        return task_id

    def template(self, name: str, queue: str, **options: Any) -> dict[str, Any]:
        """The message of a task as kombu's virtual transports put it, sent nowhere."""
        captured: list[dict[str, Any]] = []
        with Connection("memory://", transport_options={"body_encoding": None}) as connection:
            channel = connection.channel()
            channel._put = lambda _queue, message, **_: captured.append(message)
            producer = self.app.amqp.Producer(channel)
            self.app.send_task(name, producer=producer, queue=queue, ignore_result=True, **options)
        (message,) = captured
        return message

    def reserved(self, worker: Worker) -> list[str]:
        """The ids of all tasks that the worker's parent holds, as its own loop answers."""
        inspect = self.app.control.inspect([worker.name], timeout=10, limit=1)
        answers = [inspect.active(), inspect.reserved()]
        return sorted({task["id"] for answer in answers for task in answer[worker.name]})

    def wait_started(self, task_id: str) -> int:
        """The id of the process that runs the task, as soon as it does."""
        return int(wait_until(lambda: self.store.lindex(f"started:{task_id}", 0), "it starts"))

    def wait_ended(self, task_id: str) -> None:
        wait_until(lambda: self.store.llen(f"ended:{task_id}"), f"{task_id} ends")

    def let_go(self, task_id: str) -> None:
        self.store.rpush(f"let_go:{task_id}", 1)

    def hooks(self, task_id: str) -> list[dict[str, Any]]:
        """The calls of the chord hook for the task until now, in order."""
        return [json.loads(call) for call in self.store.lrange(f"hook:{task_id}", 0, -1)]

    def wait_hooks(self, task_id: str, count: int = 1) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.hooks(task_id)) >= count, f"{count} hooks of {task_id}")
        return self.hooks(task_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.app.close()
        self.store.close()
