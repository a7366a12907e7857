"""Remote jobs on few slots: how long they take, and how long quick tasks of the same queue wait.

The jobs are queries on the local BigQuery, each made to take some seconds without using a
processor; the worker has two slots, and listens to one queue.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import redis

from benchmarks.processes import CpuMeter, Program, wait_until
from benchmarks.systems import NOOP, SLOTS, TIMEOUT
from pydag_dist import Client, Dag
from pydag_dist.local.redis_server import valkey_binary
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.redis_server import RedisServer

JOB_SECONDS = 10
SQL = "DROP TABLE IF EXISTS remote.nothing"  # what costs the local BigQuery least
QUICK = 25  # tasks of a chain
POLLED = re.compile(r"polled (\d+), of which (\d+) have ended")


class System:
    """A coordinator, a worker of two slots on the queue bigquery, and BigQuery."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        server = stack.enter_context(RedisServer(valkey_binary(), directory / "redis"))
        self.bigquery = stack.enter_context(LocalBigQuery(directory))
        environment = {
            "PYDAG_REDIS_URL": server.url,
            "PYDAG_HOME": str(directory / "home"),  # a history of its own
            "PYDAG_WORKER_PROJECT": PROJECT,
            "BIGQUERY_EMULATOR_HOST": self.bigquery.url,
        }
        start = partial(Program, environment=environment)
        coordinator = start(directory / "coordinator.log", "pydag_dist", "coordinator")
        flags = ("-c", str(SLOTS), "-Q", "bigquery", "--import", "benchmarks.noop")
        self.worker = start(directory / "worker.log", "pydag_dist", "worker", *flags)
        for program in (coordinator, self.worker):
            stack.enter_context(program)
        self.client = Client(server.url)
        self._redis = redis.Redis.from_url(server.url)
        self.parents = {
            "parent": self.worker.pid,
            "redis": server.pid,
            "coordinator": coordinator.pid,
            "BigQuery": self.bigquery.pid,
        }

    @classmethod
    @contextmanager
    def started(cls, directory: Path) -> Iterator[System]:
        with ExitStack() as stack:
            system = cls(directory, stack)
            system.quick_waits()  # warms it up
            yield system

    def quick_waits(self) -> list[float]:
        """Milliseconds that each task of a chain waited for a slot."""
        run = self.client.submit(chained())
        run.wait(timeout=TIMEOUT)
        return [1000 * (t.started_at - t.ready_at) for t in run.snapshot().tasks.values()]

    def meter(self) -> CpuMeter:
        return CpuMeter(self.parents, self.worker.pid)


def measure_remote(jobs: int, directory: Path) -> None:
    """What `jobs` jobs of ten seconds take, and quick tasks alone and beside them."""
    with System.started(directory) as system:
        alone = [wait for _ in range(10) for wait in system.quick_waits()]
        system.bigquery.client().create_dataset("remote")
        system.bigquery.fault(method="run", count=None, delay=JOB_SECONDS)
        meter = system.meter()
        run = system.client.submit(queries(jobs))
        wait_until(lambda: run.state != "queued", "the run is planned")
        submitting: list[float] = []
        flying: list[float] = []
        while run.state == "running":
            waits = system.quick_waits()
            (flying if _all_begun(run) else submitting).extend(waits)
        used = meter.used()
        snapshot = run.snapshot()
        ran = sorted(job["id"] for job in system.bigquery.journal())
        meter = system.meter()
        system.client.submit(queries(jobs)).wait(timeout=TIMEOUT)
        alone_used = meter.used()
        polls = [(int(a), int(b)) for a, b in POLLED.findall(system.worker.log.read_text())]
    assert snapshot.state == "success", snapshot.state
    assert ran == sorted(task.result["job_id"] for task in snapshot.tasks.values())
    seconds = snapshot.ended_at - snapshot.started_at
    first = [t.started_at - snapshot.started_at for t in snapshot.tasks.values()]
    print(f"{jobs} jobs of {JOB_SECONDS} s on {SLOTS} slots: {seconds:.1f} s; each ran once")
    print(f"the last job was begun after {max(first):.1f} s")
    asked, ended = (sum(column) for column in zip(*polls, strict=True))
    print(f"{len(polls)} polls asked {asked} times, {asked / len(polls):.0f} at once; {ended} ends")
    told = ", ".join(f"{kind} {1000 * cpu / jobs:.1f}" for kind, cpu in used.items())
    print(f"CPU milliseconds a job, quick tasks included: {told}")
    told = ", ".join(f"{kind} {1000 * cpu / jobs:.1f}" for kind, cpu in alone_used.items())
    print(f"CPU milliseconds a job, nothing else beside them, libraries loaded: {told}")
    print(f"{'quick tasks waited for a slot, ms':40}{'median':>9}{'90 %':>9}{'tasks':>7}")
    rows = {
        "alone": alone,
        "while jobs are submitted": submitting,
        "while they are in flight, or end": flying,
    }
    for name, waits in rows.items():
        if len(waits) > 1:
            tail = quantiles(waits, n=10)[-1]
            print(f"  {name:38}{median(waits):9.1f}{tail:9.1f}{len(waits):7}")
    print(f"load average {os.getloadavg()[0]:.1f} after")


def _all_begun(run: Any) -> bool:
    return set(run.snapshot().counts) <= {"deferred", "success"}


def queries(count: int) -> Dag:
    with Dag("remote") as dag:
        for number in range(count):
            dag.task(f"q{number}", "bigquery.query", params={"sql": SQL})
    return dag


def chained() -> Dag:
    with Dag("quick") as dag:
        before = None
        for number in range(QUICK):
            task = dag.task(f"t{number}", "python.call", params=NOOP, queue="bigquery")
            if before is not None:
                before >> task
            before = task
    return dag
