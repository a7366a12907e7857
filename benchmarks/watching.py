"""What watching costs: the same fan-out with logs kept, metrics, traces and lineage, and without.

Each task prints a line, and says what it read and wrote. Both installations are there all the time,
and take turns. The receivers, and who scrapes the metrics, are a process of their own at a lower
priority, which stands for other hosts: of the time with them its CPU time is taken out, too.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from benchmarks.processes import Program
from benchmarks.systems import Measured, Pydag, fan_out
from benchmarks.viewers import NICE, free_port
from pydag_dist import Dag
from pydag_dist.cli import main
from pydag_dist.settings import Settings

TASKS, ROUNDS = 2_000, 4
SCRAPED_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Watched:
    """A fan-out, and the CPU seconds of who watched it."""

    measured: Measured
    receivers: float

    @property
    def alone(self) -> float:
        """Seconds that it would have taken if the receivers were on another host."""
        return self.measured.seconds - self.receivers / (os.cpu_count() or 1)

    def line(self, what: str) -> str:
        kinds = ", ".join(
            f"{kind} {self.measured.cpu_per_task(kind):,.0f}" for kind in self.measured.cpu
        )
        return f"{what:10} {self.measured.rate:6,.0f} tasks/s; CPU µs a task: {kinds}"


def measure_watching(directory: Path) -> None:
    """Print what each fan-out cost, and the ratios of the medians."""
    ports = free_port(), free_port()
    url = f"http://127.0.0.1:{ports[0]}"
    watched = {
        "PYDAG_METRICS": str(ports[1]), "PYDAG_TRACES_URL": f"{url}/v1/traces",
        "PYDAG_LINEAGE_URL": f"{url}/api/v1/lineage", "NO_PROXY": "*",
    }  # fmt: skip
    (directory / "on").mkdir()
    (directory / "off").mkdir()
    arguments = ("benchmarks.watching", *map(str, ports))
    with (
        Program(directory / "receivers.log", *arguments, environment={}) as receivers,
        Pydag.started(directory / "on", watched) as on,
        # With a history in a file there is always a log store.
        Pydag.started(directory / "off", {}, "benchmarks.watching") as off,
    ):
        for kind, dag in {"no-ops": fan_out(TASKS), "tasks with a line": moving(TASKS)}.items():
            found: dict[bool, list[Watched]] = {False: [], True: []}
            for number in range(ROUNDS):
                for is_on in (False, True) if number % 2 == 0 else (True, False):
                    before = _cpu(receivers)
                    one = (on if is_on else off).measure(dag, TASKS)
                    time.sleep(1)  # what is sent afterwards is of this one, too
                    cost = Watched(one, (_cpu(receivers) - before) if is_on else 0.0)
                    found[is_on].append(cost)
                    print(cost.line("watched" if is_on else "unwatched"), flush=True)
            print(_verdict(kind, found), flush=True)


def _verdict(kind: str, found: dict[bool, list[Watched]]) -> str:
    ratios = [o.measured.seconds / w.measured.seconds for o, w in _pairs(found)]
    alone = [o.measured.seconds / w.alone for o, w in _pairs(found)]
    cpu = [sum(w.measured.cpu.values()) / sum(o.measured.cpu.values()) for o, w in _pairs(found)]
    return (
        f"{kind}, watched: throughput {statistics.median(ratios):.3f} of that without, "
        f"{statistics.median(alone):.3f} without the receivers' own CPU (goal: at least 0.95); "
        f"CPU {statistics.median(cpu):.3f} times as much meanwhile"
    )


def _pairs(found: dict[bool, list[Watched]]) -> list[tuple[Watched, Watched]]:
    return list(zip(found[False], found[True], strict=True))


def _cpu(program: Program) -> float:
    return sum(psutil.Process(program.pid).cpu_times()[:2])


def moving(tasks: int) -> Dag:
    """Tasks that write a line, and say that they move data: one of ten, as pipelines do."""
    with Dag("moving") as dag:
        for number in range(tasks):
            name = "moves" if number % 10 == 0 else "says"
            arguments = [number] if name == "moves" else [1]
            params = {"callable": f"benchmarks.noop:{name}", "args": arguments}
            dag.task(f"t{number}", "python.call", params=params)
    return dag


def receive(port: str, metrics: str) -> None:
    """Take whatever is posted, and scrape metrics."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    os.nice(NICE)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(SCRAPED_EVERY)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
                answer.read()
        except OSError as error:  # it has not begun yet
            print(error, flush=True)


def coordinator() -> None:
    """A coordinator that keeps no logs."""
    Settings.log_place = None  # type: ignore[method-assign, assignment]
    sys.argv[0] = "pydag"
    main()


if __name__ == "__main__":
    if sys.argv[1] == "coordinator":
        coordinator()
    receive(*sys.argv[1:])
