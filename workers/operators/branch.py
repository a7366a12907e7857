"""``branch``: a function chooses which of the direct downstream tasks are followed."""

from __future__ import annotations

from typing import Any

from workers.errors import TaskFailed
from workers.operators.base import TaskContext
from workers.operators.python_call import PythonCall


class Branch(PythonCall):
    """Params like those of ``python.call``; the function returns an id or a list of ids."""

    def execute(self, context: TaskContext) -> list[str]:
        """The ids of the tasks to follow."""
        chosen = super().execute(context)
        if chosen is None:
            return []
        ids = [chosen] if isinstance(chosen, str) else chosen
        if not isinstance(ids, list | tuple):
            raise TaskFailed(f"a branch returns an id or a list of ids, not {chosen!r}")
        return list(ids)


def skipped(chosen: list[str], branch: dict[str, Any]) -> list[str]:
    """The direct downstream tasks that are skipped.

    As in Airflow, one that is also downstream of a chosen task is not: its own rule decides.
    """
    downstream = branch["downstream"]
    if unknown := [task for task in chosen if task not in downstream]:
        raise TaskFailed(
            f"the branch chose {', '.join(map(str, unknown))}, which is not among its direct "
            f"downstream tasks: {', '.join(downstream)}"
        )
    followed = set(chosen)
    for task in chosen:
        followed.update(branch["reaches"].get(task, ()))
    return [task for task in downstream if task not in followed]
