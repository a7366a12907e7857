"""The two systems that are compared, each with the same shapes of work.

Each has one worker of two slots and a Redis of its own that writes its append-only file every
second. Celery is started as its documentation says, without events or with them; pydag as `pydag
worker` and `pydag coordinator` start it, with events. Both log warnings only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import redis
from celery import chain, chord

from benchmarks.bare_celery import make_app
from benchmarks.in_memory import WIDTH
from benchmarks.processes import CpuMeter, Program, wait_until
from pydag_dist import Client, Dag
from pydag_dist.client import Run
from pydag_dist.local.redis_server import valkey_binary
from tests.support.redis_server import RedisServer

SLOTS = 2
WARM_UP = 200
TIMEOUT = 900  # seconds
NOOP = {"callable": "benchmarks.noop:noop"}


@dataclass(frozen=True)
class Measured:
    """One run of a shape of work."""

    seconds: float
    tasks: int
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by kind of process
    whole: float = 0.0  # of a chain, seconds since it was sent

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    def cpu_per_task(self, kind: str) -> float:
        """Microseconds; of all kinds for "all"."""
        used = sum(self.cpu.values()) if kind == "all" else self.cpu[kind]
        return 1e6 * used / self.tasks


def redis_time(client: redis.Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)


class BareCelery:
    """Celery by itself: a queue of no-ops, a chord, a chain."""

    name = "Celery"
    flags: tuple[str, ...] = ()

    def __init__(self, server: RedisServer, worker: Program) -> None:
        self._server = server
        self._worker = worker
        self._redis = redis.Redis.from_url(server.url, decode_responses=True)
        self._app = make_app(server.url)
        self._noop = self._app.tasks["bare.noop"]
        self._part = self._app.tasks["bare.part"]
        self._mark = self._app.tasks["bare.mark"]

    @classmethod
    @contextmanager
    def started(cls, directory: Path) -> Iterator[BareCelery]:
        with ExitStack() as stack:
            server = stack.enter_context(RedisServer(valkey_binary(), directory / "redis"))
            flags = (
                "-c",
                str(SLOTS),
                "-l",
                "WARNING",
                "--without-gossip",
                "--without-mingle",
                *cls.flags,
            )
            worker = Program(
                directory / "worker.log",
                *("celery", "-A", "benchmarks.bare_celery", "worker", *flags),
                environment={"BENCH_REDIS_URL": server.url},
            )
            stack.enter_context(worker)
            system = cls(server, worker)
            system._mark.delay("warm")
            wait_until(lambda: bool(system._redis.exists("warm")), "the worker is ready", 60)
            system.fan_out(WARM_UP)
            yield system
            system._app.close()

    def fan_out(self, tasks: int) -> Measured:
        """Drain a queue that was filled before."""
        control = self._app.control
        control.cancel_consumer("celery", reply=True, timeout=10, limit=1)
        wait_until(lambda: self._redis.info("clients")["blocked_clients"] == 0, "nobody takes")
        self._noop.delay()
        message = json.loads(self._redis.rpop("celery"))
        with self._redis.pipeline(transaction=False) as pipe:
            for _ in range(tasks):
                task_id = str(uuid.uuid4())
                message["headers"] |= {"id": task_id, "root_id": task_id}
                message["properties"] |= {"correlation_id": task_id, "delivery_tag": task_id}
                pipe.lpush("celery", json.dumps(message))
            pipe.execute()
        meter = self._meter()
        began = redis_time(self._redis)
        control.add_consumer("celery")
        wait_until(self._is_drained, "Celery drains its queue", TIMEOUT)
        return Measured(redis_time(self._redis) - began, tasks, meter.used())

    def fan_in(self, tasks: int) -> Measured:
        """A chord, from sending it to its callback; its parts are made before, as our DAG is."""
        key = uuid.uuid4().hex
        parts = [self._part.si() for _ in range(tasks)]
        meter = self._meter()
        began = redis_time(self._redis)
        chord(parts)(self._mark.si(key))
        (ended,) = self._marks(key, 1)
        return Measured(ended - began, tasks + 1, meter.used())

    def chain(self, tasks: int) -> Measured:
        """A chain, from the start of its first task to the start of its last: tasks - 1 hops."""
        key = uuid.uuid4().hex
        mark = self._mark.si(key)
        between = [self._noop.si() for _ in range(tasks - 2)]
        meter = self._meter()
        began = redis_time(self._redis)
        chain(mark, *between, mark).apply_async()
        first, last = self._marks(key, 2)
        return Measured(last - first, tasks - 1, meter.used(), whole=last - began)

    def _is_drained(self) -> bool:
        with self._redis.pipeline() as pipe:
            return not any(pipe.llen("celery").hlen("unacked").execute())

    def _marks(self, key: str, count: int) -> list[float]:
        wait_until(lambda: self._redis.llen(key) == count, "Celery is done", TIMEOUT)
        return [float(mark) for mark in self._redis.lrange(key, 0, -1)]

    def _meter(self) -> CpuMeter:
        return CpuMeter({"parent": self._worker.pid, "redis": self._server.pid}, self._worker.pid)


class CeleryWithEvents(BareCelery):
    """Celery whose worker sends events of its tasks, as Flower needs them."""

    name = "Celery -E"
    flags = ("-E",)


class Pydag:
    """This project: the same shapes as DAGs."""

    name = "pydag"

    def __init__(self, server: RedisServer, worker: Program, coordinator: Program) -> None:
        self.server = server
        self.worker = worker
        self.coordinator = coordinator
        self.redis = redis.Redis.from_url(server.url, decode_responses=True)
        self._client = Client(server.url)

    @classmethod
    @contextmanager
    def started(
        cls,
        directory: Path,
        coordinators: Mapping[str, str] = MappingProxyType({}),
        module: str = "pydag_dist",
        warm_up: int = WARM_UP,
    ) -> Iterator[Pydag]:
        """With more variables of the coordinator, or another module for its command."""
        with ExitStack() as stack:
            server = stack.enter_context(RedisServer(valkey_binary(), directory / "redis"))
            environment = {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": str(directory / "home")}
            coordinator = Program(
                directory / "coordinator.log",
                *(module, "coordinator"),
                environment={**environment, **coordinators},
            )
            stack.enter_context(coordinator)
            flags = ("-c", str(SLOTS), "--log-level", "WARNING", "--import", "benchmarks.noop")
            worker = Program(
                directory / "worker.log", "pydag_dist", "worker", *flags, environment=environment
            )
            stack.enter_context(worker)
            system = cls(server, worker, coordinator)
            if warm_up:
                system.finish(system.submit(fan_out(warm_up)))
            yield system

    def submit(self, dag: Dag) -> Run:
        return self._client.submit(dag)

    def finish(self, run: Run) -> Any:
        run.wait(timeout=TIMEOUT)
        return run.snapshot()

    def fan_out(self, tasks: int) -> Measured:
        """Measure from when the run is planned, since Celery's queue is filled before."""
        return self.measure(fan_out(tasks), tasks)

    def measure(self, dag: Dag, tasks: int) -> Measured:
        """Measure a DAG from the moment when it is planned."""
        meter = self.meter()
        run = self.finish(self.submit(dag))
        return Measured(run.ended_at - run.started_at, tasks, meter.used())

    def fan_in(self, tasks: int) -> Measured:
        """Measure from the submission, since Celery's time includes sending."""
        dag = fan_in(tasks)
        meter = self.meter()
        began = redis_time(self.redis)
        run = self.finish(self.submit(dag))
        return Measured(run.ended_at - began, tasks + 1, meter.used())

    def chain(self, tasks: int) -> Measured:
        """From the start of the first task to the start of the last: tasks - 1 hops."""
        dag = chained(tasks)
        meter = self.meter()
        began = redis_time(self.redis)
        run = self.finish(self.submit(dag))
        starts = [task.started_at for task in run.tasks.values()]
        between, whole = max(starts) - min(starts), run.ended_at - began
        return Measured(between, tasks - 1, meter.used(), whole)

    def meter(self) -> CpuMeter:
        parents = {
            "parent": self.worker.pid,
            "redis": self.server.pid,
            "coordinator": self.coordinator.pid,
        }
        return CpuMeter(parents, self.worker.pid)


def fan_out(tasks: int) -> Dag:
    with Dag("fan-out") as dag:
        for number in range(tasks):
            dag.task(f"t{number}", "python.call", params=NOOP)
    return dag


def fan_in(tasks: int) -> Dag:
    with Dag("fan-in") as dag:
        parts = [dag.task(f"t{number}", "python.call", params=NOOP) for number in range(tasks)]
        join = dag.task("join", "python.call", params=NOOP)
        parts >> join  # the DAG's own operator
    return dag


def chained(tasks: int) -> Dag:
    with Dag("chain") as dag:
        before = dag.task("t0", "python.call", params=NOOP)
        for number in range(1, tasks):
            task = dag.task(f"t{number}", "python.call", params=NOOP)
            before >> task
            before = task
    return dag


def layers(tasks: int) -> Dag:
    """Layers of WIDTH tasks, each of which waits for two of the layer before."""
    with Dag("layers") as dag:
        before: list[Any] = []
        for number in range(tasks // WIDTH):
            layer = [dag.task(f"l{number}-{i}", "python.call", params=NOOP) for i in range(WIDTH)]
            for i, task in enumerate(layer if before else []):
                before[i] >> task
                before[i - 1] >> task
            before = layer
    return dag
