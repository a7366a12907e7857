"""Why a run that only the history has ended as it did."""

from __future__ import annotations

import time

from pydag_dist.engine import RunSnapshot, TaskSnapshot
from pydag_dist.engine.head import microseconds
from pydag_dist.errors import EngineError
from pydag_dist.history import HistoryReader
from pydag_dist.why.facts import Facts, no_task, upstream_of
from pydag_dist.why.run import Reason, explain_ended
from pydag_dist.why.task import explain


def explain_past(history: HistoryReader, run: RunSnapshot, task: str | None) -> list[Reason]:
    """How a run ended and because of which tasks, or one task of it; as of a run in Redis.

    `EngineError` if the run has no such task.
    """
    past = history.past(run.run_id)
    if past is None:
        raise EngineError(f"the history has run {run.run_id} no longer")
    from pydag_dist.dag import Dag

    dag, now = Dag.stored(past.dag, source=run.run_id), time.time()
    skips = {row.task_id: row.skips.split() for row in past.tries if row.skips}

    def facts_of(name: str) -> Facts:
        upstream = upstream_of(dag, name)
        rules = {up: str(dag.tasks[up].trigger_rule) for up in upstream if up in dag.tasks}
        there = {up: run.tasks[up] for up in upstream if up in run.tasks}
        return Facts(
            name,
            now,
            {**past.head, "state": run.state} | ({"reason": run.reason} if run.reason else {}),
            upstream,
            records={up: _record_of(each, rules.get(up, "")) for up, each in there.items()},
            errors={up: each.error for up, each in there.items() if each.error},
            skips=skips,
        )

    if task is None:
        return explain_ended(run, facts_of, now)
    if task not in run.tasks:
        raise no_task(run.run_id, task)
    state = run.tasks[task].state
    if not run.ended or state == "none":
        return [Reason(state, f"{task} is {state}, as far as the history knows", task)]
    return [Reason(state, explain(facts_of(task)), task)]


def _record_of(task: TaskSnapshot, rule: str) -> dict[str, str]:
    """What `explain` reads of a task's record, from its snapshot."""
    return {
        "state": task.state,
        "try": str(task.try_number),
        "last_try": str(task.try_number),
        "rule": rule,
        "started_at": microseconds(task.started_at),
        "ended_at": microseconds(task.ended_at),
        "worker": task.worker or "",
        "reason": "",
        "token": "",
    }
