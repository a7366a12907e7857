"""What is known of a run from before the plan that is made now: its earlier rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydag_dist.dag import Dag
from pydag_dist.dag.planning.resuming import ResumeRequest
from pydag_dist.engine import Engine
from pydag_dist.engine.protocol import TAKEN, split_out


@dataclass(frozen=True)
class PriorRun:
    """The tasks of a run that goes on, as they were; everything is empty for a new run.

    A run goes on in two cases. It had ended and was resumed: then tasks run again, as
    `dag.planning.resuming` decides. Or it was `restored`, because Redis had lost it: then every
    task that had ended stays as it is, and the others go on with the try that they had.
    """

    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by the task's id
    skips: Mapping[str, Sequence[str]] = field(default_factory=dict)  # branch -> what it skipped
    request: ResumeRequest = field(default_factory=ResumeRequest)
    restored: bool = False
    # The last tries of tasks that were in an earlier DAG of the run and are not in this one.
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def resumed(self) -> bool:
        """Whether the run had ended before."""
        return bool(self.records) and not self.restored

    @property
    def begins(self) -> bool:
        """Whether the run begins at a task, and nothing of it has been planned yet."""
        return self.resumed and all(r["reason"] == TAKEN for r in self.records.values())

    def state_of(self, task_id: str) -> str:
        """The task's state; `none` if nothing is known of it."""
        return self.records[task_id]["state"] if task_id in self.records else "none"

    def next_try(self, task_id: str, *, anew: bool = False) -> int:
        """The number of the task's next try.

        `anew`: what its tries did before does not count any more, so that none is continued.
        """
        record = self.records.get(task_id)
        if record is None:
            return 1 + self.gone.get(task_id, 0)
        if self.restored:
            is_over = record["state"] == "up_for_retry"
        else:
            # A try that was never started is still to come. The try of a poisoned task is
            # continued, since nobody knows what became of its remote job: the same try has the
            # same job id and finds out. If it runs anew, that job does not matter any more.
            is_over = bool(record["started_at"]) and (anew or not _is_poisoned(record))
        return int(record["try"]) + is_over

    def pushes(self, task_id: str, try_number: int) -> int:
        """How many messages of that try may exist."""
        record = self.records.get(task_id)
        is_same_try = record is not None and try_number == int(record["try"])
        # Redis may have lost a push that the history had not heard of.
        return (int(record["pushes"]) if record and is_same_try else 0) + int(self.restored)

    def children(self, dag: Dag) -> dict[str, list[str]]:
        """The known children of each expanded task."""
        found: dict[str, list[str]] = {t: [] for t, task in dag.tasks.items() if task.expand}
        for child in self.records:
            parent = child.rpartition(".")[0]
            if child not in dag.tasks and parent in found:
                found[parent].append(child)
        return found


def _is_poisoned(record: Mapping[str, str]) -> bool:
    return record["state"] == "failed" and record["reason"] == "poison"


def prior_run(engine: Engine, run_id: str) -> PriorRun:
    """What the engine has kept of a run until it is planned."""
    out = engine.planning.outcomes(run_id)
    return PriorRun(
        engine.planning.kept(run_id),
        {task: skips.split() for task, skips in split_out(out, "skips").items()},
        ResumeRequest(*engine.reading.resumed_because(run_id)),
        engine.planning.is_restored(run_id),
        {task: int(last) for task, last in split_out(out, "gone").items()},
    )
