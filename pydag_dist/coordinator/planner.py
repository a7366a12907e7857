"""From a submitted DAG to a plan that the engine runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

from pydag_dist.dag import Dag, Task
from pydag_dist.engine import CHUNK, Engine, PlannedTask


def planned_tasks(dag: Dag) -> Iterator[PlannedTask]:
    """The rows of the DAG's plan, parents first.

    The rank is the order in which ready tasks of the run are pushed: by the user's priority, then
    critical path first.
    """
    walk = dag.walk()
    path = dag.remaining_path()
    by_urgency = sorted(walk, key=lambda t: (-dag.tasks[t].priority, -path[t]))
    ranks = {task_id: rank for rank, task_id in enumerate(by_urgency)}
    for task in map(dag.tasks.__getitem__, walk):
        yield PlannedTask(
            task=task.task_id,
            queue=task.queue,
            rank=ranks[task.task_id],
            rule=task.trigger_rule,
            upstream=len(task.dependencies),
            downstream=dag.downstream[task.task_id],
            spec=_spec(dag, task),
        )


def _spec(dag: Dag, task: Task) -> str:
    """What the worker's operator gets to know, besides run, task and try."""
    return json.dumps(
        {
            "dag_id": dag.dag_id,
            "operator": task.operator,
            "script": task.script.path if task.script else None,
            "params": task.params,
            "script_cache": dag.script_cache,
            "expire_cache": dag.expire_cache,
        }
    )


def plan(
    engine: Engine, run_id: str, dag: Dag, between_chunks: Callable[[], object] = lambda: None
) -> bool:
    """Plan a submitted run and start it. False if it is planned already or by a newer planner."""
    token = engine.plan_begin(run_id)
    if token is None:
        return False
    rows = planned_tasks(dag)
    while chunk := list(itertools.islice(rows, CHUNK)):
        if not engine.plan_chunk(run_id, token, chunk):
            return False
        between_chunks()
    roots = [task_id for task_id in dag.walk() if not dag.tasks[task_id].dependencies]
    if not engine.plan_roots(run_id, token, roots):
        return False
    queues = sorted({task.queue for task in dag.tasks.values()})
    return engine.plan_commit(run_id, token, len(dag.tasks), queues, len(roots))
