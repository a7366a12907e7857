"""The memory of a coordinator and a worker of two slots that have nothing to do."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from benchmarks.report import verdict
from benchmarks.systems import Pydag

SETTLED = 15  # seconds after the start
GOAL = 150  # MiB
MIB = 1 << 20


def measure_idle(rounds: int, directory: Path) -> None:
    """PSS, which is what each process has and its part of what it shares, and its resident set."""
    together = []
    for number in range(rounds):
        place = directory / str(number)
        place.mkdir()
        with Pydag.started(place, warm_up=0) as system:
            time.sleep(SETTLED)
            total = 0.0
            for name, pid in (
                ("coordinator", system.coordinator.pid),
                ("worker", system.worker.pid),
            ):
                process = psutil.Process(pid)
                for one in [process, *process.children(recursive=True)]:
                    memory = one.memory_full_info()
                    total += memory.pss / MIB
                    print(
                        f"{name:12}{one.name():14}PSS {memory.pss / MIB:6.1f} MiB, "
                        f"resident {memory.rss / MIB:6.1f} MiB"
                    )
        together.append(total)
    print(f"together, MiB of PSS: {verdict(together, at_most=GOAL)}")
