"""What clients do to a run: submit it, cancel it, go on with it, and mark its tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydag_dist.dag.ids import check_id, worker_name
from pydag_dist.engine.protocol import Marked, MarkState, Resumed, pack_numbers
from pydag_dist.engine.store import Role, flat, unknown_run
from pydag_dist.engine.values import CHUNK, LostTask
from pydag_dist.errors import EngineError

# Why a task can't be marked, by the answer of `mark`; `ended` for the state in which it is.
_UNMARKED = {
    "no task": "the run has no such task",
    "queued": "the run is not planned yet",
    "broken": "its record is damaged; `pydag resume` plans the run anew",
    "schema": "another version of the engine wrote the run",
    "expanding": "it has become many tasks; mark those of them that want it, such as TASK.0",
    "children": "the tasks that expand over its result would become too many",
    "ended": "it has ended as {state}, and what is downstream of it was decided by that; let the "
    "run end or cancel it, then mark the task and resume the run",
}


class Steering(Role):
    """What clients do to runs."""

    def submit(
        self,
        run_id: str,
        dag: str,
        dag_id: str,
        params: dict[str, Any] | None = None,
        *,
        processors: int = 0,
        weight: float = 1,
        timeout: float = 0,
        retention: int = 7 * 86400,
        logical_date: str = "",
        hooks: bool = False,
        expected_within: float = 0,
        tags: Sequence[str] = (),
        submitted_by: str = "",
        from_task: str = "",
        taken: Sequence[LostTask] = (),
    ) -> bool:
        """Stores a DAG (as JSON) as a run to be planned; False if that run was there already.

        `logical_date` is an ISO 8601 time, else that of the submission; `hooks`: whether the DAG
        has webhooks that are told of the run's end; `expected_within`: seconds until the run is
        late, 0 for never; `submitted_by` is a short text without spaces. A run that begins at a
        task has `taken` what it does not run. `EngineError` for what is no id, or beyond the limits
        of dag/limits.py.
        """
        check_id("run id", run_id)
        head: dict[str, str | float] = {
            "dag_id": dag_id,
            "processors": processors,
            "weight": weight,
            "timeout": timeout,
            "retention": retention,
            "params": json.dumps(params or {}),
            "logical_date": logical_date,
            "hooks": int(hooks),
            "dag_hash": dag_hash(dag),
        }
        if expected_within:
            head["expected_within"] = expected_within
        if tags:
            head["tags"] = json.dumps(list(tags), ensure_ascii=False)
        if submitted_by:
            head["submitted_by"] = submitted_by
        if from_task:
            head["from"] = from_task
        for at in range(0, len(taken), CHUNK):
            rows = json.dumps([task.row() for task in taken[at : at + CHUNK]])
            if not self._call("restore", run_id, rows):
                return False
        return bool(self._call("submit", run_id, dag, *flat(head)))

    def cancel(self, run_id: str, by: str = "") -> str:
        """Stops a run: what has not started is cancelled at once, what runs is told to stop.

        `by` is who has said so, empty if nobody has; here and below.

        The run's state: ``cancelling`` until the last task is gone, or what it has ended as.
        """
        state, more = self._call("cancel", run_id, "cancel", by)
        if state == "unknown":
            raise unknown_run(run_id)
        self._finish(run_id, more)
        now: str | None = self._redis.hget(self._run_key(run_id), "state")
        return now or str(state)

    def resume(self, run_id: str, from_task: str = "", by: str = "") -> None:
        """Submits an ended run again, to go on from what did not succeed.

        With `from_task`, that task and everything downstream of it runs again, too. Raises
        `EngineError` if the run has not ended, or has nothing to do.
        """
        verdict = self._call("resume", run_id, from_task, by)
        self._check_resumed(run_id, verdict, from_task)

    def resume_with(
        self,
        run_id: str,
        from_task: str,
        before: str,
        changed: Iterable[str],
        dag: str,
        *,
        by: str = "",
        **head: Any,
    ) -> None:
        """Likewise with another DAG, as JSON; `head`: what `submit` was given of the DAG.

        `changed` are the tasks that are not what they were in the DAG of which `before` is the
        hash (`dag_hash` in the run's hash); `EngineError` if the run has another one by now.
        """
        names = ("params", "retention")
        kept = dict(zip(names, self._redis.hmget(self._run_key(run_id), names), strict=True))
        if kept["params"] is None:
            raise unknown_run(run_id)
        fields = {**kept, **head, "dag_hash": dag_hash(dag)}
        arguments = (from_task, by, before, " ".join(changed), dag, *flat(fields))
        self._check_resumed(run_id, self._call("resume_with", run_id, *arguments), from_task)

    def _check_resumed(self, run_id: str, verdict: Resumed, from_task: str) -> None:
        if verdict == "unknown":
            raise unknown_run(run_id)
        if verdict == "no task":
            raise EngineError(f"run {run_id} has no task {from_task}")
        if verdict == "another dag":
            raise EngineError(f"run {run_id} is of another DAG: its dag_id must stay as it is")
        if verdict == "another":
            raise EngineError(
                f"run {run_id} was resumed with another DAG meanwhile: look at it again"
            )
        if verdict == "success":
            raise EngineError(f"run {run_id} succeeded: name a task to run again from")
        if verdict != "ok":
            raise EngineError(f"run {run_id} is {verdict}: only a run that has ended can resume")

    def mark(
        self,
        run_id: str,
        task: str,
        state: MarkState,
        by: str,
        *,
        result: str = "",
        expand: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Ends a task as `by` says; a try of it that runs is stopped first.

        In a run that has ended, a resume goes on from there. `result` is JSON or empty; `expand`
        says into how many each task expands that does so over the result.
        """
        expansions = pack_numbers(expand)
        who = worker_name(by)
        verdict: Marked
        verdict, more = self._call("mark", run_id, task, state, who, result, expansions)
        if verdict == "unknown":
            raise unknown_run(run_id)
        if verdict != "ok":
            why = _UNMARKED.get(verdict, _UNMARKED["ended"]).format(state=verdict)
            raise EngineError(f"{task} of run {run_id} can't be marked: {why}")
        self._finish(run_id, more)


def dag_hash(dag: str) -> str:
    """By which the history knows a DAG's text."""
    return hashlib.sha256(dag.encode()).hexdigest()
