"""``branch``: which of the direct downstream tasks are followed, by a function or a condition."""

from __future__ import annotations

from typing import Any

from pydag_dist.dag.params.branch import Branch as BranchParams
from workers.contract.context import TaskContext, parsed_params
from workers.errors import TaskFailed
from workers.operators.python.call import PythonCall


class Branch(PythonCall):
    """Params like those of ``python.call``, whose function returns an id, a list of ids or a bool.

    Or ``when``, ``then`` and ``else``: the value of an expression, and ids; without these a bool.
    """

    def execute(self, context: TaskContext) -> list[str]:
        """The ids of the tasks to follow."""
        params = parsed_params(context, BranchParams)
        if "when" not in params.model_fields_set:
            chosen = super().execute(context)
        elif params.model_fields_set & {"then", "else_"}:
            chosen = params.then if params.when else params.else_
        else:
            chosen = bool(params.when)
        if isinstance(chosen, bool):
            return list((context.branch or {})["downstream"]) if chosen else []
        if chosen is None:
            return []
        ids = [chosen] if isinstance(chosen, str) else chosen
        if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
            raise TaskFailed(
                "a branch returns the id of a task, a list of ids, True (follow all), or False or "
                f"None (follow none), not {chosen!r}",
                final=True,
            )
        return list(ids)


def skipped(chosen: list[str], branch: dict[str, Any]) -> list[str]:
    """The direct downstream tasks that are skipped.

    As in Airflow, one that is also downstream of a chosen task is not: its own rule decides.
    """
    downstream = branch["downstream"]
    if unknown := [task for task in chosen if task not in downstream]:
        raise TaskFailed(
            f"the branch chose {', '.join(map(str, unknown))}, which is not among its direct "
            f"downstream tasks: {', '.join(downstream)}",
            final=True,
        )
    followed = set(chosen)
    for task in chosen:
        followed.update(branch["reaches"].get(task, ()))
    return [task for task in downstream if task not in followed]
