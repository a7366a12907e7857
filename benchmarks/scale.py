"""A fan-out of many tasks on pydag alone: how long it takes, and how much memory Redis needs."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import redis

from benchmarks.processes import wait_until
from benchmarks.systems import TIMEOUT, Pydag, fan_out
from pydag_dist.client import Run

HEADER = (
    f"{'tasks':>8}{'submit+plan s':>15}{'run s':>9}{'tasks/s':>9}{'ms/task':>9}"
    f"{'planned B/task':>16}{'peak B/task':>13}{'ended B/task':>14}"
)


def measure_fan_out(sizes: Iterable[int], directory: Path) -> None:
    """Print a line for each size; memory is how much Redis's used_memory grew for each task."""
    print(HEADER)
    for tasks in sizes:
        place = directory / str(tasks)
        place.mkdir()
        dag = fan_out(tasks)
        gc.collect()
        with Pydag.started(place) as system:
            empty = _used(system.redis)
            run = system.submit(dag)
            wait_until(partial(_is_planned, run), "the run is planned", TIMEOUT)
            planned = _used(system.redis)
            system.redis.config_resetstat()  # the peak starts anew
            snapshot = system.finish(run)
            memory = system.redis.info("memory")
        plan_seconds = snapshot.started_at - snapshot.submitted_at
        run_seconds = snapshot.ended_at - snapshot.started_at
        per_task = [
            (used - empty) / tasks
            for used in (planned, memory["used_memory_peak"], memory["used_memory"])
        ]
        print(
            f"{tasks:8}{plan_seconds:15.2f}{run_seconds:9.2f}{tasks / run_seconds:9.0f}"
            f"{1000 * run_seconds / tasks:9.3f}"
            f"{per_task[0]:16.0f}{per_task[1]:13.0f}{per_task[2]:14.0f}",
            flush=True,
        )


def _is_planned(run: Run) -> bool:
    return run.state != "queued"


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])
