"""What will run when an ended run goes on, and why, before it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydag_dist.engine import Reading
from pydag_dist.errors import EngineError

if TYPE_CHECKING:
    from pydag_dist.dag import Dag


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
