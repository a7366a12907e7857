"""What coordinators do with runs: plan them, and give back those that Redis has lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from pydag_dist.dag import limits
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.store import Role, flat, unknown_run
from pydag_dist.engine.values import CHUNK, LostTask, PlannedTask, chunked
from pydag_dist.errors import EngineError, SchemaMismatch


class Planning(Role):
    """What coordinators do with submitted runs, resumed runs and lost runs."""

    def set_template(self, template: str) -> None:
        """Says how a Celery message looks; ``<<marks>>`` stand for its queue and ids."""
        self._redis.set(self._key("template"), template)

    def plan_begin(self, run_id: str) -> str | None:
        """A token that makes the caller the run's planner; None if it is planned already."""
        verdict, value = self._call("plan_begin", run_id)
        if verdict == "plan":
            return str(value)
        if value == "unknown":
            raise unknown_run(run_id)
        if value == "schema":
            raise SchemaMismatch(
                f"run {run_id} was written by another version of the engine: "
                "let that version's coordinators and workers end it, or submit it again"
            )
        return None

    def plan_chunk(self, run_id: str, token: str, tasks: Iterable[PlannedTask]) -> bool:
        """Writes at most `CHUNK` tasks of a plan; False if another planner took over."""
        rows = [task.row() for task in tasks]
        rows[1:] = [{k: v for k, v in row.items() if v != rows[0][k]} for row in rows[1:]]
        return bool(self._call("plan_chunk", run_id, token, json.dumps(rows)))

    def plan_first(
        self,
        run_id: str,
        token: str,
        tasks: Sequence[str],
        params: Mapping[str, str] = MappingProxyType({}),
        gone: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        """Writes which tasks are to be decided at the start, and params of the run, as JSON.

        `gone` are tasks that the DAG has no longer, with their last tries. False if another planner
        took over.
        """
        row = {"task": "", "downstream": chunked(tasks), "params": flat(params)}
        row["gone"] = [str(part) for part in flat(gone)]
        rows = json.dumps([row])
        return bool(self._call("plan_chunk", run_id, token, rows))

    def plan_commit(
        self,
        run_id: str,
        token: str,
        total: int,
        queues: Iterable[str],
        *,
        first: int,
        ended: int = 0,
        failures: int = 0,
    ) -> bool:
        """Starts the planned run; False if another planner took over.

        `first` is the number of tasks that `plan_first` got; `ended` of all `total` tasks have
        ended before, `failures` of these so that the run fails.
        """
        chunks = -(-first // CHUNK)
        verdict, more = self._call(
            "plan_commit", run_id, token, total, ended, failures, " ".join(queues), chunks
        )
        if verdict == "incomplete":
            raise EngineError(f"run {run_id}: its plan does not have {total} tasks")
        self._finish(run_id, more)
        return bool(verdict == "ok")

    def plan_refuse(self, run_id: str, error: str) -> bool:
        """Ends a submitted run that can't be planned as failed; False if it isn't queued."""
        text = error[: limits.ERROR].encode(errors="replace").decode()
        return bool(self._call("plan_refuse", run_id, text))

    def kept(self, run_id: str) -> dict[str, dict[str, str]]:
        """The records of a resumed run's tasks as they were; empty for a run that is new."""
        kept = self._redis.hgetall(self._run_key(run_id, "kept"))
        return {task: unpack_record(packed) for task, packed in kept.items()}

    def outcomes(self, run_id: str) -> dict[str, str]:
        """What tasks of the run have left: see the key `run:ID:out`."""
        out: dict[str, str] = self._redis.hgetall(self._run_key(run_id, "out"))
        return out

    def restore(self, run_id: str, tasks: Sequence[LostTask]) -> bool:
        """Gives back what is known of a lost run's tasks, some at a time, before `restore_run`.

        False if Redis has the run.
        """
        rows = json.dumps([task.row() for task in tasks])
        return bool(self._call("restore", run_id, rows))

    def restore_run(
        self, run_id: str, dag: str, head: Mapping[str, str], *, planned: bool = True
    ) -> bool:
        """Gives a lost run back to the planners, with the fields of its hash; False if it's there.

        If it was `planned`, its tasks that had ended stay so, and the others go on with the same
        try; else it is new, or was just resumed, `from` a task if its hash says so. With a `reason`
        in its hash the run is cancelled as soon as it is planned.
        """
        return bool(self._call("restore_run", run_id, dag, int(planned), *flat(head)))

    def is_restored(self, run_id: str) -> bool:
        """Whether the run is here because Redis had lost it."""
        return bool(self._redis.hexists(self._run_key(run_id), "restored"))

    def let_expire(self, run_id: str) -> bool:
        """An ended run's keys live for its retention from now on; False if it has not ended."""
        return bool(self._call("let_expire", run_id))
