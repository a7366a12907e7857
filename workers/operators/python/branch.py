"""``branch``: which of the direct downstream tasks are followed, by a function or a condition."""

from __future__ import annotations

from pydag_dist.dag.params.branch import Branch as BranchParams
from pydag_dist.dag.planning.results import by_condition, followed
from workers.contract.context import TaskContext, parsed_params
from workers.operators.python.call import PythonCall


class Branch(PythonCall):
    """Params like those of ``python.call``, whose function returns an id, a list of ids or a bool.

    Or ``when``, ``then`` and ``else``: the value of an expression, and ids; without these a bool.
    """

    def execute(self, context: TaskContext) -> list[str]:
        """The ids of the tasks to follow."""
        params = parsed_params(context, BranchParams)
        has_condition = "when" in params.model_fields_set
        chosen = by_condition(params) if has_condition else super().execute(context)
        return followed(chosen, (context.branch or {}).get("downstream", ()))
