"""CPU time of no-op tasks beside Ray's and Dask's, which keep everything in memory."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.processes import ROOT
from benchmarks.report import verdict
from benchmarks.systems import Pydag, chained, fan_in, fan_out, layers

SIZES = {"chain": 400, "fan-out": 2_000, "fan-in": 2_000, "layers": 2_000}
DAGS = {"chain": chained, "fan-out": fan_out, "fan-in": fan_in, "layers": layers}
MODULES = {"ray": "ray", "dask": "distributed"}


class InMemory:
    """Ray or Dask, driven by a process of an interpreter that has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls, python: str, name: str) -> Iterator[InMemory]:
        script = ROOT / "benchmarks" / "in_memory.py"
        process = subprocess.Popen(
            [python, "-W", "ignore", str(script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            system = cls(process)
            system.wait_for("ready")
            yield system
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.communicate()
            for one in family:
                if one.is_running():
                    one.kill()

    def wait_for(self, word: str) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip() == word:
                return
        raise RuntimeError(f"it ended before it said {word!r}")

    def cpu_per_task(self, shape: str, tasks: int) -> float:
        """Microseconds of all its processes."""
        before = self._cpu()
        assert self._process.stdin
        print(shape, tasks, file=self._process.stdin, flush=True)
        self.wait_for("done")
        return 1e6 * (self._cpu() - before) / tasks

    def _cpu(self) -> float:
        root = psutil.Process(self._process.pid)
        processes = [root, *root.children(recursive=True)]
        return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def measure_others(python: str, rounds: int, directory: Path) -> None:
    """Print CPU per task of pydag, and of those of Ray and Dask that this interpreter has."""
    names = [name for name, module in MODULES.items() if _has(python, module)]
    for name in MODULES.keys() - set(names):
        print(f"{name} is not installed for {python}: left out (--others PYTHON)")
    if not names:
        return
    used: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        place = directory / f"others-{number}"
        place.mkdir()
        with Pydag.started(place) as pydag:
            for shape, tasks in SIZES.items():
                dag, client = DAGS[shape](tasks), psutil.Process()
                before = sum(client.cpu_times()[:2])
                all_else = sum(pydag.measure(dag, tasks).cpu.values())
                cpu = all_else + sum(client.cpu_times()[:2]) - before
                used["pydag", shape].append(1e6 * cpu / tasks)
        for name in names:
            with InMemory.started(python, name) as system:
                for shape, tasks in SIZES.items():
                    used[name, shape].append(system.cpu_per_task(shape, tasks))
    print("\nCPU of all processes a task: pydag with history, events and file / in memory")
    for name in names:
        for shape in SIZES:
            ours, theirs = used["pydag", shape], used[name, shape]
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            figures = f"{min(ours):7.0f} / {min(theirs):.0f} us at least"
            print(f"{shape:9}{name:6}{verdict(ratios, at_most=1)}  {figures}")


def _has(python: str, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0
