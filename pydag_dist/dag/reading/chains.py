"""What a file alone shows of a DAG that would wait for itself."""

from __future__ import annotations

from collections.abc import Sequence

from pydag_dist.dag.fields import Task
from pydag_dist.dag.operators import RUN_DAG, WAIT_FOR_DAG
from pydag_dist.dag.reading.report import Report


def check_chains(dag_id: str, tasks: Sequence[Task | None], report: Report) -> None:
    """A DAG can't run within itself, and its run can't wait for itself."""
    for number, task in enumerate(tasks):
        if task is None or task.params.get("dag") != dag_id:
            continue
        if task.operator == RUN_DAG:
            report.add("is this DAG, and no DAG can run within itself", "params.dag", number)
        elif task.operator == WAIT_FOR_DAG and task.params.get("logical_date") is None:
            report.add(
                "is this DAG, so its run would wait for itself: give the logical_date of another",
                "params.dag",
                number,
            )
