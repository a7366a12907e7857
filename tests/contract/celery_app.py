"""A Celery app of the contract tests' own: small tasks that end in every way there is.

Each call of the chord hook is recorded in Redis as an entry of the list `hook:<task id>`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import redis
from celery import Celery, Task, signals
from celery.backends.redis import RedisBackend
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request
from kombu import Queue

URL = os.environ.get("CONTRACT_REDIS_URL", "redis://127.0.0.1:6379/0")
KEYPREFIX = os.environ.get("CONTRACT_KEYPREFIX", "")
PARENT = os.getpid()

store = redis.Redis.from_url(URL, decode_responses=True)


class RecordingBackend(RedisBackend):
    """A result backend that notes each call of the hook, then runs our chord callback in place."""

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        header = request.get("pydag")
        call = {
            "state": state,
            "result": type(result).__name__ if isinstance(result, BaseException) else result,
            "in_parent": os.getpid() == PARENT,
            "header": header,
            "chord": request.chord["task"],
            "at": time.time(),
        }
        calls = store.rpush(f"hook:{request.id}", json.dumps(call))
        if calls == 1 and "hook raises" in (header or {}):
            raise RuntimeError("the hook fails the first time")
        self.app.signature(request.chord)()


class UnacknowledgedRequest(Request):
    """A request that only notes that it was acknowledged: our queues know no acks."""

    def acknowledge(self) -> None:
        self.acknowledged = True


class ContractTask(Task):
    Request = f"{__name__}:UnacknowledgedRequest"
    acks_late = False
    reject_on_worker_lost = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        store.rpush(f"started:{self.request.id}", os.getpid())
        return super().__call__(*args, **kwargs)


app = Celery(
    "contract",
    broker=URL,
    backend=f"{__name__}:RecordingBackend+{URL}",
    task_cls=ContractTask,
)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"global_keyprefix": KEYPREFIX},
    task_create_missing_queues=False,
    task_default_queue="one",
    task_ignore_result=True,
    task_queues=[Queue(name, no_ack=True) for name in ("one", "two", "three")] + [Queue("acked")],
    worker_disable_prefetch=True,
    worker_hijack_root_logger=False,
)


@signals.worker_ready.connect
def say_ready(sender: Any, **_: Any) -> None:
    store.rpush(f"ready:{sender.hostname}", os.getpid())


@signals.task_postrun.connect
def say_ended(task_id: str, task: Task, **_: Any) -> None:
    store.rpush(f"ended:{task_id}", os.getpid())
    if "die after" in (task.request.get("pydag") or {}):
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(key: str, seconds: float) -> None:
    """Until something is pushed onto the list `key`, which takes it away."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):  # a test may restart Redis
            if store.lpop(key):
                return
        time.sleep(0.02)


@app.task(name="release")
def release(run: str = "") -> None:
    """The chord callback: here it only counts."""
    store.incr(f"released:{run}")


@app.task(name="succeed")
def succeed(*_: Any) -> str:
    return "the result"


@app.task(name="succeed_with_acks", Request="celery.worker.request:Request")
def succeed_with_acks() -> None:
    """As everything but the Request class says, without acks."""


@app.task(name="fail")
def fail() -> None:
    raise ValueError("on purpose")


@app.task(name="die_by_signal")
def die_by_signal() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="die_by_exit")
def die_by_exit() -> None:
    os._exit(3)


@app.task(name="retry")
def retry() -> None:
    """Say Retry without sending anything, as an operator does that defers."""
    raise Retry("deferred")


@app.task(name="ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="reject")
def reject(requeue: bool) -> None:
    raise Reject("on purpose", requeue=requeue)


@app.task(name="hold", bind=True)
def hold(self: Task, seconds: float = 60) -> None:
    """Keep a slot until it is let go; if terminated, clean up until it is let go."""
    try:
        wait_for(f"let_go:{self.request.id}", seconds)
    except BaseException:
        store.rpush(f"cleaning_up:{self.request.id}", os.getpid())
        if "slow clean-up" in (self.request.get("pydag") or {}):
            wait_for(f"let_go:{self.request.id}", seconds)
        raise


@app.task(name="own_child", bind=True)
def own_child(self: Task, with_death_signal: bool) -> None:
    """Start a process, say its id, and wait for it."""
    code = "import ctypes, time\n"
    if with_death_signal:
        code += "ctypes.CDLL(None).prctl(1, 9)\n"
    code += "print(flush=True)\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        store.rpush(f"child:{self.request.id}", child.pid)
        child.wait()
