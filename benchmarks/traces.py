"""How long DAGs of real run times take, over a schedule that knows all run times before.

A trace is a JSON file with a list of objects: ``id``, ``deps`` (ids, which stand before it) and
``runtime_s``. Each task becomes a sleep, all of them shorter by the same factor.
"""

from __future__ import annotations

import heapq
import json
from pathlib import Path

from benchmarks.report import verdict
from benchmarks.systems import SLOTS, Pydag
from pydag_dist import Dag

SECONDS = 10.0  # that a trace takes, about
SLEEP = {"callable": "benchmarks.noop:sleep"}

Trace = list[dict[str, object]]


def clairvoyant(
    seconds: dict[str, float], after: dict[str, list[str]], slots: int = SLOTS
) -> float:
    """The makespan on slots where the ready task with the longest remaining path starts first."""
    path: dict[str, float] = {}
    before: dict[str, list[str]] = {task: [] for task in seconds}
    for task, upstream in after.items():
        for one in upstream:
            before[one].append(task)
    for task in reversed(list(seconds)):  # those downstream are known by then
        path[task] = seconds[task] + max((path[one] for one in before[task]), default=0.0)
    waits_for = {task: len(upstream) for task, upstream in after.items()}
    ready = [(-path[task], task) for task, count in waits_for.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            _, task = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[task], task))
        now, ended = heapq.heappop(running)
        for task in before[ended]:
            waits_for[task] -= 1
            if not waits_for[task]:
                heapq.heappush(ready, (-path[task], task))
    return now


def measure_traces(folder: Path, directory: Path) -> None:
    """Print, for each trace of the folder, its makespan over the clairvoyant schedule's."""
    print(f"\nmakespan of each trace over a clairvoyant schedule, {SLOTS} slots, second run")
    ratios = []
    with Pydag.started(directory) as system:
        for file in sorted(folder.glob("*.json")):
            trace = json.loads(file.read_text())
            real = {one["id"]: float(one["runtime_s"]) for one in trace}
            after = {one["id"]: list(one["deps"]) for one in trace}
            scale = SECONDS / clairvoyant(real, after)
            seconds = {task: runtime * scale for task, runtime in real.items()}
            dag = _dag(file.stem, seconds, after)
            # The first run tells the engine nothing but how long its tasks take.
            for _ in range(2):
                run = system.finish(system.submit(dag))
            ratios.append((run.ended_at - run.started_at) / SECONDS)
            print(f"{file.stem:50}{len(trace):6} tasks {ratios[-1]:7.3f}", flush=True)
    print(f"{'all':50}{verdict(ratios, at_most=1.05)}")


def _dag(name: str, seconds: dict[str, float], after: dict[str, list[str]]) -> Dag:
    with Dag(name) as dag:
        tasks = {}
        for task, length in seconds.items():
            tasks[task] = dag.task(
                task, "python.call", params={**SLEEP, "args": [round(length, 6)]}
            )
            for upstream in after[task]:
                tasks[upstream] >> tasks[task]
    return dag
