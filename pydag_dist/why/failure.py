"""Why a task of a run failed, for whoever shows or sends failed tasks."""

from __future__ import annotations

from pydag_dist.engine.snapshot import RunSnapshot


def failure_of(run: RunSnapshot, task_id: str) -> str | None:
    """The task's error, or else who marked it failed by hand; None if nothing is known."""
    if error := run.tasks[task_id].error:
        return error
    mark = ("mark", task_id, "failed")
    marks = [act.by for act in run.acts if (act.act, act.task, act.state) == mark]
    return f"it was marked failed by hand, by {marks[-1]}" if marks else None
