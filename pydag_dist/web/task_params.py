"""The params of a task of a run: as its DAG has them, and as a try has them when it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydag_dist.dag import Dag, Task
from pydag_dist.dag.planning.rendering import Unrendered, rendered
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.engine import ENDED_TASK_STATES, Held, TaskSnapshot
from pydag_dist.web.site import Site


def params_of(here: Site, run_id: str, task: str) -> dict[str, Any] | None:
    """See `models.tasks.TaskParams`; None if the run has no such task."""
    dag, newest = here.dag_of(run_id), here.task(run_id, task)
    mine = dag.tasks.get(task) or dag.tasks.get(task.rpartition(".")[0])
    if mine is None or newest is None:
        return None
    told: dict[str, Any] = {
        "try_number": newest.try_number,
        "operator": mine.operator,
        "script": mine.script.path if mine.script else None,
        "params": mine.params_to_render,
        "rendered": None,
        "why": None,
    }
    if mine.expand and task == mine.task_id:
        return told | {"why": "it is one task for each item of a list: each has params of its own"}
    try:
        told["rendered"] = _rendered(here, dag, mine, Held(run_id, task, newest.try_number, ""))
    except Unrendered as error:
        told["why"] = str(error)
    return told


def _rendered(here: Site, dag: Dag, task: Task, of_try: Held) -> dict[str, Any]:
    head = here.head(of_try.run)
    submitted = datetime.fromtimestamp(int(head["submitted_at"]) / 1e6, UTC)
    date = head.get("logical_date") or submitted.isoformat(timespec="seconds")
    run = RunParams(json.loads(head.get("params") or "{}"), date)
    given: Mapping[str, Any] = {**dag.params, **run.params}

    def results(tasks: Sequence[str]) -> dict[str, Any]:
        found = {name: here.task(of_try.run, name) for name in tasks}
        if missing := [name for name, one in found.items() if not _has_ended(one)]:
            raise Unrendered(f"it needs the result of {', '.join(missing)}", final=False)
        return {name: one and one.result for name, one in found.items()}

    spec = json.loads(spec_of(dag, task, None, run))
    return rendered(of_try, spec, results, lambda names: {name: given[name] for name in names})


def _has_ended(task: TaskSnapshot | None) -> bool:
    return task is not None and task.state in ENDED_TASK_STATES
