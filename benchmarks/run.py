"""Compare with bare Celery in one run on this machine, or measure a fan-out of many tasks."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.airflow import measure_airflow
from benchmarks.backfill import measure_backfill
from benchmarks.command_line import measure_commands
from benchmarks.idle import measure_idle
from benchmarks.others import measure_others
from benchmarks.output import measure_output
from benchmarks.remote import measure_remote
from benchmarks.report import Goal, Results, comparison
from benchmarks.scale import measure_fan_out
from benchmarks.schedules import measure_schedules
from benchmarks.systems import BareCelery, CeleryWithEvents, Pydag
from benchmarks.traces import measure_traces
from benchmarks.viewers import measure_viewers
from benchmarks.watching import measure_watching

SETUP = (
    "each system: one worker of 2 slots, log level WARNING, no gossip, no mingle, its own Valkey "
    "with appendfsync everysec; Celery: prefetch and acks as by default, events only with -E; "
    "pydag: task events on, as `pydag worker` starts it"
)

FAN_OUT, FAN_IN, CHAIN = 5_000, 2_000, 200
GOALS = [
    Goal("fan-out", "Celery -E", at_least=4),
    Goal("fan-out", "Celery", at_least=3),
    Goal("fan-in", "Celery", at_least=8),
    Goal("chain, whole", "Celery", at_most=0.12),
]


def compare(rounds: int, directory: Path) -> Results:
    """Every shape on all systems, interleaved; which of them begins changes every round."""
    results: Results = {
        shape: defaultdict(list) for shape in ("fan-out", "fan-in", "chain", "chain, whole")
    }
    for number in range(rounds):
        systems = [BareCelery, Pydag, CeleryWithEvents]
        for system in systems if number % 2 == 0 else reversed(systems):
            place = directory / f"{number}-{system.name}"
            place.mkdir()
            print(f"round {number + 1} of {rounds}: {system.name} …", flush=True)
            with system.started(place) as running:
                results["fan-out"][system.name].append(running.fan_out(FAN_OUT))
                if system is CeleryWithEvents:
                    continue
                results["fan-in"][system.name].append(running.fan_in(FAN_IN))
                chain = running.chain(CHAIN)
                results["chain"][system.name].append(chain)
                results["chain, whole"][system.name].append(chain)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison [3]")
    parser.add_argument(
        "--tasks",
        type=int,
        nargs="+",
        metavar="N",
        help="instead: only pydag, a fan-out of N no-op tasks: its time and Redis's memory",
    )
    parser.add_argument(
        "--remote",
        type=int,
        metavar="N",
        help="instead: N remote jobs of ten seconds on two slots, and quick tasks beside them",
    )
    parser.add_argument(
        "--commands",
        type=int,
        metavar="N",
        help="instead: what commands cost against a bare Python, with a run of N tasks",
    )
    parser.add_argument(
        "--idle",
        type=int,
        metavar="ROUNDS",
        help="instead: the memory of a coordinator and a worker that have nothing to do",
    )
    parser.add_argument(
        "--output", action="store_true", help="instead: what it costs a task to write"
    )
    parser.add_argument(
        "--watching",
        action="store_true",
        help="instead: what logs that are kept, metrics, traces and lineage cost a fan-out",
    )
    parser.add_argument(
        "--backfill",
        type=int,
        metavar="SLOTS",
        help="instead: a year of daily runs on so many slots, and a live DAG beside them",
    )
    parser.add_argument(
        "--published",
        type=int,
        metavar="N",
        help="instead: what N published DAGs cost, and how late 1,000 runs are at once",
    )
    parser.add_argument(
        "--others",
        default=sys.executable,
        metavar="PYTHON",
        help="an interpreter that has Ray or Dask, to compare the CPU time of tasks [this one]",
    )
    parser.add_argument(
        "--airflow",
        metavar="PYTHON",
        help="instead: a chain and a fan-out beside the Airflow of this interpreter, which also "
        "needs psycopg2 and asyncpg, and PostgreSQL on this machine",
    )
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="DIRECTORY",
        help="run its task graphs, too: lists of id, deps and runtime_s as JSON",
    )
    parser.add_argument(
        "--viewers",
        type=int,
        metavar="N",
        help="instead: what N viewers of live streams cost the engine while a fan-out runs",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement, too")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    print(f"load average {os.getloadavg()[0]:.1f} before; {SETUP}")
    with tempfile.TemporaryDirectory(prefix="pydag-bench-") as temporary:
        place = Path(temporary)
        instead: dict[str, Callable[[Any, Path], None]] = {
            "tasks": measure_fan_out,
            "output": lambda _, place: measure_output(place),
            "watching": lambda _, place: measure_watching(place),
            "backfill": measure_backfill,
            "published": measure_schedules,
            "viewers": measure_viewers,
            "remote": measure_remote,
            "commands": measure_commands,
            "idle": measure_idle,
            "airflow": lambda python, place: measure_airflow(python, arguments.rounds, place),
        }
        for name, measure in instead.items():
            if asked := getattr(arguments, name):
                measure(asked, place)
                return 0
        results = compare(arguments.rounds, place)
        print(comparison(results, GOALS), flush=True)
        measure_others(arguments.others, arguments.rounds, place)
        if arguments.traces:
            of_traces = place / "traces"
            of_traces.mkdir()
            measure_traces(arguments.traces, of_traces)
    if arguments.json:
        plain = {
            shape: {system: [asdict(one) for one in measured] for system, measured in by.items()}
            for shape, by in results.items()
        }
        arguments.json.write_text(json.dumps(plain, indent=1))
    return 0
