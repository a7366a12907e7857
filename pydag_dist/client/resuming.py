"""What will run when an ended run goes on, and why; what a run takes over that begins at a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydag_dist.client.marking import expansions, packed
from pydag_dist.engine import LostTask, Reading
from pydag_dist.engine.protocol import TAKEN, pack_numbers
from pydag_dist.errors import EngineError, PydagError

if TYPE_CHECKING:
    from pydag_dist.dag import Dag
    from pydag_dist.engine import RunSnapshot

RUNS: Final = 20  # newest runs of a DAG in which results are looked for


@dataclass(frozen=True)
class Resumption:
    """What a resume of a run does.

    `again` has each task that is to run and why, in the order of a walk: ``changed: params``,
    ``new``, ``failed``, ``downstream of X``, … `kept` tasks stay as they are, `removed` ones are
    not in the new DAG. `unseen` are kept tasks that run scripts, whose texts nobody has compared.
    """

    again: Mapping[str, str]
    kept: int
    removed: list[str]
    unseen: list[str]


@dataclass(frozen=True)
class Comparison:
    """A run's stored DAG beside the one to go on with."""

    before: str  # the hash of the stored DAG
    changed: Mapping[str, list[str]]  # task -> in what


def compare(reading: Reading, run_id: str, stored: Dag, dag: Dag) -> Comparison:
    """How the DAGs differ; `EngineError` if they are two DAGs."""
    from pydag_dist.dag.planning.resuming import changes

    if dag.dag_id != stored.dag_id:
        raise EngineError(
            f"run {run_id} is one of DAG {stored.dag_id}, and the file's dag_id is {dag.dag_id}: "
            "a run goes on with a corrected file of its own DAG only"
        )
    params, _ = reading.run_params(run_id)
    before = reading.run_head(run_id).get("dag_hash", "")
    return Comparison(before, changes(stored, dag, params))


def preview(reading: Reading, run_id: str, from_task: str, dag: Dag | None) -> Resumption:
    """What `resume` would do now; `EngineError` if the run has not ended, or has no such task."""
    from pydag_dist.dag import Dag
    from pydag_dist.dag.planning.resuming import ResumeRequest, to_run_again

    stored = Dag.stored(reading.submitted_dag(run_id), source=run_id)
    found = compare(reading, run_id, stored, dag).changed if dag else {}
    used = dag or stored
    snapshot = reading.snapshot(run_id)
    if not snapshot.ended:
        raise EngineError(f"run {run_id} is {snapshot.state}: only a run that has ended can resume")
    states = {name: task.state for name, task in snapshot.tasks.items()}
    if from_task and from_task not in used.tasks and from_task not in states:
        raise EngineError(f"run {run_id} has no task {from_task}")
    _, changed, marked = reading.resumed_because(run_id)
    request = ResumeRequest(from_task, {*changed, *found}, marked)
    why = {name: task.why for name, task in to_run_again(used, states, request).items()}
    differing = {name: f"changed: {', '.join(fields)}" for name, fields in found.items() if fields}
    why |= {name: text for name, text in differing.items() if why[name] == "changed"}
    kept = [name for name in used.tasks if name not in why]
    return Resumption(
        {name: why[name] for name in used.walk() if name in why},
        len(kept),
        [name for name in stored.tasks if name not in used.tasks],
        [name for name in kept if used.tasks[name].script] if dag else [],
    )


def taken_over(
    dag: Dag, task_id: str, snapshots: Callable[[], Iterable[RunSnapshot]]
) -> list[LostTask]:
    """The tasks that a run which begins at that task does not run: they have succeeded.

    A result that another task names is that of the newest run in which its task succeeded;
    `snapshots` are of the newest runs first. Raises `PydagError` if the DAG has no such task, or no
    such run is there.
    """
    from pydag_dist.dag.planning.resuming import beginning_at

    begun = beginning_at(dag, task_id)
    left = dict(begun.needs)
    if many := [name for name in left if dag.tasks[name].expand]:
        raise PydagError(
            f"{', '.join(many)}: becomes one task for each item of a list, and such results are "
            "not taken over from earlier runs: begin there"
        )
    found: dict[str, tuple[str, Any]] = {}
    for snapshot in snapshots() if left else ():
        for name in list(left):
            task = snapshot.tasks.get(name)
            if task and task.state == "success" and task.result is not None:
                found[name] = (snapshot.run_id, task.result)
                del left[name]
        if not left:
            break
    if left:
        missing = "; ".join(f"{up} (for {', '.join(names)})" for up, names in left.items())
        raise PydagError(
            f"a run that begins at {task_id} needs results that none of the last {RUNS} runs of "
            f"{dag.dag_id} has: {missing}: begin there, or run all"
        )
    return [_taken(dag, name, *found.get(name, ("", None))) for name in begun.others]


def _taken(dag: Dag, name: str, run_id: str, result: Any) -> LostTask:
    if isinstance(result, dict) and "bytes_billed" in result:
        result = {**result, "bytes_billed": 0}  # the other run was billed
    grown = pack_numbers(expansions(dag, name, "success", result)) if run_id else ""
    text = packed(name, "success", result)
    return LostTask(name, "success", 1, reason=TAKEN, worker=run_id, result=text, expansions=grown)


def head_of(dag: Dag) -> dict[str, Any]:
    """What a run's hash has of its DAG."""
    return {
        "dag_id": dag.dag_id,
        "processors": dag.processors,
        "weight": dag.weight,
        "timeout": dag.timeout or 0,
        "hooks": int(bool(dag.on_success or dag.on_failure)),
        "tags": json.dumps(dag.tags, ensure_ascii=False),
    }
