"""What a command costs from start to end, against a Python that does nothing, by CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.report import verdict
from benchmarks.systems import Pydag, fan_out

ROUNDS = 15
GOALS = {"--help": 6, "runs": 14, "status": 40}


def measure_commands(tasks: int, directory: Path) -> None:
    """`--help`, `runs`, and `status` of a run of so many tasks, in turn with a bare Python."""
    with Pydag.started(directory) as system:
        run = system.submit(fan_out(tasks))
        run.wait(timeout=900)
        environment = {
            **os.environ,
            "PYDAG_REDIS_URL": system.server.url,
            "PYDAG_HOME": str(directory / "nothing"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        commands = {
            "bare": ["-c", "pass"],
            "--help": ["-m", "pydag_dist", "--help"],
            "runs": ["-m", "pydag_dist", "runs"],
            "status": ["-m", "pydag_dist", "status", run.id],
        }
        used: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, arguments in commands.items():
                used[name].append(_cpu(arguments, environment))
    used = {name: seconds[1:] for name, seconds in used.items()}  # the first one compiles
    print(f"CPU time of commands as multiples of a bare Python; {tasks:,} tasks in `status`")
    for name, goal in GOALS.items():
        ratios = [one / bare for one, bare in zip(used[name], used["bare"], strict=True)]
        least = min(used[name]) / min(used["bare"])
        print(f"{name:10}{verdict(ratios, at_most=goal)}; the least of each: {least:.1f}")


def _cpu(arguments: list[str], environment: dict[str, str]) -> float:
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime
