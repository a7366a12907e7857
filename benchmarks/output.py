"""What output costs a task: CPU time of worker and Redis for tasks that write, and for no-ops."""

from __future__ import annotations

from pathlib import Path

from benchmarks.systems import NOOP, Measured, Pydag
from pydag_dist import Dag

ROUNDS = 3
# What a task does -> its params, and how many tasks there are.
KINDS = {
    "nothing": (NOOP, 2000),
    "print, 1 line": ({"callable": "benchmarks.noop:says", "args": [1]}, 1000),
    "print, 100 lines": ({"callable": "benchmarks.noop:says", "args": [100]}, 500),
    "logging, 100 lines": ({"callable": "benchmarks.noop:logs", "args": [100]}, 500),
    "print, 10,000 lines": ({"callable": "benchmarks.noop:says", "args": [10_000]}, 20),
}


def measure_output(directory: Path) -> None:
    """Print each kind's CPU time per task, interleaved, as a multiple of a no-op's."""
    results: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    with Pydag.started(directory) as system:
        for _ in range(ROUNDS):
            for kind, (params, count) in KINDS.items():
                results[kind].append(system.measure(repeated(params, count), count))
    print(f"\n{'a task that writes by':22} | CPU µs per task | times a no-op")
    least = {
        kind: min(one.cpu_per_task("all") for one in measured) for kind, measured in results.items()
    }
    for kind, cost in least.items():
        print(f"{kind:22} | {cost:15,.0f} | {cost / least['nothing']:.2f}")


def repeated(params: dict[str, object], count: int) -> Dag:
    with Dag("output") as dag:
        for number in range(count):
            dag.task(f"t{number}", "python.call", params=params)
    return dag
