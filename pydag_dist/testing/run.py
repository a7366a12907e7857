"""A run that is played: what the model of the engine does not know of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydag_dist.dag import Dag
from pydag_dist.dag.operators import params_model
from pydag_dist.dag.planning import rendering, results
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.engine import Held, PlannedTask
from pydag_dist.errors import TaskFailed
from pydag_dist.testing.played import PlayedTask
from pydag_dist.testing.reference import Message, RefRun


@dataclass
class Run:
    """A run, its plan, its `model`, and what its tries were given and have left."""

    run_id: str
    dag: Dag
    given: RunParams
    rows: Mapping[str, PlannedTask]
    model: RefRun
    began: float
    around: tuple[str, ...]  # the DAGs of the runs around it, outermost first
    waits: Message | None  # the try that has started it
    ended: float | None = None
    order: list[str] = field(default_factory=list)
    tasks: dict[str, PlayedTask] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.specs = {name: json.loads(row.spec) for name, row in self.rows.items()}

    def row(self, task: str) -> PlannedTask:
        """The plan of a task, or of the task whose child it is."""
        return self.rows.get(task) or self.rows[task.rpartition(".")[0]]

    def rendered(self, task: str, try_number: int) -> Mapping[str, Any]:
        """The params of a try, checked as a worker checks them; `TaskFailed`."""
        spec = self.specs[self.row(task).task]
        given = {**self.dag.params, **self.given.params}
        try:
            params = rendering.rendered(
                Held(self.run_id, task, try_number, ""),
                spec,
                lambda names: {name: self.result(name) for name in names},
                lambda names: {name: given[name] for name in names},
            )
        except rendering.Unrendered as error:
            raise TaskFailed(str(error), final=error.final) from None
        if model := params_model(spec["operator"]):
            results.parsed(spec["operator"], params, model)
        return params

    def result(self, name: str) -> Any:
        """The result of a task; of an expanded one the list of its children's."""
        if self.model.tasks[name].expands:
            children = self.model.children(name)
            return [self.result(child) for child in children] or None
        if self.model.tasks[name].state != "success":
            return None
        return self.tasks[name].tries[-1].result
