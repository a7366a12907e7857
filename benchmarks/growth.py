"""What the engine costs Redis with many hosts: simulated workers claim and release, without Celery.

Redis does all that it does with real workers; what they cost themselves is left out. Each worker
has a connection of its own. ``python -m benchmarks.growth``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.systems import NOOP, fan_out
from pydag_dist import Client, Dag
from pydag_dist.coordinator.planner import plan
from pydag_dist.engine import End, Engine, Held, connect
from pydag_dist.engine.celery.messages import celery_config, template
from pydag_dist.local.redis_server import valkey_binary
from pydag_dist.settings import Settings
from tests.support.redis_server import RedisServer

SLOTS = 8
QUEUE = "python"
BY_A_MESSAGE = 20  # tasks that a process goes on with
RENEWAL = 10.0  # seconds
LASTED = 1e-4  # seconds, which a process says of each that it was handed
Figures = dict[str, float]


class Worker:
    """A worker of `SLOTS` slots, each of whose tasks ends as soon as it has begun."""

    def __init__(self, url: str, name: str) -> None:
        self.engine = Engine(connect(url))
        self.name = name
        self.held: list[Held] = []
        self.renew()

    def renew(self) -> None:
        """Keep the leases of what it holds; without that nothing more is handed to it."""
        self._renew_at = time.monotonic() + RENEWAL
        self.engine.working.renew(self.name, SLOTS, [QUEUE], self.held)

    def take(self) -> Held | None:
        """Claim what the next message of the queue is for; None if there is none."""
        if time.monotonic() > self._renew_at:
            self.renew()
        text = self.engine.store.redis.rpop(self.engine.store.key(f"q:{QUEUE}"))
        if text is None:
            return None
        ids = json.loads(text)["headers"]["pydag"]
        held = Held(ids["run"], ids["task"], int(ids["try"]), str(ids["push"]))
        self.engine.working.claim(
            held.run, held.task, held.try_number, held.token, self.name, process=1
        )
        return held

    def end(self, ended: list[Held], *, handed: bool, goes_on: bool) -> list[Held]:
        """End tasks, that it was handed or took by a message; be handed others if it goes on."""
        ends = [End(held, "success", "null", lasted=LASTED if handed else None) for held in ended]
        if not goes_on:
            self.engine.working.hand_in(ends, self.name, process=1)
            return []
        taker: dict[str, Any] = {"queue": QUEUE, "worker": self.name, "process": 1}
        return [following.held for following in self.engine.working.run_on(ends, **taker)[1]]


class Hosts:
    """So many workers, and a server that counts what they cost it."""

    def __init__(self, count: int, url: str) -> None:
        self.client = Client(url)
        self.engine = self.client.engine
        self._redis = self.engine.store.redis
        self._redis.config_set("auto-aof-rewrite-percentage", 0)
        app = Celery("growth", set_as_current=False)
        app.config_from_object(celery_config(Settings(redis_url=url)))
        self.engine.planning.set_template(template(app))
        self.workers = [Worker(url, f"worker@host{number}") for number in range(count)]

    def plan(self, dag: Dag) -> int:
        """Start a run of it; how many tasks that has."""
        assert plan(self.engine, self.client.submit(dag).id, dag)
        return len(dag.tasks)

    def drain(self, tasks_by_message: int) -> int:
        """Let the workers run all that is ready; how many tasks that were."""
        done, idle = 0, 0
        for worker in cycle(self.workers):
            held, left = worker.take(), tasks_by_message
            idle = 0 if held else idle + 1
            if idle > len(self.workers):
                return done
            hand, handed = [held] if held else [], False
            while hand:
                left, done = left - len(hand), done + len(hand)
                hand, handed = worker.end(hand, handed=handed, goes_on=left > 0), True
        return done

    def hold_all(self) -> None:
        """Let each worker hold a task in each of its slots."""
        self.plan(fan_out(len(self.workers) * SLOTS))
        for worker in self.workers * SLOTS:
            if held := worker.take():
                worker.held.append(held)

    def renew_all(self, times: int = 20) -> int:
        """Renew each worker's leases so often; how many renewals that were."""
        for worker in self.workers * times:
            worker.renew()
        return times * len(self.workers)

    def cost(self, work: Callable[[], int]) -> Figures:
        """What each of the things cost the server that `work` did as many of as it answers."""
        before = self._figures()
        count = work()
        return {name: (value - before[name]) / count for name, value in self._figures().items()}

    def _figures(self) -> Figures:
        info: dict[str, Any] = self._redis.info("everything")
        return {
            "CPU": 1e6 * (info["used_cpu_user"] + info["used_cpu_sys"]),
            "calls": info.get("cmdstat_fcall", {"calls": 0})["calls"],
            "commands": info["total_commands_processed"],
            "in": info["total_net_input_bytes"],
            "out": info["total_net_output_bytes"],
            "file": info["aof_current_size"],
            "memory": info["used_memory"],
        }


def layers(tasks: int, width: int = 100, upstream: int = 3) -> Dag:
    """Rows of tasks, each of which waits for some of the row above."""
    with Dag("layers") as dag:
        above: list[Any] = []
        for first in range(0, tasks, width):
            row = [dag.task(f"t{first + n}", "python.call", params=NOOP) for n in range(width)]
            for number, node in enumerate(row if above else []):
                [above[(number + near) % width] for near in range(upstream)] >> node
            above = row
    return dag


def costs(count: int, tasks: int, url: str) -> Iterator[tuple[str, Figures]]:
    """What is done, and what it costs the server each time."""
    hosts = Hosts(count, url)
    for name, dag in (("no edges", fan_out(tasks)), ("3 upstream tasks", layers(tasks))):
        yield f"{name}: plan", hosts.cost(lambda dag=dag: hosts.plan(dag))  # type: ignore[misc]
        yield f"{name}: a message each", hosts.cost(lambda: hosts.drain(1))
        hosts.plan(dag)
        work = lambda: hosts.drain(BY_A_MESSAGE)  # noqa: E731
        yield f"{name}: {BY_A_MESSAGE} by a message", hosts.cost(work)
    hosts.hold_all()
    yield f"renewal of {SLOTS} tasks", hosts.cost(hosts.renew_all)


def main() -> int:
    """Print a line for each thing; its CPU also as a multiple of a PING's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=2_000, help="of each DAG")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="pydag-growth-") as directory,
        RedisServer(valkey_binary(), Path(directory) / "redis") as server,
    ):
        client = connect(server.url)
        probe = Hosts(0, server.url)
        ping = probe.cost(lambda: sum(bool(client.ping()) for _ in range(20_000)))["CPU"]
        print(f"{options.hosts} hosts of {SLOTS} slots; a PING: {ping:.1f} µs of Redis's CPU")
        print(f"{'':34}{'µs':>7}{'PINGs':>7}{'calls':>7}{'commands':>10}", end="")
        print(f"{'B in':>8}{'B out':>8}{'B in file':>11}{'B in memory':>13}")
        for name, cost in costs(options.hosts, options.tasks, server.url):
            print(
                f"{name:34}{cost['CPU']:7.0f}{cost['CPU'] / ping:7.1f}{cost['calls']:7.2f}"
                f"{cost['commands']:10.1f}"
                f"{cost['in']:8.0f}{cost['out']:8.0f}{cost['file']:11.0f}{cost['memory']:13.0f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
