"""Memory and CPU time of what has nothing to do: a coordinator and a worker, and `pydag up`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import psutil

from benchmarks.processes import Program, wait_until
from benchmarks.report import verdict
from benchmarks.systems import SLOTS, Pydag
from pydag_dist.local.ports import Ports, free_port

SETTLED = 15  # seconds after the start
WATCHED = 15.0  # seconds in which CPU time is counted
GOAL = 150  # MiB of a coordinator and a worker of two slots
UP_GOAL, UP_CPU_GOAL = 450, 3  # MiB; % of a core
MIB = 1 << 20


def measure_idle(rounds: int, directory: Path) -> None:
    """PSS, which is what each process has and its part of what it shares, and its resident set."""
    together, up, up_cpu = [], [], []
    for number in range(rounds):
        place = directory / str(number)
        place.mkdir()
        with Pydag.started(place, warm_up=0) as system:
            parts = {"coordinator": system.coordinator.pid, "worker": system.worker.pid}
            worker = psutil.Process(system.worker.pid)
            wait_until(lambda: len(worker.children()) == SLOTS + 1, "a pool and its keeper")  # noqa: B023
            together.append(_measured(parts)[0])
        memory, cpu = _up(place / "up")
        up.append(memory)
        up_cpu.append(cpu)
    print(f"together, MiB of PSS: {verdict(together, at_most=GOAL)}")
    print(f"pydag up, MiB of PSS: {verdict(up, at_most=UP_GOAL)}")
    print(f"pydag up, % of a core: {verdict(up_cpu, at_most=UP_CPU_GOAL)}")


def _up(home: Path) -> tuple[float, float]:
    """Start `pydag up` and measure it; Flower, Redis and the local services are parts of it."""
    ports = [f"--{port.name}-port={free_port()}" for port in fields(Ports)]
    environment = {"PYDAG_HOME": str(home)}
    log = home.with_suffix(".log")
    with Program(log, "pydag_dist", "up", *ports, environment=environment) as program:
        program.wait_for("Ctrl-C stops everything")
        parts = json.loads((home / "up.json").read_text())["processes"]
        return _measured({"pydag up": program.pid, **parts})


def _measured(parts: Mapping[str, int]) -> tuple[float, float]:
    """MiB of PSS and % of a core, of all processes of these parts together."""
    time.sleep(SETTLED)
    processes = {}  # each once: parts are children of one part
    for name, pid in parts.items():
        processes[psutil.Process(pid)] = name
    for process, name in [*processes.items()]:
        if name != "pydag up":
            processes |= dict.fromkeys(process.children(recursive=True), name)
    before = {process: _cpu(process.pid) for process in processes}
    time.sleep(WATCHED)
    total = used = 0.0
    for process, name in processes.items():
        seconds = _cpu(process.pid) - before[process]
        memory = process.memory_full_info()
        total, used = total + memory.pss / MIB, used + seconds
        print(
            f"{name:14}{process.name():16}PSS {memory.pss / MIB:6.1f} MiB, "
            f"resident {memory.rss / MIB:6.1f} MiB, {100 * seconds / WATCHED:5.2f} % of a core"
        )
    return total, 100 * used / WATCHED


def _cpu(pid: int) -> float:
    """Seconds that its threads have run: counted, where `psutil` has samples of 10 ms."""
    counts = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(count.read_text().split()[0]) for count in counts) / 1e9
