"""From a submitted DAG to a plan that the engine runs, anew or from what an ended run left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydag_dist.coordinator.branches import choices
from pydag_dist.coordinator.spec import RunParams, spec_of
from pydag_dist.dag import Dag, Task
from pydag_dist.dag.operators import LOCAL
from pydag_dist.engine import CHUNK, Engine, PlannedTask

DEFAULT_TIMEOUT: Final = 24 * 3600.0  # seconds of a try
_KEPT: Final = frozenset({"success", "skipped"})
_COUNTS_AS: Final = {"success": "ok", "skipped": "skips"}


@dataclass(frozen=True)
class Past:
    """What a resumed run's tasks were when it ended; empty for a run that is new."""

    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    skips: Mapping[str, Sequence[str]] = field(default_factory=dict)
    from_task: str = ""


@dataclass(frozen=True)
class Plan:
    """The rows of a plan, the tasks to decide at its start, and how many have ended before."""

    rows: list[PlannedTask]
    first: list[str]
    ended: int


def plan_of(dag: Dag, past: Past | None = None, run: RunParams | None = None) -> Plan:
    """The DAG's plan.

    The rank is the order in which ready tasks of the run are pushed: by the user's priority, then
    critical path first.
    """
    past, run = past or Past(), run or RunParams()
    walk = dag.walk()
    path = dag.remaining_path()
    by_urgency = sorted(walk, key=lambda t: (-dag.tasks[t].priority, -path[t]))
    ranks = {task_id: rank for rank, task_id in enumerate(by_urgency)}
    ended = _ended(dag, past)
    chosen_from = choices(dag)
    rows = []
    for task_id in walk:
        task = dag.tasks[task_id]
        spec = spec_of(dag, task, chosen_from.get(task_id), run)
        rows.append(_row(dag, task, past, ended, rank=ranks[task_id], spec=spec))
    first = [
        t
        for t in walk
        if t not in ended
        and (
            not dag.tasks[t].dependencies
            or dag.tasks[t].trigger_rule == "always"
            or any(up in ended for up in dag.tasks[t].dependencies)
        )
    ]
    return Plan(rows, first, len(ended))


def _ended(dag: Dag, past: Past) -> dict[str, str]:
    """Tasks that don't run again, and the states in which they stay or begin."""
    ended: dict[str, str] = {}
    if not past.records:
        return ended
    below = {past.from_task}  # the task to go on from, and everything downstream of it
    for task_id in dag.walk():
        upstream = dag.tasks[task_id].dependencies
        if any(up in below for up in upstream):
            below.add(task_id)
        state = past.records[task_id]["state"]
        kept = state in _KEPT and task_id not in below
        if kept and (state == "success" or all(up in ended for up in upstream)):
            ended[task_id] = state
        elif task_id != past.from_task and any(
            ended.get(up) == "success" and task_id in past.skips.get(up, ()) for up in upstream
        ):
            ended[task_id] = "skipped"
    return ended


def _row(
    dag: Dag, task: Task, past: Past, ended: Mapping[str, str], *, rank: int, spec: str
) -> PlannedTask:
    record = past.records.get(task.task_id)
    state = ended.get(task.task_id)
    heard = Counter(_COUNTS_AS[ended[up]] for up in task.dependencies if up in ended)
    try_number = 1
    if record:
        # A try that never began is still to come.
        try_number = int(record["try"]) + (1 if record["started_at"] else 0)
    return PlannedTask(
        task=task.task_id,
        queue=task.queue,
        rank=rank,
        downstream=dag.downstream[task.task_id],
        spec=spec,
        upstream=len(task.dependencies),
        rule=task.trigger_rule,
        retries=task.retries,
        retry_delay=task.retry_delay,
        retry_backoff=task.retry_backoff,
        max_retry_delay=task.max_retry_delay,
        timeout=DEFAULT_TIMEOUT if task.timeout is None else task.timeout,
        allow_failure=task.allow_failure,
        remote=task.operator not in LOCAL,
        keep=bool(state and record and record["state"] == state),
        state=state or "none",
        try_number=try_number,
        ok=heard["ok"],
        skips=heard["skips"],
    )


def past_of(engine: Engine, run_id: str) -> Past:
    """What a resumed run left, as the engine kept it."""
    return Past(
        engine.kept(run_id), engine.skipped_by_branches(run_id), engine.resumed_from(run_id)
    )


def plan(
    engine: Engine, run_id: str, dag: Dag, between_chunks: Callable[[], object] = lambda: None
) -> bool:
    """Plan a submitted run and start it. False if it is planned already or by a newer planner."""
    token = engine.plan_begin(run_id)
    if token is None:
        return False
    run = RunParams(*engine.run_params(run_id))
    made = plan_of(dag, past_of(engine, run_id), run)
    for at in range(0, len(made.rows), CHUNK):
        if not engine.plan_chunk(run_id, token, made.rows[at : at + CHUNK]):
            return False
        between_chunks()
    if not engine.plan_first(run_id, token, made.first):
        return False
    queues = sorted({task.queue for task in dag.tasks.values()})
    return engine.plan_commit(
        run_id, token, len(made.rows), queues, first=len(made.first), ended=made.ended
    )
