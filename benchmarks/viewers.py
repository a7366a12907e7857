"""What viewers of live streams cost the engine: the same fan-out with and without them, in turn.

All processes share this machine's cores, and `pydag web` runs at the lower priority that
docs/api.md tells to give it there. So beside the throughput the CPU time of each kind of
process and Redis's commands are told, which don't depend on who else is at work. Of the throughput
with viewers the CPU time of the process that reads all of their streams is taken out, too.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.processes import ROOT, Program
from benchmarks.systems import Pydag, fan_out
from pydag_dist.engine import Engine
from pydag_dist.web.tokens import Tokens

TASKS, ROUNDS = 3_000, 3
NICE = 10


@dataclass(frozen=True)
class Cost:
    """A fan-out: its seconds, CPU seconds by kind of process, and Redis's commands."""

    seconds: float
    cpu: dict[str, float]
    commands: int
    read: int  # bytes that viewers got

    def line(self, what: str) -> str:
        told = ", ".join(f"{kind} {1e6 * used / TASKS:,.0f}" for kind, used in self.cpu.items())
        per_task = self.commands / TASKS
        return (
            f"{what:16} {TASKS / self.seconds:6,.0f} tasks/s; CPU µs a task: {told}; "
            f"{per_task:.1f} commands of Redis a task; {self.read / 1e6:,.1f} MB to viewers"
        )

    @property
    def engine(self) -> float:
        """CPU seconds of everything but the web part and its viewers."""
        return sum(used for kind, used in self.cpu.items() if kind not in {"web", "viewers"})

    @property
    def alone(self) -> float:
        """Seconds that it would have taken if the viewers were on another host."""
        return self.seconds - self.cpu.get("viewers", 0.0) / (os.cpu_count() or 1)


def measure_viewers(viewers: int, directory: Path) -> None:
    """Print what each fan-out cost, and the ratios of the medians."""
    port = free_port()
    found: dict[bool, list[Cost]] = {False: [], True: []}
    with Pydag.started(directory) as system:
        url = str(system.server.url)
        token = Tokens(Engine.from_url(url).store).add("viewers", "viewer", "benchmark")
        environment = {
            "PYDAG_REDIS_URL": url, "PYDAG_HOME": str(directory / "home"),
            "PYDAG_WEB_MODE": "tokens", "PYDAG_WEB_STREAMS": str(2 * viewers),
            "PYDAG_WEB_REQUESTS_PER_SECOND": "1e6",
        }  # fmt: skip
        arguments = ("pydag_dist", "web", "--port", str(port))
        with Program(directory / "web.log", *arguments, environment=environment) as web:
            web.wait_for("listening on")
            psutil.Process(web.pid).nice(NICE)
            for number in range(ROUNDS):
                for watched in (False, True) if number % 2 == 0 else (True, False):
                    count = viewers if watched else 0
                    cost = _fan_out(system, web, (str(port), token, str(count)))
                    found[watched].append(cost)
                    print(cost.line(f"{count:,} viewers"), flush=True)
    without, with_ = ({n: _median(found[w], n) for n in ("seconds", "alone", "engine", "commands")}
                      for w in (False, True))  # fmt: skip
    print(
        f"{viewers:,} viewers: throughput {without['seconds'] / with_['seconds']:.2f} of that "
        f"without any, {without['seconds'] / with_['alone']:.2f} without the viewers' own CPU; the "
        f"engine's CPU {with_['engine'] / without['engine']:.2f} times as much, "
        f"Redis's commands {with_['commands'] / without['commands']:.2f} times as many"
    )


def _median(costs: list[Cost], name: str) -> float:
    return statistics.median(getattr(cost, name) for cost in costs)


def _fan_out(system: Pydag, web: Program, viewers: tuple[str, ...]) -> Cost:
    """One run, which waits for its plan until all viewers look on."""
    coordinator = psutil.Process(system.coordinator.pid)
    coordinator.send_signal(signal.SIGSTOP)
    run = system.submit(fan_out(TASKS))
    readers = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.viewers", *viewers, run.id],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert readers.stdin is not None
    assert readers.stdout is not None
    assert readers.stdout.readline() == "ready\n"
    before = _used(system.redis), _cpu(web.pid), _cpu(readers.pid)
    meter = system.meter()
    coordinator.send_signal(signal.SIGCONT)
    ended = system.finish(run)
    cpu = meter.used()
    now = _used(system.redis), _cpu(web.pid), _cpu(readers.pid)
    cpu |= {"web": now[1] - before[1], "viewers": now[2] - before[2]}
    read, _ = readers.communicate("end\n")
    return Cost(ended.ended_at - ended.started_at, cpu, now[0] - before[0], int(read))


def _cpu(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


def _used(client: redis.Redis) -> int:
    stats: dict[str, Any] = client.info("stats")
    return int(stats["total_commands_processed"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def look_on(port: str, token: str, count: str, run_id: str, only: str = "") -> None:
    """Read so many streams in one process, until a line is given.

    Half of them are of the run, or all with `only`, and the others of the newest runs.
    """
    os.nice(NICE)  # they stand for other hosts
    selector = selectors.DefaultSelector()
    for number in range(int(count)):
        path = f"/api/v1/runs/{run_id}/events" if only or number % 2 else "/api/v1/events"
        viewer = socket.create_connection(("127.0.0.1", int(port)))
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        viewer.sendall(head.encode())
        selector.register(viewer, selectors.EVENT_READ)
    waiting = {key.fileobj for key in selector.get_map().values()}
    while waiting:
        for key, _ in selector.select():
            answer = key.fileobj.recv(2**16)  # type: ignore[union-attr]
            assert answer.startswith(b"HTTP/1.1 200") or key.fileobj not in waiting, answer
            waiting.discard(key.fileobj)
    print("ready", flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ)
    read = 0
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                print(read)
                return
            received = len(key.fileobj.recv(2**18))  # type: ignore[union-attr]
            read += received
            if not received:  # the run has ended
                selector.unregister(key.fileobj)


if __name__ == "__main__":
    look_on(*sys.argv[1:])
