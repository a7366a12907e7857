"""What follows from a run's DAG and its tasks, as in `ui/src/live/plan.ts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydag_dist.dag import Dag
from pydag_dist.engine import ENDED_TASK_STATES, TaskSnapshot

Upstream = Mapping[str, Sequence[str]]


def upstream_of(dag: Dag) -> dict[str, list[str]]:
    """What each task waits for, each after what it depends on."""
    waits = dag.waits_for()
    return {name: waits[name] for name in dag.walk()}


def expected_end(
    upstream: Upstream, tasks: Mapping[str, TaskSnapshot], usual: Mapping[str, float], now: float
) -> float | None:
    """When the run will end if each task takes its usual time, and none waits for a slot.

    None if one that is still to end has no usual time. `upstream` has each task after its own.
    """
    ends: dict[str, float] = {}
    for name, before in upstream.items():
        task = tasks.get(name)
        if task and task.state in ENDED_TASK_STATES:
            ends[name] = task.ended_at or 0
            continue
        if name not in usual:
            return None
        if task and task.state == "running" and task.started_at is not None:
            ends[name] = max(now, task.started_at + usual[name])
        else:
            ends[name] = max([now, *(ends.get(up, now) for up in before)]) + usual[name]
    return max(ends.values(), default=0) or None


def critical_path(upstream: Upstream, tasks: Mapping[str, TaskSnapshot]) -> set[str]:
    """The tasks that the end hung on: from the one that ended last, each time the upstream one."""

    def end(name: str) -> float:
        task = tasks.get(name)
        return -1 if task is None or task.ended_at is None else task.ended_at

    path: set[str] = set()
    name = max(upstream, key=end, default=None)
    while name is not None and end(name) >= 0:
        path.add(name)
        name = max(upstream[name], key=end, default=None)
    return path
