"""An installation on this host for tests: coordinators and workers as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import psutil
import redis

from pydag_dist import Client, Dag
from pydag_dist.client import Run
from pydag_dist.engine import ENDED_RUN_STATES, Engine, RunSnapshot
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.store import CLOCK, steady_time
from pydag_dist.history import History
from pydag_dist.local.process import Child
from tests.support import is_alive, wait_until, warm
from tests.tasks.callables import Journal, Line
from workers.pool import keeper

ROOT = Path(__file__).parents[2]
QUEUES = ("python",)
LEASE, SHORT_LEASE = 15.0, 6.0  # seconds
# Starting takes a second or two; much longer where many tests run at once.
START_TIMEOUT = 120


class Part(Child):
    """A coordinator or a worker; its output is in `log`."""

    started_at = 0.0  # epoch seconds
    steady_at = 0  # when it started, in µs of the engine's steady time

    def start(self) -> None:
        """Start it, from a process that has imported what it will import if that can be."""
        if warm.can_fork(self._command, self._env):
            self.log.unlink(missing_ok=True)
            with self.log.open("ab") as out:
                self._process = warm.start(self._command, self._env, out.fileno())
        else:
            super().start()

    def text(self) -> str:
        """What it has written until now."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 120) -> int:
        """Its exit status, as soon as it ends; negative if it is a signal's number."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            message = f"{self.name} did not end in {timeout} s:\n{self.text()}"
            raise AssertionError(message) from None

    def kill(self) -> None:
        """Kill -9 unless it has ended, and wait until it and what it forked are gone."""
        assert self._process is not None
        if self._process.poll() is not None:
            return
        family = [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        self.signal(signal.SIGKILL)
        self.wait()
        wait_until(lambda: not any(map(is_alive, family)), f"the children of {self.name} are gone")

    def pause(self) -> None:
        """Stop it and what it forked, until `resume`."""
        for pid in (self.pid, *self.children()):
            os.kill(pid, signal.SIGSTOP)

    def resume_children(self) -> None:
        """Let what it forked go on, and not itself."""
        for pid in self.children():
            os.kill(pid, signal.SIGCONT)

    def resume(self) -> None:
        for pid in (*self.children(), self.pid):
            os.kill(pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """Its pool, and what that started."""
        family = psutil.Process(self.pid).children(recursive=True)
        return [child.pid for child in family if child.name() != keeper.NAME]


class Cluster:
    """Processes of the product over one Redis; leaves none of them, and no key but its own."""

    running: ClassVar[list[Cluster]] = []

    def __init__(self, url: str, directory: Path, lease: float = LEASE) -> None:
        self.lease = lease
        self.prefix = f"test{uuid.uuid4().hex[:8]}"
        self.url = url
        self.directory = directory
        self.home = directory / "home"
        self.parts: list[Part] = []
        # Of a machine that does much else at the time an answer may take longer than usual.
        self.store: Any = redis.Redis.from_url(url, decode_responses=True, socket_timeout=60)
        self.engine = Engine(self.store, self.prefix)
        self.client = Client(url, prefix=self.prefix)
        self.journal = Journal(directory / "journal")

    def __enter__(self) -> Self:
        self.running.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.running.remove(self)
        if error is not None:
            print(self.logs())  # noqa: T201  pytest shows it with the failure
        for part in self.parts:
            part.kill()
        self.store.close()

    # Processes

    def start(self, name: str, arguments: Sequence[str], **env: str) -> Part:
        """Start a Python program of the product; does not wait for anything."""
        log = self.directory / f"{len(self.parts):02}-{name}.log"
        settings = {
            "PYDAG_REDIS_URL": self.url,
            "PYDAG_KEY_PREFIX": self.prefix,
            "PYDAG_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),  # for tests.tasks.callables
        }
        if self.lease != LEASE:
            settings["PYDAG_LEASE"] = str(self.lease)
        part = Part(name, [sys.executable, *arguments], log, {**os.environ, **settings, **env})
        part.started_at, part.steady_at = time.time(), self.steady_time()
        part.start()
        self.parts.append(part)
        return part

    def coordinator(self, **env: str) -> Part:
        """Start a coordinator and wait until it is ready."""
        part = self.start("coordinator", ["-m", "pydag_dist", "coordinator"], **env)
        part.wait_until(lambda: "is ready" in part.text(), START_TIMEOUT, lambda: None)
        return part

    def worker(
        self,
        name: str = "w1",
        slots: int = 2,
        queues: Sequence[str] = QUEUES,
        wait: bool = True,
        imports: Sequence[str] = ("tests.tasks.callables",),
        *,
        level: str = "WARNING",
        **env: str,
    ) -> Part:
        """Start a worker, and wait until Redis knows its slots."""
        command = ["-P", "-m", "pydag_dist", "worker", "-n", f"{name}@test", "-c", str(slots)]
        command += ["-Q", ",".join(queues), "--log-level", level]
        command += [word for module in imports for word in ("--import", module)]
        part = self.start(name, command, **env)
        if wait:
            self.wait_registered(part, queues[0])
        return part

    def celery_worker(self, *options: str, wait: bool = True, **env: str) -> Part:
        """Start a worker of two slots by Celery's own command, with further options."""
        command = ["-m", "celery", "-A", "workers", "worker", "-n", "w1@test", "-c", "2"]
        command += ["-Q", ",".join(QUEUES), "-l", "WARNING", *options]
        part = self.start("w1", command, PYDAG_WORKER_IMPORTS="tests.tasks.callables", **env)
        if wait:
            self.wait_registered(part)
        return part

    def wait_registered(self, worker: Part, queue: str = QUEUES[0]) -> None:
        """Wait until Redis knows the worker's slots, and not those of a namesake before it."""

        def registered() -> bool:
            known = self.slots(queue).get(f"{worker.name}@test", "0 0")
            return int(known.split()[1]) - self.lease * 1e6 > worker.steady_at

        worker.wait_until(registered, START_TIMEOUT, lambda: None)

    def logs(self) -> str:
        """The end of everything that the processes wrote."""
        return "\n".join(f"--- {part.log.name}\n{part.text()[-5_000:]}" for part in self.parts)

    # The state in Redis

    def key(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    def steady_time(self) -> int:
        """The engine's steady time, in µs."""
        seconds, microseconds = self.store.time()
        clock = self.store.hmget(self.key("clock"), *CLOCK)
        return steady_time(seconds * 1_000_000 + microseconds, *clock)

    def slots(self, queue: str = QUEUES[0]) -> dict[str, str]:
        """Worker -> its slots and until when they count."""
        return self.store.hgetall(self.key(f"slots:{queue}"))

    def leases(self) -> dict[str, float]:
        """ "run/task" -> until when its worker holds it, in µs of steady time."""
        return dict(self.store.zrange(self.key("leases"), 0, -1, withscores=True))

    def record(self, run_id: str, task: str) -> dict[str, str]:
        """All that the engine keeps of a task."""
        return unpack_record(self.store.hget(self.engine.store.run_key(run_id, "tasks"), task))

    def submit(self, tasks: list[dict[str, Any]], **fields: Any) -> Run:
        return self.client.submit(dag(tasks, **fields))

    def wait_ended(self, run: Run, timeout: float = 120) -> RunSnapshot:
        """The run's last snapshot, whether it succeeded or not."""
        return self.wait_all_ended([run], timeout)[0]

    def wait_all_ended(self, runs: Iterable[Run], timeout: float = 120) -> list[RunSnapshot]:
        """The last snapshots of runs, `timeout` seconds for all of them."""
        deadline = time.monotonic() + timeout
        snapshots = []
        for run in runs:
            while self.engine.reading.run_state(run.id) not in ENDED_RUN_STATES:
                snapshot = self.engine.reading.snapshot(run.id)
                left = {n: t for n, t in snapshot.tasks.items() if t.ended_at is None}
                assert time.monotonic() < deadline, f"{snapshot}: {dict(list(left.items())[:5])}"
                self.engine.reading.events(run.id, after="$", block_ms=500)
            snapshots.append(self.engine.reading.snapshot(run.id))
        return snapshots

    def history(self) -> History:
        """The history that coordinators write by default."""
        return History(f"sqlite:///{self.home / 'history.sqlite'}")

    def wait_written(self) -> None:
        """Wait until everything that has happened until now is in the history."""
        wait_until(lambda: self.store.xlen(self.key("history")) == 0, "the history is written")

    def wait_ticks(self, count: int) -> None:
        """Wait for so many ticks that begin after this call."""
        for _ in range(count + 1):  # the first may have begun before
            last = self.store.hget(self.key("clock"), "ticked")
            wait_until(
                lambda last=last: self.store.hget(self.key("clock"), "ticked") != last, "a tick"
            )

    def wait_lines(self, what: str, run: Run, count: int, timeout: float = 120) -> list[Line]:
        """The run's journal lines of that kind, as soon as there are so many."""
        return wait_until(
            lambda: len(lines := self.journal.lines(what, run.id)) >= count and lines,
            f"{count} lines {what!r} of {run.id}",
            timeout,
        )

    def assert_nothing_left(self, runs: Iterable[Run]) -> None:
        """No key says that anything is ready, active, leased or queued after runs have ended."""
        store, key = self.store, self.key
        for run in runs:
            run_key = self.engine.store.run_key
            parts = ("ready", "active", "work")
            assert store.exists(*(run_key(run.id, part) for part in parts)) == 0, run.id
            assert store.hget(run_key(run.id), "left") == "0"
            if any(part.name == "coordinator" and is_alive(part.pid) for part in self.parts):
                tasks = run_key(run.id, "tasks")
                wait_until(lambda tasks=tasks: store.ttl(tasks) > 0, "its end is in the history")
        assert store.zrange(key("leases"), 0, -1) == []
        assert store.zrange(key("queued"), 0, -1) == []
        assert store.zrange(key("timers"), 0, -1) == []
        assert store.smembers(key("working")) == set()
        for queue in store.smembers(key("queues")):
            assert store.zrange(key(f"fair:{queue}"), 0, -1) == []
            assert store.zrange(key(f"due:{queue}"), 0, -1) == []
            # Copies of messages that were pushed again: workers take and ignore them.
            wait_until(lambda queue=queue: store.llen(key(f"q:{queue}")) == 0, f"{queue} is empty")

    # Tasks

    def task(
        self, task_id: str, function: str, *, after: Sequence[str] = (), **kwargs: Any
    ) -> dict[str, Any]:
        """A task that calls a function of `tests.tasks.callables` with this cluster's journal."""
        return call(task_id, function, after=after, journal=str(self.journal.path), **kwargs)


def call(
    task_id: str, function: str, *, after: Sequence[str] = (), **kwargs: Any
) -> dict[str, Any]:
    """A task that calls a function of `tests.tasks.callables`."""
    params = {"callable": f"tests.tasks.callables:{function}", "kwargs": kwargs}
    return {
        "task_id": task_id,
        "operator": "python.call",
        "params": params,
        "dependencies": list(after),
    }


def dag(tasks: list[dict[str, Any]], **fields: Any) -> Dag:
    return Dag.parse({"dag_id": "test", **fields, "tasks": tasks})
